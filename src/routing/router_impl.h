// The one implementation of Router.
//
// Private to routing. Immutable after load(): shared by all shards without a lock. What is dear
// (the table, what each domain means) is in a RouterCore that routers with other waves share.
//   router.cc         one address on its way through the steps
//   router_states.cc  what holds for an entry, and what that means for its mail
//   router_srs.cc     senders and returned mail
//   router_load.cc    sources into a table
#pragma once

#include "waypost/mail/srs.h"
#include "waypost/routing/router.h"

#include "routing/compact_table.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace waypost::routing {

/// Everything of a router that waves do not change.
class RouterCore {
 public:
  /// What a domain means to us; one look-up an address.
  struct Meaning {
    bool own = false;                           // or an alias
    std::string alias_of, next_hop;             // alias_of: normalised
    std::optional<std::uint32_t> normal;        // its number in the table
    std::optional<std::uint32_t> alias_normal;  // that of alias_of
  };

  /// REQUIRES: domains in `options` can be normalised (what cannot is skipped).
  /// `unavailable`: why there is no table; empty: there is one.
  RouterCore(Options options, std::shared_ptr<const CompactTable> table, std::string unavailable);

  void use_srs(std::vector<std::string> secrets);
  const Meaning* meaning_of(std::string_view normal_domain) const;
  /// The next hop for a target of this normalised domain; empty: none.
  const std::string& next_hop_for(std::string_view normal_domain) const;
  /// The same by the domain's number in the table.
  const std::string& next_hop_of(std::uint32_t normal) const { return *next_hops_[normal]; }
  bool is_own(std::string_view normal_domain) const;
  /// RFC 5321 §4.5.1: where <postmaster> without a domain goes: the first own domain whose
  /// postmaster is in the table, else the first own domain. Empty: there is none.
  const std::string& postmaster_domain() const { return postmaster_domain_; }

  Options options;
  std::shared_ptr<const CompactTable> table;
  std::string unavailable;
  WallTime loaded_at;
  std::optional<mail::Srs> srs;
  std::string srs_domain;  // normalised; empty: no SRS
  std::unordered_set<std::string> srs_own;

 private:
  std::unordered_map<std::string, Meaning, TextHash, std::equal_to<>> meanings_;
  std::string postmaster_domain_;
  std::vector<const std::string*> next_hops_;  // by number of the domain in the table
};

class TableRouter final : public Router {
 public:
  TableRouter(std::shared_ptr<const RouterCore> core, std::shared_ptr<const Waves> waves);

  std::shared_ptr<const Router> with_waves(std::shared_ptr<const Waves> waves) const override;
  const Waves& waves() const override { return *waves_; }
  std::shared_ptr<const Router> with_staleness(std::string why) const override;
  EntryState state_of(const Entry& entry, WallTime at) const override;
  Decision decide(const mail::Mailbox& address, WallTime at,
                  std::vector<TraceStep>* trace) const override;
  SenderChoice sender_for(const mail::ReversePath& sender, const Decision& decision,
                          WallTime at) const override;
  const Table& table() const override { return *core_->table; }
  const Options& options() const override { return core_->options; }
  WallTime loaded_at() const override { return core_->loaded_at; }

 private:
  using Record = CompactTable::Record;
  struct Question;  // one address on its way through the steps
  /// What holds for an entry, and who says so.
  struct Standing {
    enum class Source : std::uint8_t { person, entry, wave, silent_wave, none };
    EntryState state = EntryState::active;
    Source source = Source::none;
    const Wave* wave = nullptr;         // nullptr: none, or nobody has said anything of it
    const Waves::Word* word = nullptr;  // of a person, and of which address it was said
    bool follows = false;               // it was said of another address of the person
  };

  std::optional<Record> look_up(Question& question) const;
  std::optional<Record> try_key(Question& question, std::string_view step, std::string_view local,
                                std::string_view domain,
                                const std::optional<std::uint32_t>& normal) const;
  void decide_for_entry(Question& question, const Record& record) const;
  void decide_without_entry(Question& question) const;
  void decide_target_domain(Question& question) const;
  void decide_own_unknown(Question& question) const;
  void decide_other_domain(Question& question) const;
  std::optional<Record> target_record(std::string_view local, std::uint32_t normal,
                                      WallTime at) const;
  std::optional<Record> find_target_of(const Question& question) const;
  Decision decide_returned(const mail::Mailbox& address, WallTime at,
                           std::vector<TraceStep>* trace) const;

  // router_states.cc
  Standing standing_of(const Record& record, WallTime at) const;
  template <class Key, class Person>
  static Standing weigh(const Waves& waves, bool has_state, EntryState state, bool has_wave,
                        const Wave* wave, WallTime at, Key key, Person person);
  bool refuse_unknown_wave(Question& question, const Record& record) const;
  std::string describe(const Standing& standing, const std::string& wave_name, WallTime at) const;
  void take_entry(Question& question, const Record& record, const Standing& standing) const;
  mail::Mailbox target_for(Question& question, const CompactTable::Target& target) const;
  void decide_waiting(Question& question, const Record& record, const Standing& standing) const;
  void decide_moving(Question& question, const Record& record, const Standing& standing) const;
  void add_copies(Question& question, const Record& record) const;

  std::shared_ptr<const RouterCore> core_;
  std::shared_ptr<const Waves> waves_;
  std::string stale_;                        // why the table is out of date; empty: it is not
  std::vector<const Wave*> wave_by_number_;  // of the table's wave numbers
};

/// One address on its way through the steps of the decision.
struct TableRouter::Question {
  Decision decision;
  std::vector<TraceStep>* trace = nullptr;
  WallTime at{};
  mail::Mailbox asked;                           // with a domain, also for a bare postmaster
  std::string local;                             // lower case
  std::string domain;                            // normalised
  const RouterCore::Meaning* meaning = nullptr;  // of the domain; null: none
  std::string suffix;  // what plus-stripping took away, with its separator
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
  /// "exact entry in users.csv:12", and how it ends.
  std::string found(std::string_view end) const {
    std::string why(matched);
    why.append(" in ").append(decision.place.to_string()).append(end);
    return why;
  }
};

/// For reply texts: printable ASCII and UTF-8, never a line break.
std::string printable(std::string_view text);
std::string printable(const mail::Mailbox& address);

}  // namespace waypost::routing
