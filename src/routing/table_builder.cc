#include "routing/table_builder_impl.h"

#include <algorithm>

namespace waypost::routing {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 120)) {
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? '?' : c;
  }
  if (text.size() > 120) out += "...";
  return out + "'";
}

/// "SMTP:bob@..." as Exchange writes proxy addresses.
std::string_view without_smtp_prefix(std::string_view text) {
  if (text.size() > 5 && text[4] == ':' && mail::ascii_lower(text.substr(0, 4)) == "smtp")
    return text.substr(5);
  return text;
}

}  // namespace

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
    auto parsed = mail::parse_mailbox(text);
    if (!parsed) {
      complaint = article + " " + quoted(text) + " is not valid: " + parsed.error().message;
      return false;
    }
    storage = std::move(*parsed);
    part.local_part = storage.local_part;
    domain = storage.domain;
  }
  if (domain.empty()) {
    complaint = article + " " + quoted(text) + " has no domain; write name@domain";
    return false;
  }
  auto number = table->intern_domain(domain);
  if (!number) {
    complaint = article + " " + quoted(text) + " cannot be used: " + number.error().message;
    return false;
  }
  part.domain = *number;
  return true;
}

void TableBuilder::Impl::add(std::string_view file, const RawEntry& raw) {
  std::string complaint;
  Part address, target;
  if (!take_address(raw.address, "address", address_storage_, address, complaint))
    return error(file, raw.line, raw.address_column, std::move(complaint));
  if (!take_address(raw.target, "target", target_storage_, target, complaint))
    return error(file, raw.line, raw.target_column, std::move(complaint));
  CompactTable::Record record{.state = raw.state,
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
  if (table->normal_of(address.domain) == table->normal_of(target.domain)) {
    target_lower_.clear();
    append_lower(target_lower_, target.local_part);
    if (target_lower_ == record.key_local)
      return error(file, raw.line, raw.target_column,
                   "the target equals the address " + quoted(raw.address) +
                       "; give the address of the mailbox in the new system");
  }
  auto inserted = table->insert(record);
  if (!inserted) return error(file, raw.line, raw.address_column, inserted.error().message);
  if (!inserted->added) report_duplicate(file, raw, table->record_at(inserted->offset), record);
}

void TableBuilder::Impl::report_duplicate(std::string_view file, const RawEntry& raw,
                                          const CompactTable::Record& known,
                                          const CompactTable::Record& fresh) {
  const auto before = table->entry_of(known);
  const auto now = table->entry_of(fresh);
  const auto place = before.place.to_string();
  const bool same_target =
      table->normal_of(known.target_domain) == table->normal_of(fresh.target_domain) &&
      mail::ascii_lower(before.target.local_part) == mail::ascii_lower(now.target.local_part);
  if (!same_target)
    return error(file, raw.line, raw.address_column,
                 quoted(raw.address) + " is already at " + place + " with another target, '" +
                     before.target.to_string() + "'; keep one of the two");
  if (known.state != fresh.state || known.wave != fresh.wave)
    return error(
        file, raw.line, raw.address_column,
        quoted(raw.address) + " is already at " + place + " with another state or wave (there " +
            std::string(routing::to_string(known.state)) +
            (before.wave.empty() ? "" : ", wave '" + before.wave + "'") + "); keep one of the two");
  warning(file, raw.line, raw.address_column,
          quoted(raw.address) + " is already at " + place + " with the same target; remove one");
}

void TableBuilder::Impl::check_chains() {
  std::string lower;
  table->for_each_record([&](const CompactTable::Record& record, std::uint32_t) {
    const auto domain = table->normal_of(record.target_domain);
    if (!table->normal_has_entries(domain)) return;
    lower.clear();
    append_lower(lower, record.target_local);
    const auto next = table->find_offset(lower, domain);
    if (!next) return;
    const auto entry = table->entry_of(record);
    const auto onward = table->entry_of(table->record_at(*next));
    const auto onward_key = normalise_key(onward.target);
    const auto own_key = normalise_key(entry.address);
    const bool circle = onward_key && own_key && *onward_key == *own_key;
    auto message = "the target '" + entry.target.to_string() + "' of '" +
                   entry.address.to_string() + "' is itself an address of the table (" +
                   onward.place.to_string() + ", target '" + onward.target.to_string() + "')";
    message += circle ? ": the two point at each other; correct one of them"
                      : ": mail is rewritten once, never on from there; write the last target here";
    report(Problem{circle, entry.place.source, entry.place.line, 0, std::move(message)});
  });
}

TableBuilder::TableBuilder() : impl_(std::make_unique<Impl>()) {}
TableBuilder::~TableBuilder() = default;

void TableBuilder::add_csv(std::string_view file_name, std::string_view content) {
  add_csv_rows(*impl_, file_name, content);
}

void TableBuilder::add_entry(Entry entry) {
  if (static_cast<unsigned>(entry.state) > static_cast<unsigned>(EntryState::rolled_back))
    entry.state = EntryState::active;
  const auto address = entry.address.to_string();
  const auto target = entry.target.to_string();
  impl_->add(entry.place.source, RawEntry{.address = address,
                                          .target = target,
                                          .state = entry.state,
                                          .wave = entry.wave,
                                          .source = impl_->table->intern_source(entry.place.source),
                                          .line = entry.place.line});
}

const std::vector<Problem>& TableBuilder::problems() const { return impl_->problems; }

bool TableBuilder::has_errors() const { return impl_->errors > 0; }

std::shared_ptr<const Table> TableBuilder::build() {
  auto& impl = *impl_;
  impl.table->finish();
  impl.check_chains();
  if (impl.unkept > 0) {
    impl.problems.push_back(
        Problem{impl.errors > 0,
                {},
                0,
                0,
                "and " + std::to_string(impl.unkept) + " more problems like these"});
    impl.unkept = 0;
  }
  auto built = std::move(impl.table);
  impl.table = std::make_shared<CompactTable>();
  return built;
}

}  // namespace waypost::routing
