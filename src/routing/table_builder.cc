#include "waypost/base/counted.h"
#include "waypost/routing/unseen.h"

#include "routing/table_builder_impl.h"

#include <algorithm>

namespace waypost::routing {
namespace {

/// "SMTP:bob@..." as Exchange writes proxy addresses.
std::string_view without_smtp_prefix(std::string_view text) {
  if (text.size() > 5 && text[4] == ':' && mail::ascii_lower(text.substr(0, 4)) == "smtp")
    return text.substr(5);
  return text;
}

/// Joins of addresses as people write them: "a@x;b@x", "a@x b@x". Quoted local parts stay whole.
bool is_join(char c) { return c == ';' || c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void split_targets(std::string_view text, std::vector<std::string_view>& pieces) {
  std::size_t start = 0;
  bool quotes = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) {
      const char c = text[i];
      if (c == '"') quotes = !quotes;
      if (quotes && c == '\\') ++i;
      if (quotes || !is_join(c)) continue;
    }
    const auto end = std::min(i, text.size());
    if (end > start) pieces.push_back(text.substr(start, end - start));
    start = end + 1;
  }
}

std::string state_words(const CompactTable::Record& record) {
  return record.has_state ? std::string(to_string(record.state)) : "no state";
}

}  // namespace

std::string quoted_text(std::string_view text) { return "'" + shown_text(text) + "'"; }

std::string_view to_string(EntryState state) {
  switch (state) {
    case EntryState::pending:
      return "pending";
    case EntryState::migrating:
      return "migrating";
    case EntryState::active:
      return "active";
    case EntryState::rolled_back:
      return "rolled_back";
  }
  return "unknown";
}

std::string SourcePlace::to_string() const {
  if (source.empty()) return "(no source)";
  return line == 0 ? source : source + ":" + std::to_string(line);
}

namespace {

std::string place_of(const Problem& problem) {
  std::string out = problem.file;
  if (problem.line > 0) out += ":" + std::to_string(problem.line);
  if (problem.line > 0 && problem.column > 0) out += ":" + std::to_string(problem.column);
  if (!out.empty()) out += ": ";
  return out;
}

}  // namespace

std::string Problem::to_string() const {
  return place_of(*this) + (error ? "error: " : "warning: ") + message;
}

std::string Problem::without_level() const { return place_of(*this) + message; }

void TableBuilder::Impl::report(Problem problem) {
  if (problem.error) ++errors;
  if (problems.size() < kKeptProblems) {
    problems.push_back(std::move(problem));
    return;
  }
  ++unkept;
  if (!problem.error) return;
  // An error is worth more than a warning.
  const auto warning = std::find_if(problems.begin(), problems.end(),
                                    [](const Problem& kept) { return !kept.error; });
  if (warning == problems.end()) return;
  problems.erase(warning);
  problems.push_back(std::move(problem));
}

bool TableBuilder::Impl::take_address(std::string_view text, std::string_view what,
                                      mail::Mailbox& storage, Part& part, std::string& complaint) {
  const auto article = std::string("the ") + std::string(what);
  text = without_smtp_prefix(text);
  if (text.empty()) {
    complaint = article + " is missing";
    return false;
  }
  std::string_view domain;
  if (const auto plain = split_plain_address(text)) {
    part.local_part = plain->local_part;
    domain = plain->domain;
  } else {
    auto parsed = read_address(text);
    if (!parsed) {
      complaint = article + " " + quoted_text(text) + " is not valid: " + parsed.error().message;
      return false;
    }
    storage = std::move(*parsed);
    part.local_part = storage.local_part;
    domain = storage.domain;
    if (const auto piece = first_decomposed(storage.local_part); piece && decomposed_.empty())
      decomposed_ = text;
  }
  if (domain.empty()) {
    complaint = article + " " + quoted_text(text) + " has no domain; write name@domain";
    return false;
  }
  auto number = table->intern_domain(domain);
  if (!number) {
    complaint = article + " " + quoted_text(text) + " cannot be used: " + number.error().message;
    return false;
  }
  part.domain = *number;
  return true;
}

bool TableBuilder::Impl::take_targets(const RawEntry& raw, Part& target, std::string& complaint) {
  copies_.clear();
  const bool single =
      raw.more_targets.empty() && std::none_of(raw.target.begin(), raw.target.end(), is_join);
  if (single) return take_address(raw.target, "target", target_storage_[0], target, complaint);
  pieces_.clear();
  split_targets(raw.target, pieces_);
  pieces_.insert(pieces_.end(), raw.more_targets.begin(), raw.more_targets.end());
  if (pieces_.size() > kMaxTargets) {
    complaint = "the targets are " + std::to_string(pieces_.size()) + ", but an entry has " +
                std::to_string(kMaxTargets) + " at most; make a group of them in the new system";
    return false;
  }
  if (pieces_.empty()) pieces_.emplace_back();
  if (!take_address(pieces_[0], "target", target_storage_[0], target, complaint)) return false;
  for (std::size_t i = 1; i < pieces_.size(); ++i) {
    Part copy;
    if (!take_address(pieces_[i], "target", target_storage_[i], copy, complaint)) return false;
    copies_.push_back({copy.local_part, copy.domain});
  }
  return true;
}

/// No target is the address itself, and none is there twice.
bool TableBuilder::Impl::check_targets(const RawEntry& raw, const CompactTable::Record& record,
                                       std::string& complaint) {
  const auto same = [&](const CompactTable::Target& one, std::string_view lower,
                        std::uint32_t domain) {
    return table->normal_of(one.domain) == domain && mail::ascii_lower(one.local) == lower;
  };
  const CompactTable::Target first{record.target_local, record.target_domain};
  const auto own = table->normal_of(record.address_domain);
  const auto is_address = [&](const CompactTable::Target& one) {
    return same(one, record.key_local, own);
  };
  if (is_address(first) || std::any_of(copies_.begin(), copies_.end(), is_address)) {
    complaint = "the target equals the address " + quoted_text(raw.address) +
                "; give the address of the mailbox in the new system";
    return false;
  }
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    const auto lower = mail::ascii_lower(copies_[i].local);
    const auto domain = table->normal_of(copies_[i].domain);
    const auto last = copies_.begin() + static_cast<std::ptrdiff_t>(i);
    const bool twice = same(first, lower, domain) ||
                       std::any_of(copies_.begin(), last,
                                   [&](const auto& before) { return same(before, lower, domain); });
    if (!twice) continue;
    complaint = "the target " +
                quoted_text(std::string(copies_[i].local) + "@" +
                            table->written_domain(copies_[i].domain)) +
                " is there twice; remove one";
    return false;
  }
  return true;
}

void TableBuilder::Impl::add(std::string_view file, const RawEntry& raw) {
  std::string complaint;
  Part address, target;
  decomposed_ = {};
  if (!take_address(raw.address, "address", address_storage_, address, complaint))
    return error(file, raw.line, raw.address_column, std::move(complaint));
  if (!take_targets(raw, target, complaint))
    return error(file, raw.line, raw.target_column, std::move(complaint));
  const auto state = raw.state ? raw.state : defaults_.state;
  CompactTable::Record record{.state = state.value_or(EntryState::active),
                              .has_state = state.has_value(),
                              .key_local = address.local_part,
                              .written_local = address.local_part,
                              .target_local = target.local_part,
                              .address_domain = address.domain,
                              .target_domain = target.domain,
                              .wave = table->intern_wave(raw.wave),
                              .source = raw.source,
                              .line = raw.line};
  if (!is_lower(address.local_part)) {
    lower_.clear();
    append_lower(lower_, address.local_part);
    record.key_local = lower_;
  }
  if (!check_targets(raw, record, complaint))
    return error(file, raw.line, raw.target_column, std::move(complaint));
  const Member* const assigned = members_.empty() ? nullptr : member(record);
  const bool other_wave = assigned != nullptr && record.wave != 0 && record.wave != assigned->wave;
  if (record.wave == 0) record.wave = assigned != nullptr ? assigned->wave : default_wave_;
  auto inserted = table->insert(record, copies_);
  if (!inserted) return error(file, raw.line, raw.address_column, inserted.error().message);
  if (!inserted->added) return report_duplicate(file, raw, *inserted, record);
  if (!decomposed_.empty()) warn_of_pieces(file, raw.line, raw.address_column);
  if (other_wave)
    warning(file, raw.line, raw.address_column,
            quoted_text(raw.address) + " is in the members file of wave '" +
                table->wave_name(assigned->wave) + "' (" +
                SourcePlace{table->source_name(assigned->source), assigned->line}.to_string() +
                "), but wave '" + table->wave_name(record.wave) +
                "' is written here, and that counts; remove one of the two");
}

/// RFC 6532 section 3.1 has NFC; addresses are compared octet by octet.
void TableBuilder::Impl::warn_of_pieces(std::string_view file, std::uint32_t line,
                                        std::uint32_t column) {
  const auto piece = first_decomposed(decomposed_);
  if (!piece) return;
  warning(file, line, column,
          quoted_text(decomposed_) + " has a letter in two pieces (NFD, character " +
              std::to_string(piece->number) +
              "): it looks like the usual spelling (NFC) and does not match it; type it anew");
}

bool TableBuilder::Impl::same_targets(const CompactTable::Record& known,
                                      const CompactTable::Record& fresh) const {
  const auto same = [&](const CompactTable::Target& one, const CompactTable::Target& other) {
    return table->normal_of(one.domain) == table->normal_of(other.domain) &&
           mail::ascii_lower(one.local) == mail::ascii_lower(other.local);
  };
  std::size_t i = 0;
  bool equal =
      same({known.target_local, known.target_domain}, {fresh.target_local, fresh.target_domain});
  CompactTable::for_each_copy(known, [&](const CompactTable::Target& copy) {
    equal = equal && i < copies_.size() && same(copy, copies_[i]);
    ++i;
  });
  return equal && i == copies_.size();
}

void TableBuilder::Impl::report_duplicate(std::string_view file, const RawEntry& raw,
                                          const CompactTable::Inserted& known_at,
                                          const CompactTable::Record& fresh) {
  const bool earlier_source = known_at.offset < source_start_;
  // Two directories may know the same hundred thousand people.
  if (earlier_source && problems.size() >= kKeptProblems) {
    ++unkept;
    return;
  }
  const auto known = table->record_at(known_at.offset);
  const auto before = table->entry_of(known);
  const auto place = before.place.to_string();
  const bool same = same_targets(known, fresh);
  const auto is_there = quoted_text(raw.address) + " is already at " + place;
  std::string target = "'" + before.target.to_string() + "'";
  if (!before.copies.empty()) target += " and " + std::to_string(before.copies.size()) + " more";
  if (earlier_source)
    return warning(file, raw.line, raw.address_column,
                   is_there + ", in a source that comes before this one, with " +
                       (same ? "the same target" : "another target, " + target) +
                       "; that one counts");
  if (!same)
    return error(file, raw.line, raw.address_column,
                 is_there + " with another target, " + target + "; keep one of the two");
  if (known.has_state != fresh.has_state || known.state != fresh.state || known.wave != fresh.wave)
    return error(file, raw.line, raw.address_column,
                 is_there + " with another state or wave (there " + state_words(known) +
                     (before.wave.empty() ? "" : ", wave '" + before.wave + "'") +
                     "); keep one of the two");
  warning(file, raw.line, raw.address_column, is_there + " with the same target; remove one");
}

void TableBuilder::Impl::begin_source(SourceDefaults defaults) {
  defaults_ = std::move(defaults);
  default_wave_ = table->intern_wave(defaults_.wave);
  source_start_ = table->arena_end();
}

TableBuilder::TableBuilder() : impl_(std::make_unique<Impl>()) {}
TableBuilder::~TableBuilder() = default;

void TableBuilder::add_csv(std::string_view file_name, std::string_view content) {
  add_csv_rows(*impl_, file_name, content);
}

void TableBuilder::add_members(std::string_view wave, std::string_view file_name,
                               std::string_view content) {
  impl_->add_members(wave, file_name, content);
}

void TableBuilder::begin_source(SourceDefaults defaults) {
  impl_->begin_source(std::move(defaults));
}

void TableBuilder::add_entry(Entry entry) {
  if (static_cast<unsigned>(entry.state) > static_cast<unsigned>(EntryState::rolled_back))
    entry.state = EntryState::active;
  const auto address = entry.address.to_string();
  std::vector<std::string> targets{entry.target.to_string()};
  for (const auto& copy : entry.copies) targets.push_back(copy.to_string());
  const bool single =
      targets.size() == 1 && std::none_of(targets[0].begin(), targets[0].end(), is_join);
  impl_->add(entry.place.source,
             RawEntry{.address = address,
                      .target = single ? std::string_view(targets[0]) : std::string_view(),
                      .more_targets = single ? std::span<const std::string>() : targets,
                      .state = entry.has_state ? std::optional(entry.state) : std::nullopt,
                      .wave = entry.wave,
                      .source = impl_->table->intern_source(entry.place.source),
                      .line = entry.place.line});
}

const std::vector<Problem>& TableBuilder::problems() const { return impl_->problems; }

bool TableBuilder::has_errors() const { return impl_->errors > 0; }

std::shared_ptr<const Table> TableBuilder::build() {
  auto& impl = *impl_;
  impl.report_split_people(impl.table->finish());
  impl.check_chains();
  impl.check_members();
  if (impl.unkept > 0) {
    impl.problems.push_back(
        Problem{impl.errors > 0,
                {},
                0,
                0,
                "and " + counted(impl.unkept, "more problem", "more problems") + " like these"});
    impl.unkept = 0;
  }
  auto built = std::move(impl.table);
  impl.table = std::make_shared<CompactTable>();
  return built;
}

}  // namespace waypost::routing
