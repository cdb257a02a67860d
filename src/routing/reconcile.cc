// What differs between Exchange, WorkMail and the table, judged person by person.
#include "waypost/routing/reconcile.h"

#include "waypost/base/counted.h"
#include "waypost/routing/wave_facts.h"

#include "routing/export_text.h"
#include "routing/mends.h"
#include "routing/reconcile_people.h"

#include <algorithm>
#include <map>

namespace waypost::routing {
namespace {

constexpr std::size_t kNamesInNote = 5;

std::string printable_text(std::string_view text) { return without_controls(text, '?'); }

/// A mailbox on this Exchange; a remote one is on another system already.
bool is_local_mailbox(const ExchangeRecipient& recipient) {
  return recipient.type.ends_with("Mailbox") && !recipient.type.starts_with("Remote");
}

bool is_person(const ExchangeRecipient& recipient) {
  return recipient.type.find("Group") == std::string::npos &&
         recipient.type.find("PublicFolder") == std::string::npos;
}

/// "'Bob Baker' (S-1-..., bob@...)": one WorkMail user as the details name it.
std::string described(const WorkMailEntity& entity) {
  const auto& name = entity.display_name.empty() ? entity.name : entity.display_name;
  return quoted_excerpt(name) + " (" + entity.id +
         (entity.email.empty() ? ", no Email shown" : ", " + entity.email) + ")";
}

/// Names that are too many to list, for a note.
class Names {
 public:
  void add(std::string_view name) {
    if (++count_ <= kNamesInNote) text_ += (count_ == 1 ? "" : ", ") + printable_text(name);
  }
  std::size_t count() const { return count_; }
  std::string text() const { return text_ + (count_ > kNamesInNote ? ", ..." : ""); }

 private:
  std::size_t count_ = 0;
  std::string text_;
};

class Judge {
 public:
  Judge(const ExchangeExport& exchange, const WorkMailExport& workmail, const Router& router,
        const ReconcileOptions& options)
      : router_(router),
        options_(options),
        people_(exchange, workmail, router),
        mends_(options.organisation) {}

  Reconciliation run() {
    collect_targets();
    for (const auto& [key, route] : routes_) judge_route(key, route);
    for (std::size_t i = 0; i < people_.recipients().size(); ++i) judge_recipient(i);
    for (std::size_t i = 0; i < people_.entities().size(); ++i) judge_entity(i);
    write_notes();
    out_.people = people_.recipients().size();
    out_.entities = people_.entities().size();
    out_.targets = routes_.size();
    std::stable_sort(out_.findings.begin(), out_.findings.end(),
                     [](const Finding& one, const Finding& other) {
                       return std::tie(one.kind, one.person) < std::tie(other.kind, other.person);
                     });
    return std::move(out_);
  }

 private:
  /// One target address and who is sent there.
  struct Route {
    std::string target;               // as written
    std::string address;              // the first that goes there
    std::optional<EntryState> state;  // nullopt: Exchange's ExternalEmailAddress sends there
    std::string wave;
    SourcePlace place;
    std::optional<std::size_t> recipient;
    bool is_copy = false;  // somebody's or something's else: not to be found by the recipient
  };

  void add(FindingKind kind, std::string_view person, std::string details,
           std::vector<SourcePlace> places, Mend mend) {
    std::erase_if(places, [](const SourcePlace& place) { return place.source.empty(); });
    out_.findings.push_back({kind, printable_text(person), printable_text(details),
                             std::move(places), std::move(mend)});
  }

  bool is_meant(const Entry& entry) const {
    return options_.waves.empty() || std::find(options_.waves.begin(), options_.waves.end(),
                                               entry.wave) != options_.waves.end();
  }
  /// What the entry is now, or would be if its wave were active: an operator's word about the
  /// person and a state of the entry's own come before the wave, as in the router.
  EntryState state_of(const Entry& entry) const {
    if (options_.waves.empty()) return router_.state_of(entry, options_.at);
    const auto* word = word_for(router_.waves(), entry);
    if (word != nullptr) return word->second.state;
    return entry.has_state ? entry.state : EntryState::active;
  }

  void collect_targets() {
    router_.table().for_each([this](const Entry& entry) {
      const auto take = [&](const mail::Mailbox& target, bool is_copy) {
        const auto key = key_of(target.to_string());
        all_targets_.insert(key);
        if (!is_meant(entry)) return;
        const auto state = state_of(entry);
        if (state != EntryState::active && state != EntryState::migrating) return;
        const auto address = entry.address.to_string();
        const auto [known, fresh] = routes_.try_emplace(
            key, Route{target.to_string(), address, state, entry.wave, entry.place,
                       people_.recipient_with(key_of(address)), is_copy});
        // Whose own target it is tells more about it than who has a copy sent there.
        if (!fresh && known->second.is_copy && !is_copy)
          known->second = Route{target.to_string(),
                                address,
                                state,
                                entry.wave,
                                entry.place,
                                people_.recipient_with(key_of(address)),
                                false};
      };
      take(entry.target, false);
      for (const auto& copy : entry.copies) take(copy, true);
    });
    if (!options_.waves.empty()) return;
    // Exchange itself sends its mail users on, in the table or not.
    for (std::size_t i = 0; i < people_.recipients().size(); ++i) {
      const auto& recipient = people_.recipients()[i];
      const auto key = key_of(recipient.external);
      if (!key.empty() && people_.is_target_domain(domain_of(key)) && is_person(recipient) &&
          !people_.has_entry(recipient))
        routes_.try_emplace(key, Route{recipient.external,
                                       recipient.primary,
                                       std::nullopt,
                                       {},
                                       recipient.place,
                                       i,
                                       false});
    }
  }

  const ExchangeRecipient* recipient_of(const Route& route) const {
    return route.recipient ? &people_.recipients()[*route.recipient] : nullptr;
  }
  /// Whose mailbox the target is; of a copy nobody can say.
  const ExchangeRecipient* owner_of(const Route& route) const {
    return route.is_copy ? nullptr : recipient_of(route);
  }
  std::string person_of(const Route& route) const {
    const auto* recipient = recipient_of(route);
    return recipient != nullptr ? recipient->primary : route.address;
  }
  static std::string sentence_of(const Route& route) {
    if (!route.state) return "Exchange sends this mail user's mail on to '" + route.target + "'";
    return (route.is_copy ? "has a copy sent to '" : "is routed to '") + route.target + "' (" +
           std::string(to_string(*route.state)) +
           (route.wave.empty() ? "" : ", wave " + quoted_excerpt(route.wave)) + ")";
  }

  void judge_route(const std::string& key, const Route& route) {
    if (!route.recipient) unknown_to_exchange_.add(route.address);
    if (!people_.is_workmail_domain(domain_of(key))) return unjudged_.add(route.target);
    const auto direct = people_.entity_with(key);
    if (direct && people_.entities()[*direct].receives()) return;
    if (direct) return judge_unusable(route, Match{*direct, {}});
    if (!workmail_allows(local_part_of(key))) return judge_forbidden_target(key, route);
    const auto like = likeness_of(key, route);
    if (!like) return judge_missing(route);
    const auto& entity = people_.entities()[like->entity];
    if (!entity.usable()) return judge_unusable(route, *like);
    std::string details = sentence_of(route) + ", which WorkMail does not have; by " +
                          std::string(like->by) + " it is probably " + described(entity);
    if (!entity.aliases_known)
      details += ", whose aliases are not known: give its list-aliases with --aliases to be sure";
    add(FindingKind::no_workmail_user, person_of(route), std::move(details),
        {route.place, entity.place}, mends_.create_alias(entity.id, route.target));
  }

  /// Who the target could be: by its owner, else by its local part.
  std::optional<Match> likeness_of(const std::string& key, const Route& route) const {
    if (route.recipient && !route.is_copy)
      if (const auto& match = people_.match_of(*route.recipient)) return match;
    return people_.entity_like(local_part_of(key));
  }

  void judge_missing(const Route& route) {
    const auto* recipient = owner_of(route);
    add(FindingKind::no_workmail_user, person_of(route),
        sentence_of(route) + ", but WorkMail has no such user", {route.place},
        mends_.create_user(recipient != nullptr ? recipient->display_name : "", route.target));
  }

  void judge_forbidden_target(const std::string& key, const Route& route) {
    const auto like = likeness_of(key, route);
    auto details = sentence_of(route) +
                   ", but WorkMail allows only a-z, 0-9 and ._%+- before the "
                   "'@'; map the address to one that it can have";
    Mend mend;
    if (like && people_.entities()[like->entity].usable()) {
      const auto& entity = people_.entities()[like->entity];
      details += "; by " + std::string(like->by) + " that is " + described(entity);
      if (!route.state)
        mend = Mends::set_external(route.address, entity.email);
      else if (!route.is_copy)  // a row has further targets, which this one line would drop
        mend = table_row_for(route.address, entity.email);
    }
    add(FindingKind::local_part_not_allowed, person_of(route), std::move(details), {route.place},
        std::move(mend));
  }

  Mend table_row_for(std::string_view address, std::string_view target) const {
    const auto entry = people_.entry_for(key_of(address));
    if (!entry) return Mends::table_row(address, target, "", "");
    return Mends::table_row(address, target, entry->has_state ? to_string(entry->state) : "",
                            entry->wave);
  }

  void judge_unusable(const Route& route, const Match& match) {
    const auto& entity = people_.entities()[match.entity];
    const auto* recipient = owner_of(route);
    auto kind = FindingKind::no_workmail_user;
    auto details = sentence_of(route);
    if (!match.by.empty())
      details += "; by " + std::string(match.by) + " that is";
    else
      details += ", which is";
    details += " WorkMail's " + described(entity) + ": ";
    Mend mend;
    if (entity.role == "SYSTEM_USER" || entity.role == "REMOTE_USER") {
      kind = FindingKind::workmail_not_a_mailbox;
      details += "a " + entity.role + ", which has no mailbox; route to a USER or RESOURCE";
    } else if (entity.state == "DELETED") {
      kind = FindingKind::workmail_deleted;
      details += "it is DELETED, and deleted users don't come back: a new one is needed";
      mend = mends_.create_user(recipient != nullptr ? recipient->display_name : "", route.target);
    } else if (entity.state == "DISABLED") {
      kind = FindingKind::workmail_disabled;
      details += "it is DISABLED";
      mend = mends_.register_user(entity.id, route.target);
    } else if (entity.state == "ENABLED" && entity.email.empty()) {
      details += "it is ENABLED, but list-users shows no Email; look whether it has the address";
      mend = mends_.describe_user(entity.id);
    } else {
      details += "its State is " + quoted_excerpt(entity.state) + " and its UserRole " +
                 quoted_excerpt(entity.role) + ", which can't be judged";
    }
    add(kind, person_of(route), std::move(details), {route.place, entity.place}, std::move(mend));
  }

  void judge_recipient(std::size_t index) {
    const auto& recipient = people_.recipients()[index];
    if (!is_person(recipient)) return;
    if (recipient.type.empty()) untyped_.add(recipient.primary);
    const auto entries = people_.entries_of(recipient);
    if (!options_.waves.empty() &&
        std::none_of(entries.begin(), entries.end(),
                     [&](const AddressEntry& one) { return is_meant(one.entry); }))
      return;
    if (entries.empty()) {
      judge_forbidden_addresses(index);
    } else {
      judge_aliases_in_table(recipient, entries.front().entry);
      judge_mailbox(recipient, entries);
    }
    judge_aliases_in_workmail(index);
  }

  void judge_aliases_in_table(const ExchangeRecipient& recipient, const Entry& entry) {
    for (const auto& address : recipient.addresses) {
      const auto key = key_of(address);
      if (!people_.is_own_domain(domain_of(key)) || !is_refused(address)) continue;
      add(FindingKind::alias_missing_in_table, recipient.primary,
          "Exchange has the address '" + address + "', but the table does not: it is refused",
          {recipient.place, entry.place},
          Mends::table_row(address, entry.target.to_string(),
                           entry.has_state ? to_string(entry.state) : "", entry.wave));
    }
  }

  /// As the router says: a plus-suffix or a domain's alias may lead to an entry.
  bool is_refused(const std::string& address) const {
    if (people_.entry_for(key_of(address))) return false;
    const auto parsed = mail::parse_mailbox(address);
    return !parsed || !router_.decide(*parsed, options_.at).state;
  }

  /// Each address has an entry of its own, and each may send mail elsewhere.
  void judge_mailbox(const ExchangeRecipient& recipient, const std::vector<AddressEntry>& entries) {
    // A wave that is looked at ahead still has its mailboxes, rightly.
    const auto now = [&](const AddressEntry& one) {
      return router_.state_of(one.entry, options_.at);
    };
    if (is_local_mailbox(recipient)) {
      const auto active = std::find_if(entries.begin(), entries.end(), [&](const auto& one) {
        return now(one) == EntryState::active;
      });
      if (active != entries.end()) judge_local_mailbox(recipient, *active);
      return;
    }
    if (recipient.type.starts_with("Remote")) return;
    if (recipient.external.empty() && recipient.type != "MailUser") return;
    std::vector<std::string> told;  // targets
    for (const auto& one : entries) {
      if (now(one) == EntryState::rolled_back || goes_to(one.entry, key_of(recipient.external)))
        continue;
      auto target = key_of(one.entry.target.to_string());
      if (std::find(told.begin(), told.end(), target) != told.end()) continue;
      told.push_back(std::move(target));
      judge_external(recipient, one, entries);
    }
  }

  static bool goes_to(const Entry& entry, const std::string& key) {
    const auto is_it = [&](const mail::Mailbox& one) { return key_of(one.to_string()) == key; };
    return is_it(entry.target) || std::any_of(entry.copies.begin(), entry.copies.end(), is_it);
  }
  /// "'a2@corp.example' is routed to", or "is routed to" where it is the person's name itself.
  static std::string of_address(const ExchangeRecipient& recipient, const AddressEntry& one) {
    return key_of(one.address) == key_of(recipient.primary) ? "" : "'" + one.address + "' ";
  }

  void judge_local_mailbox(const ExchangeRecipient& recipient, const AddressEntry& active) {
    const auto target = active.entry.target.to_string();
    add(FindingKind::still_mailbox, recipient.primary,
        of_address(recipient, active) + "is routed to '" + target + "', but is a " +
            quoted_excerpt(recipient.type) +
            " on Exchange, which delivers there and sends nothing on",
        {recipient.place, active.entry.place}, Mends::mailbox_to_mail_user(recipient, target));
  }

  void judge_external(const ExchangeRecipient& recipient, const AddressEntry& one,
                      const std::vector<AddressEntry>& entries) {
    const auto external = key_of(recipient.external);
    const auto target = one.entry.target.to_string();
    const auto there = people_.entity_with(external);
    const bool same = there && there == people_.entity_with(key_of(target));
    const bool others_agree =
        std::any_of(entries.begin(), entries.end(),
                    [&](const AddressEntry& other) { return goes_to(other.entry, external); });
    const auto which = of_address(recipient, one);
    add(FindingKind::external_differs, recipient.primary,
        "the table's target " + (which.empty() ? "" : "of " + which) + "is '" + target +
            "', Exchange's ExternalEmailAddress is " +
            (recipient.external.empty() ? "none" : "'" + recipient.external + "'") +
            (same ? ", both of the same WorkMail user" : "") +
            (others_agree ? ", where this person's other mail goes; if the table is right, this is "
                            "no address of theirs on Exchange"
                          : "; if Exchange is right, correct the table instead"),
        {recipient.place, one.entry.place},
        others_agree ? table_row_for(one.address, recipient.external)
                     : Mends::set_external(recipient.primary, target));
  }

  void judge_forbidden_addresses(std::size_t index) {
    const auto& recipient = people_.recipients()[index];
    const auto& match = people_.match_of(index);
    for (const auto& address : recipient.addresses) {
      const auto key = key_of(address);
      if (!people_.is_own_domain(domain_of(key)) || workmail_allows(local_part_of(key))) continue;
      auto details = "WorkMail can't have '" + address +
                     "' (only a-z, 0-9 and ._%+- before the '@'); it needs an entry of its own in "
                     "the table";
      Mend mend;
      if (match && people_.entities()[match->entity].usable()) {
        const auto& entity = people_.entities()[match->entity];
        details += "; by " + std::string(match->by) + " the WorkMail user is " + described(entity);
        mend = Mends::table_row(address, entity.email, is_local_mailbox(recipient) ? "pending" : "",
                                recipient.wave);
      }
      add(FindingKind::local_part_not_allowed, recipient.primary, std::move(details),
          {recipient.place}, std::move(mend));
    }
  }

  void judge_aliases_in_workmail(std::size_t index) {
    const auto& match = people_.match_of(index);
    if (!match) return;
    const auto& entity = people_.entities()[match->entity];
    if (!entity.usable()) return;  // the email that is not known may be the one
    if (!entity.aliases_known) return without_aliases_.add(entity.email);
    const auto& recipient = people_.recipients()[index];
    for (const auto& address : recipient.addresses) {
      const auto key = key_of(address);
      if (!people_.is_own_domain(domain_of(key)) || !workmail_allows(local_part_of(key)) ||
          people_.entity_has(entity, key))
        continue;
      add(FindingKind::alias_missing_in_workmail, recipient.primary,
          "Exchange has the address '" + address + "', WorkMail's " + described(entity) +
              " has not (matched by " + std::string(match->by) + ")",
          {recipient.place, entity.place}, mends_.create_alias(entity.id, address));
    }
  }

  void judge_entity(std::size_t index) {
    const auto& entity = people_.entities()[index];
    if (!entity.usable() || !options_.waves.empty() || all_targets_.empty()) return;
    for (const auto& key : people_.keys_of(entity))
      if (all_targets_.contains(key) || people_.entry_for(key)) return;
    const auto owner = people_.recipient_of(index);
    const auto* recipient = owner ? &people_.recipients()[*owner] : nullptr;
    if (recipient != nullptr && people_.has_entry(*recipient))
      return;  // routed elsewhere: told there
    std::string details = "is WorkMail's " + described(entity) + ", but no table has a route to it";
    std::vector<SourcePlace> places = {entity.place};
    std::string address = own_address_of(entity);
    std::string_view state;
    if (recipient != nullptr) {
      address = recipient->primary;
      places.push_back(recipient->place);
      details += "; on Exchange, by " + std::string(people_.match_of(*owner)->by) + ", it is a " +
                 quoted_excerpt(recipient->type);
      if (is_local_mailbox(*recipient)) state = "pending";
    } else {
      details += "; Exchange's export has nobody who matches";
      state = "pending";
    }
    const auto target = target_address_of(entity);
    add(FindingKind::not_routed, address.empty() ? entity.email : address, std::move(details),
        std::move(places),
        address.empty() || target.empty() ? Mend{} : Mends::table_row(address, target, state, ""));
  }

  std::string own_address_of(const WorkMailEntity& entity) const {
    if (people_.is_own_domain(domain_of(key_of(entity.email)))) return entity.email;
    for (const auto& alias : entity.aliases)
      if (people_.is_own_domain(domain_of(key_of(alias)))) return alias;
    return {};
  }
  std::string target_address_of(const WorkMailEntity& entity) const {
    if (people_.is_target_domain(domain_of(key_of(entity.email)))) return entity.email;
    for (const auto& alias : entity.aliases)
      if (people_.is_target_domain(domain_of(key_of(alias)))) return alias;
    return {};
  }

  void note(std::string message) { out_.notes.push_back({false, {}, 0, 0, std::move(message)}); }

  void write_notes() {
    for (const auto i : people_.doubled()) {
      const auto& recipient = people_.recipients()[i];
      const auto first = people_.recipient_with(key_of(recipient.primary));
      out_.notes.push_back(
          {false, recipient.place.source, recipient.place.line, recipient.primary_column,
           quoted_excerpt(recipient.primary) + " is already at " +
               (first ? people_.recipients()[*first].place.to_string() : "another place") +
               "; were the exports made at the same time?"});
    }
    if (unjudged_.count() > 0)
      note(counted(unjudged_.count(), "target is", "targets are") +
           " in domains that the WorkMail export says nothing of, and not judged "
           "(" +
           unjudged_.text() + ")");
    if (unknown_to_exchange_.count() > 0)
      note(counted(unknown_to_exchange_.count(), "routed person is", "routed people are") +
           " in no export of Exchange, so whether they still have a mailbox there "
           "was not judged (" +
           unknown_to_exchange_.text() + "); give the export of Get-Mailbox too");
    if (untyped_.count() > 0)
      note(counted(untyped_.count(), "recipient has", "recipients have") +
           " no RecipientTypeDetails, so whether they are mailboxes was not judged "
           "(" +
           untyped_.text() + "); export that column too");
    if (without_aliases_.count() > 0)
      note("the aliases of " + counted(without_aliases_.count(), "WorkMail user") +
           " are not known, so whether one is missing there was not judged (" +
           without_aliases_.text() +
           "); give the output of aws workmail list-aliases of each with --aliases");
    if (all_targets_.empty()) note("the table is empty, so nobody is told to be without a route");
  }

  const Router& router_;
  const ReconcileOptions& options_;
  People people_;
  Mends mends_;
  Reconciliation out_;
  std::map<std::string, Route> routes_;          // by target key, of those that are routed now
  std::unordered_set<std::string> all_targets_;  // of the table, in any state
  Names unjudged_, unknown_to_exchange_, untyped_, without_aliases_;
};

}  // namespace

std::string_view to_string(FindingKind kind) {
  return kFindingKinds.at(static_cast<std::size_t>(kind));
}

Reconciliation reconcile(const ExchangeExport& exchange, const WorkMailExport& workmail,
                         const Router& router, const ReconcileOptions& options) {
  return Judge(exchange, workmail, router, options).run();
}

}  // namespace waypost::routing
