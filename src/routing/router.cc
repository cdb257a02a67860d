#include "routing/router_impl.h"

#include <algorithm>
#include <utility>

namespace waypost::routing {
namespace {

std::string shown(std::string_view text) { return printable(text); }
std::string shown(const mail::Mailbox& address) { return printable(address); }
std::string quoted(std::string_view text) { return "'" + shown(text) + "'"; }

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? '?' : c;
  }
  return out;
}

std::string printable(const mail::Mailbox& address) { return printable(address.to_string()); }

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::rewrite:
      return "rewrite";
    case Verdict::pass:
      return "pass";
    case Verdict::hold:
      return "hold";
    case Verdict::defer:
      return "defer";
    case Verdict::refuse:
      return "refuse";
  }
  return "unknown";
}

RouterCore::RouterCore(Options wanted, std::shared_ptr<const CompactTable> its_table,
                       std::string why_unavailable)
    : options(std::move(wanted)),
      table(std::move(its_table)),
      unavailable(std::move(why_unavailable)),
      loaded_at(Clock::system().now()) {
  for (const auto& own : options.own_domains)
    if (auto normal = normalise_domain(own)) meanings_[*normal].own = true;
  for (const auto& alias : options.domain_aliases) {
    auto normal = normalise_domain(alias.alias);
    auto domain = normalise_domain(alias.domain);
    if (!normal || !domain || *normal == *domain) continue;
    auto& meaning = meanings_[*normal];
    meaning.own = true;
    meaning.alias_of = std::move(*domain);
  }
  for (const auto& target : options.target_domains)
    if (auto normal = normalise_domain(target.domain))
      meanings_[*normal].next_hop = target.next_hop;
  const auto has_postmaster = [this](const std::string& own) {
    const auto normal = normalise_domain(own);
    return normal && table->find("postmaster@" + *normal);
  };
  const auto domain =
      std::find_if(options.own_domains.begin(), options.own_domains.end(), has_postmaster);
  if (domain != options.own_domains.end()) {
    postmaster_domain_ = *domain;
  } else if (!options.own_domains.empty()) {
    postmaster_domain_ = options.own_domains.front();
  }
  for (auto& [name, meaning] : meanings_) {
    meaning.normal = table->normal_number(name);
    if (!meaning.alias_of.empty()) meaning.alias_normal = table->normal_number(meaning.alias_of);
  }
  for (std::uint32_t normal = 0; normal < table->normal_count(); ++normal)
    next_hops_.push_back(&next_hop_for(table->normal_name(normal)));
}

const RouterCore::Meaning* RouterCore::meaning_of(std::string_view normal_domain) const {
  const auto known = meanings_.find(normal_domain);
  return known == meanings_.end() ? nullptr : &known->second;
}

bool RouterCore::is_own(std::string_view normal_domain) const {
  const auto* meaning = meaning_of(normal_domain);
  return meaning != nullptr && meaning->own;
}

const std::string& RouterCore::next_hop_for(std::string_view normal_domain) const {
  const auto* meaning = meaning_of(normal_domain);
  if (meaning != nullptr && !meaning->next_hop.empty()) return meaning->next_hop;
  return options.default_next_hop;
}

TableRouter::TableRouter(std::shared_ptr<const RouterCore> core, std::shared_ptr<const Waves> waves)
    : core_(std::move(core)), waves_(std::move(waves)) {
  const auto& table = *core_->table;
  wave_by_number_.reserve(table.wave_count());
  for (std::uint32_t number = 0; number < table.wave_count(); ++number)
    wave_by_number_.push_back(waves_->find(table.wave_name(number)));
}

std::shared_ptr<const Router> TableRouter::with_waves(std::shared_ptr<const Waves> waves) const {
  auto router = std::make_shared<TableRouter>(core_, std::move(waves));
  router->stale_ = stale_;
  return router;
}

std::shared_ptr<const Router> TableRouter::with_staleness(std::string why) const {
  auto router = std::make_shared<TableRouter>(core_, waves_);
  router->stale_ = std::move(why);
  return router;
}

Decision TableRouter::decide(const mail::Mailbox& address, WallTime at,
                             std::vector<TraceStep>* trace) const {
  Question question;
  question.trace = trace;
  question.at = at;
  question.asked = address;
  auto& decision = question.decision;
  decision.original = address;
  // RFC 5321 §4.5.1: postmaster needs no domain.
  if (address.domain.empty() && !core_->postmaster_domain().empty()) {
    question.asked.domain = core_->postmaster_domain();
    question.note("postmaster",
                  [&] { return "no domain was given: taken as " + shown(question.asked); });
  }
  if (question.asked.domain.starts_with('[')) {
    question.note("address literal",
                  [] { return std::string("never relayed: no domain, so no route"); });
    question.refuse(550, mail::status::relay_denied,
                    "<" + shown(address) + ">: address literals are not relayed; use a domain name",
                    "an address literal has no route");
    return std::move(decision);
  }
  if (auto done = append_normal_domain(question.domain, question.asked.domain); !done) {
    question.note("normalise", [&] { return done.error().message; });
    question.refuse(550, mail::status::bad_destination_syntax,
                    "<" + shown(address) + ">: the domain is not valid", done.error().message);
    return std::move(decision);
  }
  append_lower(question.local, question.asked.local_part);
  question.meaning = core_->meaning_of(question.domain);
  question.note("normalise",
                [&] { return "looked up as " + shown(question.local) + "@" + question.domain; });
  if (core_->srs && question.domain == core_->srs_domain && mail::looks_like_srs(question.local))
    return decide_returned(address, at, trace);
  if (const auto record = look_up(question))
    decide_for_entry(question, *record);
  else
    decide_without_entry(question);
  return std::move(decision);
}

std::optional<TableRouter::Record> TableRouter::try_key(
    Question& question, std::string_view step, std::string_view local, std::string_view domain,
    const std::optional<std::uint32_t>& normal) const {
  const auto& table = *core_->table;
  auto record = normal ? table.find_record(local, *normal) : std::nullopt;
  question.note(step, [&] {
    const auto key = shown(local) + "@" + shown(domain);
    if (!record) return key + " is not in the table";
    const auto entry = table.entry_of(*record);
    auto text =
        key + " is in the table at " + entry.place.to_string() + ": target " + shown(entry.target);
    for (const auto& copy : entry.copies) text += ", copy to " + shown(copy);
    if (entry.has_state) text += ", state " + std::string(to_string(entry.state));
    if (!entry.wave.empty()) text += ", wave " + quoted(entry.wave);
    return text;
  });
  if (record) question.matched = step;
  return record;
}

std::optional<TableRouter::Record> TableRouter::look_up(Question& question) const {
  if (!core_->unavailable.empty()) {
    question.note("table", [&] { return "not available: " + core_->unavailable; });
    return std::nullopt;
  }
  const auto* const meaning = question.meaning;
  const auto normal =
      meaning != nullptr ? meaning->normal : core_->table->normal_number(question.domain);
  const std::string_view local = question.local;
  if (auto record = try_key(question, "exact entry", local, question.domain, normal)) return record;
  std::string_view base;
  // The '+' of an IMCEAEX address is part of its encoding.
  const auto& separator = core_->options.plus_separator;
  if (!separator.empty() && !decode_imceaex(local)) {
    const auto plus = local.find(separator);
    if (plus != std::string_view::npos && plus > 0) base = local.substr(0, plus);
  }
  const auto keep_suffix = [&](std::optional<Record> record) {
    // Folding keeps offsets, so the suffix keeps its own letter case.
    if (record) question.suffix = question.asked.local_part.substr(base.size());
    return record;
  };
  if (!base.empty())
    if (auto record =
            keep_suffix(try_key(question, "plus-suffix stripped", base, question.domain, normal)))
      return record;
  if (meaning == nullptr || meaning->alias_of.empty()) return std::nullopt;
  const auto& alias_of = meaning->alias_of;
  if (auto record = try_key(question, "domain alias", local, alias_of, meaning->alias_normal))
    return record;
  if (base.empty()) return std::nullopt;
  return keep_suffix(try_key(question, "domain alias, plus-suffix stripped", base, alias_of,
                             meaning->alias_normal));
}

void TableRouter::decide_without_entry(Question& question) const {
  // Any address may be in the table that is missing: nothing is refused for good, nothing passes
  // unchanged, and nobody who is on the move loses the mail that is held for them.
  if (!core_->unavailable.empty() && !core_->options.sources.empty())
    return question.refuse(451, mail::status::spool_trouble,
                           "<" + shown(question.decision.original) +
                               ">: the routing table is not available; try again later",
                           "no routing table: " + core_->unavailable);
  if (question.meaning != nullptr && question.meaning->own) return decide_own_unknown(question);
  if (question.meaning != nullptr && !question.meaning->next_hop.empty())
    return decide_target_domain(question);
  if (core_->srs && question.domain == core_->srs_domain) {
    question.note("SRS", [&] { return quoted(question.domain) + " is for return addresses only"; });
    return question.refuse(550, mail::status::unknown_mailbox,
                           "<" + shown(question.decision.original) +
                               ">: this domain is for return addresses only (SRS)",
                           "the SRS domain has no other addresses");
  }
  decide_other_domain(question);
}

/// Of several addresses of one person, one that is on the move: what passes while a mailbox is
/// being copied is lost.
std::optional<TableRouter::Record> TableRouter::target_record(std::string_view local,
                                                              std::uint32_t normal,
                                                              WallTime at) const {
  std::optional<Record> found;
  core_->table->for_each_of_target(local, normal, [&](const Record& record) {
    const bool moving = standing_of(record, at).state == EntryState::migrating;
    if (!found || moving) found = record;
    return !moving;
  });
  return found;
}

std::optional<TableRouter::Record> TableRouter::find_target_of(const Question& question) const {
  const auto& normal = question.meaning->normal;
  if (!core_->unavailable.empty() || !normal) return std::nullopt;
  const std::string_view local = question.local;
  if (auto record = target_record(local, *normal, question.at)) return record;
  const auto& separator = core_->options.plus_separator;
  const auto plus = separator.empty() ? std::string_view::npos : local.find(separator);
  if (plus == std::string_view::npos || plus == 0) return std::nullopt;
  return target_record(local.substr(0, plus), *normal, question.at);
}

// Shape A: Exchange has rewritten already. Never rewritten twice, and no copies.
void TableRouter::decide_target_domain(Question& question) const {
  const auto& next_hop = question.meaning->next_hop;
  auto& decision = question.decision;
  if (const auto record = find_target_of(question)) {
    if (refuse_unknown_wave(question, *record)) return;
    const auto standing = standing_of(*record, question.at);
    take_entry(question, *record, standing);
    const bool hold = standing.state == EntryState::migrating;
    question.note("target domain", [&] {
      return shown(question.local) + "@" + question.domain + " is the target of " +
             shown(core_->table->entry_of(*record).address) + " (" + decision.place.to_string() +
             "): already rewritten, goes to next hop " + quoted(next_hop) +
             (hold ? "; held, because the entry is migrating" : "");
    });
    return question.accept(hold ? Verdict::hold : Verdict::pass, question.asked, next_hop,
                           "already rewritten; the target of an entry in " +
                               decision.place.to_string() + (hold ? ", held while migrating" : ""));
  }
  if (core_->options.target_pass_unlisted) {
    question.note("target domain", [&] {
      return quoted(question.domain) + " is a target domain: passed to next hop " +
             quoted(next_hop) + ", though no entry has this target (target_pass_unlisted is on)";
    });
    return question.accept(Verdict::pass, question.asked, next_hop,
                           "already rewritten; target domain passed through");
  }
  if (!core_->unavailable.empty())
    return question.refuse(
        451, mail::status::spool_trouble,
        "<" + shown(decision.original) + ">: the routing table is not available; try again later",
        "no routing table: " + core_->unavailable);
  question.note("target domain", [&] {
    return quoted(question.domain) +
           " is a target domain, but no entry has this target (target_pass_unlisted is off)";
  });
  question.refuse(550, mail::status::unknown_mailbox,
                  "<" + shown(decision.original) +
                      ">: not the target of any entry in the routing "
                      "table",
                  "no entry of the table has this target");
}

// Never back to Exchange: that would be a loop.
void TableRouter::decide_own_unknown(Question& question) const {
  const auto address = "<" + shown(question.decision.original) + ">";
  if (!core_->unavailable.empty())
    return question.refuse(451, mail::status::spool_trouble,
                           address + ": the routing table is not available; try again later",
                           "no routing table: " + core_->unavailable);
  if (const auto x500 = decode_imceaex(question.asked.local_part)) {
    question.note("IMCEAEX", [&] { return "a stale Outlook entry for the X500 address " + *x500; });
    return question.refuse(550, mail::status::unknown_mailbox,
                           "stale Outlook autocomplete entry; add it as X500 proxy address to the "
                           "mailbox in Exchange:\n" +
                               *x500,
                           "an IMCEAEX address; its X500 address is missing in Exchange");
  }
  if (!stale_.empty()) {
    question.note("own domain", [&] {
      return quoted(question.domain) +
             " is ours and the address is not in the table, which is out "
             "of date: " +
             stale_;
    });
    return question.refuse(451, mail::status::spool_trouble,
                           address + ": the routing table is out of date; try again later",
                           "not in the table, which is out of date: " + stale_);
  }
  const bool defer = core_->options.unknown == UnknownPolicy::defer;
  question.note("own domain", [&] {
    return quoted(question.domain) + " is ours and the address is not in the table: " +
           (defer ? "deferred (unknown: defer)" : "refused, never sent back");
  });
  if (defer)
    return question.refuse(451, {4, 1, 1},
                           address + ": not in the routing table yet; try again later",
                           "own domain, but the address is not in the table");
  question.refuse(550, mail::status::unknown_mailbox,
                  address + ": no such address; it is not in the routing table",
                  "own domain, but the address is not in the table");
}

void TableRouter::decide_other_domain(Question& question) const {
  if (!core_->options.default_next_hop.empty() && !question.domain.empty()) {
    question.note("other domain", [&] {
      return quoted(question.domain) + " is not ours: goes unchanged to default_next_hop " +
             quoted(core_->options.default_next_hop);
    });
    return question.accept(Verdict::pass, question.asked, core_->options.default_next_hop,
                           "other domain; goes to the default next hop");
  }
  question.note("other domain", [&] {
    return quoted(question.domain) +
           " is neither an own domain nor a target domain, and there is no default_next_hop";
  });
  question.refuse(
      550, mail::status::relay_denied,
      "<" + shown(question.decision.original) + ">: relay denied; this domain is not served here",
      "other domain and no default next hop");
}

}  // namespace waypost::routing
