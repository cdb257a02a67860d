#include "routing/router_impl.h"

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

std::shared_ptr<const Router> TableRouter::with_waves(std::shared_ptr<const Waves> waves) const {
  auto router = std::make_shared<TableRouter>(*this);
  router->waves_ = std::move(waves);
  return router;
}

EntryState TableRouter::state_of(const Entry& entry, WallTime) const { return entry.state; }

struct TableRouter::Question {
  Decision decision;
  std::vector<TraceStep>* trace = nullptr;
  mail::Mailbox asked;               // with a domain, also for a bare postmaster
  std::string local;                 // lower case
  std::string domain;                // normalised
  const Meaning* meaning = nullptr;  // of the domain; null: none
  std::string suffix;                // what plus-stripping took away, with its separator
  std::string_view matched = "exact entry";

  /// `detail` makes the text only when somebody wants it.
  template <class Detail>
  void note(std::string_view step, Detail detail) const {
    if (trace != nullptr) trace->push_back(TraceStep{std::string(step), detail()});
  }
  void refuse(int code, mail::EnhancedStatus status, std::string text, std::string why) {
    decision.verdict = code < 500 ? Verdict::defer : Verdict::refuse;
    decision.reply = smtp::Reply{code, status, std::move(text)};
    decision.why = std::move(why);
  }
  void accept(Verdict verdict, mail::Mailbox target, std::string next_hop, std::string why) {
    decision.verdict = verdict;
    decision.target = std::move(target);
    decision.next_hop = std::move(next_hop);
    decision.reply = smtp::Reply{250, mail::status::recipient_ok, "recipient ok"};
    decision.why = std::move(why);
  }
};

TableRouter::TableRouter(Options options, std::shared_ptr<const Table> table,
                         std::string unavailable)
    : options_(std::move(options)),
      table_(std::move(table)),
      unavailable_(std::move(unavailable)),
      loaded_at_(Clock::system().now()) {
  for (const auto& own : options_.own_domains)
    if (auto normal = normalise_domain(own)) meanings_[*normal].own = true;
  for (const auto& alias : options_.domain_aliases) {
    auto normal = normalise_domain(alias.alias);
    auto domain = normalise_domain(alias.domain);
    if (!normal || !domain || *normal == *domain) continue;
    auto& meaning = meanings_[*normal];
    meaning.own = true;
    meaning.alias_of = std::move(*domain);
  }
  for (const auto& target : options_.target_domains)
    if (auto normal = normalise_domain(target.domain))
      meanings_[*normal].next_hop = target.next_hop;
}

const TableRouter::Meaning* TableRouter::meaning_of(std::string_view normal_domain) const {
  const auto known = meanings_.find(normal_domain);
  return known == meanings_.end() ? nullptr : &known->second;
}

bool TableRouter::is_own(std::string_view normal_domain) const {
  const auto* meaning = meaning_of(normal_domain);
  return meaning != nullptr && meaning->own;
}

const std::string& TableRouter::next_hop_for(std::string_view normal_domain) const {
  const auto* meaning = meaning_of(normal_domain);
  if (meaning != nullptr && !meaning->next_hop.empty()) return meaning->next_hop;
  return options_.default_next_hop;
}

Decision TableRouter::decide(const mail::Mailbox& address, WallTime at,
                             std::vector<TraceStep>* trace) const {
  Question question;
  question.trace = trace;
  question.asked = address;
  auto& decision = question.decision;
  decision.original = address;
  // RFC 5321 §4.5.1: postmaster needs no domain.
  if (address.domain.empty() && !options_.own_domains.empty()) {
    question.asked.domain = options_.own_domains.front();
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
  question.meaning = meaning_of(question.domain);
  question.note("normalise",
                [&] { return "looked up as " + shown(question.local) + "@" + question.domain; });
  if (srs_ && question.domain == srs_domain_ && mail::looks_like_srs(question.local))
    return decide_returned(address, at, trace);
  if (auto entry = look_up(question))
    decide_for_entry(question, std::move(*entry));
  else
    decide_without_entry(question);
  return std::move(decision);
}

std::optional<Entry> TableRouter::look_up(Question& question) const {
  if (!unavailable_.empty()) {
    question.note("table", [&] { return "not available: " + unavailable_; });
    return std::nullopt;
  }
  const auto try_key = [&](std::string_view step, std::string_view local,
                           std::string_view domain) -> std::optional<Entry> {
    std::string key;
    key.reserve(local.size() + 1 + domain.size());
    key.append(local).append(1, '@').append(domain);
    auto entry = table_->find(key);
    question.note(step, [&] {
      return entry ? shown(key) + " is in the table at " + entry->place.to_string() + ": " +
                         std::string(to_string(entry->state)) + ", target " + shown(entry->target)
                   : shown(key) + " is not in the table";
    });
    if (entry) question.matched = step;
    return entry;
  };
  if (auto entry = try_key("exact entry", question.local, question.domain)) return entry;
  const std::string_view local = question.local;
  std::string_view base;
  // The '+' of an IMCEAEX address is part of its encoding.
  if (!options_.plus_separator.empty() && !decode_imceaex(local)) {
    const auto plus = local.find(options_.plus_separator);
    if (plus != std::string_view::npos && plus > 0) base = local.substr(0, plus);
  }
  const auto keep_suffix = [&](std::optional<Entry> entry) {
    // Folding keeps offsets, so the suffix keeps its own letter case.
    if (entry) question.suffix = question.asked.local_part.substr(base.size());
    return entry;
  };
  if (!base.empty())
    if (auto entry = keep_suffix(try_key("plus-suffix stripped", base, question.domain)))
      return entry;
  if (question.meaning == nullptr || question.meaning->alias_of.empty()) return std::nullopt;
  if (auto entry = try_key("domain alias", local, question.meaning->alias_of)) return entry;
  if (base.empty()) return std::nullopt;
  return keep_suffix(
      try_key("domain alias, plus-suffix stripped", base, question.meaning->alias_of));
}

void TableRouter::decide_for_entry(Question& question, Entry entry) const {
  auto& decision = question.decision;
  decision.state = entry.state;
  decision.wave = std::move(entry.wave);
  decision.place = std::move(entry.place);
  if (!question.suffix.empty() && options_.plus_keep_in_target) {
    auto longer = entry.target;
    longer.local_part += question.suffix;
    const bool fits = longer.to_string().size() <= mail::kMaxAddressOctets;
    question.note("plus-suffix", [&] {
      return fits ? "kept in the target: " + shown(longer)
                  : "left out of the target, which would be longer than 571 octets";
    });
    if (fits) entry.target = std::move(longer);
  }
  decide_by_state(question, entry);
}

void TableRouter::decide_by_state(Question& question, const Entry& entry) const {
  auto& decision = question.decision;
  const auto& place = decision.place;
  const auto found = [&](std::string_view end) {
    std::string why(question.matched);
    why.append(" in ").append(place.to_string()).append(end);
    return why;
  };
  if (entry.state == EntryState::pending || entry.state == EntryState::rolled_back) {
    const std::string state =
        entry.state == EntryState::pending ? ", not moved yet" : ", rolled back";
    if (!options_.pending_next_hop.empty()) {
      question.note("state", [&] {
        return std::string(to_string(entry.state)) + ": goes unchanged to pending_next_hop " +
               quoted(options_.pending_next_hop);
      });
      return question.accept(Verdict::pass, question.asked, options_.pending_next_hop,
                             found(state + "; passed on unchanged"));
    }
    question.note("state", [&] {
      return std::string(to_string(entry.state)) + ": deferred, there is no pending_next_hop";
    });
    return question.refuse(
        451, {4, 2, 1},
        "<" + shown(decision.original) + ">: the mailbox is not here yet; try again later",
        found(state + " and no pending_next_hop is configured"));
  }
  std::string normal;
  const auto usable = append_normal_domain(normal, entry.target.domain);
  const std::string& next_hop = next_hop_for(normal);
  if (!usable || next_hop.empty()) {
    question.note("next hop", [&] { return "none for target domain " + quoted(normal); });
    return question.refuse(451, mail::status::spool_trouble,
                           "<" + shown(decision.original) + ">: no route at the moment",
                           found(", but no next hop serves its target's domain"));
  }
  const bool hold = entry.state == EntryState::migrating;
  question.note("next hop", [&] {
    return "target " + shown(entry.target) + " goes to next hop " + quoted(next_hop) +
           (hold ? "; held, because the entry is migrating" : "");
  });
  if (srs_ && !hold)
    question.note("SRS", [&] {
      return "a sender that is not ours is rewritten to an address in " + quoted(srs_domain_);
    });
  question.accept(hold ? Verdict::hold : Verdict::rewrite, entry.target, next_hop,
                  found(hold ? ", held while migrating" : ""));
}

void TableRouter::decide_without_entry(Question& question) const {
  if (question.meaning != nullptr && question.meaning->own) return decide_own_unknown(question);
  if (question.meaning != nullptr && !question.meaning->next_hop.empty())
    return decide_target_domain(question);
  if (srs_ && question.domain == srs_domain_) {
    question.note("SRS", [&] { return quoted(question.domain) + " is for return addresses only"; });
    return question.refuse(550, mail::status::unknown_mailbox,
                           "<" + shown(question.decision.original) +
                               ">: this domain is for return addresses only (SRS)",
                           "the SRS domain has no other addresses");
  }
  decide_other_domain(question);
}

// Shape A: Exchange has rewritten already. Never rewritten twice.
void TableRouter::decide_target_domain(Question& question) const {
  const auto& next_hop = question.meaning->next_hop;
  std::optional<Entry> entry;
  std::string key = question.local + "@" + question.domain;
  if (unavailable_.empty()) {
    entry = table_->find_target(key);
    const std::string_view local = question.local;
    const auto plus = options_.plus_separator.empty() ? std::string_view::npos
                                                      : local.find(options_.plus_separator);
    if (!entry && plus != std::string_view::npos && plus > 0)
      entry = table_->find_target(std::string(local.substr(0, plus)) + "@" + question.domain);
  }
  auto& decision = question.decision;
  if (entry) {
    decision.state = entry->state;
    decision.wave = entry->wave;
    decision.place = entry->place;
    const bool hold = entry->state == EntryState::migrating;
    question.note("target domain", [&] {
      return shown(key) + " is the target of " + shown(entry->address) + " (" +
             entry->place.to_string() + ", " + std::string(to_string(entry->state)) +
             "): already rewritten, goes to next hop " + quoted(next_hop) +
             (hold ? "; held, because the entry is migrating" : "");
    });
    return question.accept(hold ? Verdict::hold : Verdict::pass, question.asked, next_hop,
                           "already rewritten; the target of an entry in " +
                               entry->place.to_string() + (hold ? ", held while migrating" : ""));
  }
  if (options_.target_pass_unlisted) {
    question.note("target domain", [&] {
      return quoted(question.domain) + " is a target domain: passed to next hop " +
             quoted(next_hop) + ", though no entry has this target (target_pass_unlisted is on)";
    });
    return question.accept(Verdict::pass, question.asked, next_hop,
                           "already rewritten; target domain passed through");
  }
  if (!unavailable_.empty())
    return question.refuse(
        451, mail::status::spool_trouble,
        "<" + shown(decision.original) + ">: the routing table is not available; try again later",
        "no routing table: " + unavailable_);
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
  if (!unavailable_.empty())
    return question.refuse(451, mail::status::spool_trouble,
                           address + ": the routing table is not available; try again later",
                           "no routing table: " + unavailable_);
  if (const auto x500 = decode_imceaex(question.asked.local_part)) {
    question.note("IMCEAEX", [&] { return "a stale Outlook entry for the X500 address " + *x500; });
    return question.refuse(550, mail::status::unknown_mailbox,
                           "stale Outlook autocomplete entry; add it as X500 proxy address to the "
                           "mailbox in Exchange:\n" +
                               *x500,
                           "an IMCEAEX address; its X500 address is missing in Exchange");
  }
  const bool defer = options_.unknown == UnknownPolicy::defer;
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
  if (!options_.default_next_hop.empty() && !question.domain.empty()) {
    question.note("other domain", [&] {
      return quoted(question.domain) + " is not ours: goes unchanged to default_next_hop " +
             quoted(options_.default_next_hop);
    });
    return question.accept(Verdict::pass, question.asked, options_.default_next_hop,
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
