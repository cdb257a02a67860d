// The queue of one shard, shared by its files:
//   queue.cc     messages come in; the loop; timers; statistics
//   jobs.cc      jobs and next hops: made, made ready, put to wait, removed
//   attempts.cc  which job goes next, routing asked anew, one attempt
//   copies.cc    entries with several targets: who stands for which address
//   reroutes.cc  other next hops that operators ordered
//   domains.cc   mx_of_recipient: one domain may not take every place
//   held.cc      what is held
//   review.cc    what waits is asked again when its way may have changed
//   outcomes.cc  what becomes of each recipient
//   aging.cc     too old, late: expiry and delay notices, wherever the recipients are
//   reports.cc   delivery status notifications
//   control.cc   what operators say; listing.cc what they see
//
// A Message is what the spool holds; a Job is some of its recipients that go to one next hop
// together. Every open recipient is in exactly one place: a job, its message's held list, or its
// message's ended list (failed, report still to come).
#pragma once

#include "waypost/mail/report.h"
#include "waypost/queue/queue.h"

#include "queue/backoff.h"
#include "queue/domain_turns.h"
#include "queue/entries.h"
#include "queue/ready_lanes.h"
#include "queue/site.h"
#include "queue/wall_watch.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace waypost::queue {

struct Hop {
  Hop(std::string its_name, Policy its_policy, Slab<Job>& jobs)
      : name(std::move(its_name)), policy(std::move(its_policy)), ready(jobs) {}
  std::string name;
  Policy policy;
  ReadyLanes ready;
  Site site;
  std::uint32_t active = 0, waiting = 0;
  WallTime paused_until_wall{};
  bool suspended = false;
  bool just_resumed = false;  // by the last word about suspensions
  bool pause_timer = false;
  bool to_dispatch = false;  // stands in QueueImpl::to_dispatch_
  ReplyRef last_reply;       // of the last that was deferred
  std::string last_answer;   // of the last attempt, whatever came of it
  SteadyTime answered_at{};
  DomainTurns domains;  // mx_of_recipient only
};

class QueueImpl final : public Queue {
 public:
  QueueImpl(Options options, Context context);
  void submit(spool::MessageRef message, std::shared_ptr<const mail::Envelope> envelope,
              SteadyTime decided) override;
  void restore(spool::StoredMessage stored) override;
  void flush(const std::string& next_hop) override;
  void routes_changed() override;
  AskedAgain ask_again(const std::string& wave, const Slice& slice) override;
  void replace_options(Options options) override;
  net::Task<void> run() override;
  void stop() override;
  QueueStats stats() const override;
  void stand(const Command& command) override;
  ControlResult control(const Command& command, const Slice& slice) override;
  ListResult list(const Selector& selector, const Slice& slice) override;
  std::optional<spool::MessageRef> find(QueueId id) const override;

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = Slab<Job>::kNone;
  enum class Due : std::uint8_t { job, report, pause, aging, review };
  struct Timer {
    SteadyTime at;
    std::uint32_t generation;
    Index index : 29;
    Index what : 3;
    Due due() const { return static_cast<Due>(what); }
    bool operator>(const Timer& other) const { return at > other.at; }
  };
  static_assert(sizeof(Timer) == 16);
  using Groups = std::vector<std::pair<Index, std::vector<std::uint32_t>>>;
  using Leaving = std::vector<std::pair<std::uint32_t, routing::Decision>>;
  enum class Way : std::uint8_t { goes, ends, arrived, behind_copy, held, suspended, nowhere };
  struct Began {
    SteadyTime at;
    std::uint64_t changes;  // changes_ at that time
  };

  // queue.cc
  Index add_message(spool::MessageRef ref, const mail::Envelope& envelope, std::uint32_t open);
  void restore_unreadable(const spool::StoredMessage& stored, const Error& why);
  void set_timer(SteadyTime at, Due what, Index index, std::uint32_t generation);
  void fire(const Timer& timer);
  bool means_something(const Timer& timer) const;
  void drop_dead_timers();
  void finish_if_done(Index message);
  std::shared_ptr<const mail::Envelope> envelope_of(Index message);
  WallTime wall(SteadyTime at) const;
  const Clock& clock() const { return context_.shard.timers.clock(); }
  SteadyTime now() const { return context_.shard.timers.now(); }

  // jobs.cc
  Index hop_of(const std::string& name);
  Index first_hop(const mail::Envelope& envelope, std::uint32_t recipient, SteadyTime decided);
  void add_jobs(Index message, const mail::Envelope& envelope,
                const std::vector<std::uint32_t>& recipients, std::optional<bool> delay_told,
                SteadyTime decided = SteadyTime::min());
  Index add_job(Index message, Index hop, std::vector<std::uint32_t> recipients, bool delay_told);
  /// With what a part of a job that is sent later keeps of it.
  Index add_rest(const Job& whole, std::vector<std::uint32_t> recipients);
  /// After a restart: whoever is late already was told before it, or never will be.
  bool told_by_age(Index message, const Policy& policy) const;
  void make_ready(Index job);
  void make_waiting(Index job, SteadyTime due);
  /// Out of the lane or the wait that it is in; it counts as active then.
  void take_out(Index job);
  void remove_job(Index job);
  void remove_recipients(Index job, const std::vector<std::uint32_t>& gone);

  // attempts.cc
  void dispatch(Index hop);
  void dispatch_one_hop(Index hop);
  void dispatch_rest();
  bool stands_still(Index hop) const;
  void let_go(Index message);
  /// Remembers that envelope and content of this message are in memory, and lets go of older ones.
  void keep_warm(Index message);
  bool has_attempt(Index message) const;
  void drop_from_memory(Message& message);
  void begin_attempt(Index job);
  net::Task<void> attempt(Index job, outbound::Deliverer* deliverer, outbound::AttemptInput input);
  outbound::AttemptInput ask_routing(Index job, const mail::Envelope& envelope, std::size_t most);
  Way way_of(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
             const routing::Decision& decision);
  void put_away(Index from, const mail::Envelope& envelope, Leaving leaving);
  static RouteMark mark_of(const outbound::AttemptInput& input);
  routing::Decision decide(const mail::Envelope& envelope, std::uint32_t recipient) const;
  routing::Decision decide_unordered(const mail::Envelope& envelope, std::uint32_t recipient) const;
  static bool goes(const routing::Decision& decision);
  static bool is_nowhere(const routing::Decision& decision);
  std::uint32_t most_at_once(const Hop& hop, const outbound::Deliverer* deliverer) const;

  // copies.cc
  void keep_address(const mail::Envelope& envelope, std::uint32_t recipient,
                    routing::Decision& decision) const;
  bool serve_another(const mail::Envelope& envelope, std::uint32_t recipient,
                     routing::Decision& decision) const;
  /// A copy whose entry has no such target any more, as decide() has said.
  static bool is_gone(const mail::Recipient& recipient, const routing::Decision& decision);
  Way way_beside_copies(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                        const routing::Decision& decision);
  bool is_open(Index message, std::uint32_t recipient) const;
  void wait_for_copy(Index like, std::vector<std::uint32_t> recipients);
  void wake_behind_copy(Index message, const mail::Envelope& envelope, std::uint32_t recipient);
  void end_copy(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                const routing::Decision& decision);
  void end_as_copy(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                   const routing::Decision& decision);
  mail::Recipient told_for(Index message, const mail::Envelope& envelope, std::uint32_t recipient);
  static bool names_somebody_twice(const outbound::AttemptInput& all);
  static outbound::AttemptInput once_each(const outbound::AttemptInput& all,
                                          std::vector<std::size_t>& rides_on);

  // reroutes.cc
  static std::string reroute_key(const routing::Decision& decision);
  const Reroute* reroute_of(QueueId id, std::uint32_t recipient) const;
  std::string reroute_about(const mail::Envelope& envelope, std::uint32_t recipient) const;
  void bind_reroute(const mail::Envelope& envelope, std::uint32_t recipient);
  bool is_served(const Reroute& order) const;
  bool is_rerouted(const mail::Envelope& envelope, std::uint32_t recipient) const;

  // domains.cc
  bool take_domain_turn(Index job, outbound::AttemptInput& input);
  void end_domain_turn(Index hop, const std::string& domain);
  bool still_waits(const DomainTurns::Waiting& one) const;

  // held.cc
  void hold(Index message, HeldRecipient held, const mail::Envelope& envelope,
            const routing::Decision& decision);
  std::uint16_t held_hop(const mail::Envelope& envelope, std::uint32_t recipient,
                         const routing::Decision& decision);
  const Policy& policy_of(const HeldRecipient& held) const;
  std::string hop_name(const HeldRecipient& held) const;
  void note_released(Index message);
  void track_released(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                      std::string_view wave, const Command* command);

  // review.cc
  void review_all(bool everything);
  void review_some();
  bool is_to_review(const Message& message) const;
  /// Jobs and what is held know where they go: no walk after a change is under way.
  bool all_reviewed() const { return review_left_ == 0 && asking_ == 0; }
  void review(Index message, const std::shared_ptr<const mail::Envelope>& envelope,
              bool held = true);
  bool stands_still_with(const Message& message) const;
  void review_held(Index message, const std::shared_ptr<const mail::Envelope>& envelope);
  void review_jobs(Index message, const mail::Envelope& envelope);
  void review_job(Index job, const mail::Envelope& envelope);
  void try_wave_now(Index message, const mail::Envelope& envelope, const std::string& wave,
                    AskedAgain& result);

  // outcomes.cc
  void apply(Index job, const outbound::AttemptInput& input, const outbound::AttemptResult& result,
             Began began);
  void judge_site(Index hop, const outbound::AttemptResult& result, SteadyTime began);
  void pause_hop(Index hop, const mail::Outcome* why);
  void end_recipient(Index message, EndedRecipient ended);
  void fail_recipient(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                      const std::string& hop, const mail::Outcome& outcome, std::uint32_t attempts);
  void defer_by_routing(Index message, Index hop, const Job& like, const mail::Envelope& envelope,
                        const Leaving& recipients);
  void remember_reply(Job& job, Hop* hop,
                      const std::vector<std::pair<std::uint32_t, mail::Outcome>>& said);
  void track(ops::TrackingKind kind, const mail::Envelope& envelope, std::uint32_t recipient,
             const std::string& target, const std::string& hop, const mail::Outcome& outcome,
             std::uint32_t attempt, const outbound::AttemptResult* result, WallTime next_attempt);

  // aging.cc
  void look_at_clock();
  Duration age_of(const Message& message) const;
  Duration sure_age(const Message& message) const;
  SteadyTime due_at(const Message& message, Duration age) const;
  SteadyTime deadline_of(const Message& message) const;
  SteadyTime deadline_of(const Message& message, const Policy& policy, bool delay_told) const;
  void plan_aging(SteadyTime deadline);
  void age_some();
  SteadyTime age(Index message);
  void expire_job(Index job, const mail::Envelope& envelope);
  void expire_held(Index message, const mail::Envelope& envelope);
  SteadyTime age_unreadable(Index message);
  bool past_mending(const Message& message, Duration expiry) const;
  void give_up_unread(Index message, std::vector<std::uint32_t> recipients, const std::string& why);
  void tell_delay(Index message, const mail::Envelope& envelope);
  net::Task<void> report_delay(spool::MessageRef ref,
                               std::shared_ptr<const mail::Envelope> envelope,
                               std::vector<mail::ReportedRecipient> late);

  // reports.cc
  void report_if_quiet(Index message);
  void begin_report(Index message);
  net::Task<void> report(Index message);
  net::Task<Result<>> send_report(std::shared_ptr<const mail::Envelope> about,
                                  spool::MessageRef about_ref, mail::ReportAction action,
                                  std::vector<mail::ReportedRecipient> recipients);
  std::optional<routing::Decision> choose_addressee(mail::Envelope& report,
                                                    const mail::Envelope& about,
                                                    mail::ReportAction action);
  std::string original_content(const mail::Envelope& about, const spool::MessageRef& ref,
                               mail::ReportAction action, bool& full);
  void settle_ended(Index message, const std::vector<EndedRecipient>& ended, bool reported);
  mail::Mailbox addressee(const mail::Envelope& envelope) const;
  bool wants_report(const mail::Envelope& envelope, const mail::Recipient& recipient) const;
  void note_unreturnable(const mail::Envelope& envelope, std::uint32_t recipient,
                         const mail::Outcome& outcome);
  void report_lost(const std::string& about, const std::string& addressee,
                   const routing::Decision& decision);

  // control.cc
  struct Picked {
    std::vector<std::pair<Index, std::vector<std::uint32_t>>> jobs;  // of each job these
    std::vector<std::uint32_t> held, ended;
    std::uint64_t count = 0;
  };
  Picked pick(Index message, const Selector& selector);
  Picked concerned(Index message, const Command& command, std::uint64_t& in_delivery);
  void control_message(Index message, const Command& command, ControlResult& result);
  std::uint64_t suspended_of(Index message, const Picked& meant) const;
  bool fits_message(const Message& message, const Selector& selector) const;
  bool fits_recipient(const mail::Envelope& envelope, std::uint32_t recipient,
                      const Selector& selector) const;
  static bool fits_decided(const mail::Recipient& recipient, const routing::Decision& decision,
                           const Selector& selector);
  bool goes_by(const mail::Envelope& envelope, std::uint32_t recipient,
               const std::string& next_hop) const;
  bool act(Index message, const Picked& picked, const Command& command);
  bool act_unread(Index message, const Picked& picked, const Command& command);
  void act_on_job(Index job, const std::vector<std::uint32_t>& recipients, const Command& command,
                  const mail::Envelope& envelope);
  void act_on_held(Index message, const std::vector<std::uint32_t>& recipients,
                   const Command& command, const mail::Envelope& envelope);
  void give_up(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
               const std::string& hop, const Command& command);
  void set_suspension(const Command& command);
  const Selector* suspended_by(const mail::Envelope& envelope, std::uint32_t recipient,
                               const routing::Decision& decision) const;
  void recall(Index message, const mail::Envelope& envelope, std::vector<std::uint32_t>& open);
  void track_control(const Command& command, Index message, std::uint32_t recipients);

  // listing.cc
  std::optional<ListedMessage> listed(Index message, const Selector& selector);
  ListedMessage listed_unread(Index message, const Picked& picked) const;

  Options options_;
  Context context_;
  Duration soonest_;  // age at which a notice or expiry may be due for the first time
  Backoff backoff_;
  net::Timers::Sleeper sleeper_;
  Slab<Message> messages_;
  Slab<Job> jobs_;
  std::deque<Hop> hops_;  // references stay good while hops are added
  std::map<std::string, Index> hop_index_;
  Index last_hop_ = 0;               // that hop_of() found; mostly it is asked for the same again
  std::vector<Timer> timers_;        // a heap, the soonest first
  std::size_t timers_swept_at_ = 0;  // how many were left by the last sweep
  std::deque<Index> to_dispatch_;
  std::vector<Selector> suspensions_;
  /// Next hops that an operator ordered, by queue id and recipient.
  Reroutes rerouted_;
  WallWatch wall_watch_;
  SteadyTime next_deadline_ = SteadyTime::max();  // of any message, or sooner
  SteadyTime seen_deadline_ = SteadyTime::max();  // in the pass that runs
  Index aging_at_ = 0;                            // where the pass goes on
  std::uint32_t aging_generation_ = 0;            // of the timer that counts
  Index review_at_ = 0;                           // where the walk over what waits goes on
  std::uint64_t review_left_ = 0;                 // messages that it has still to look at
  bool review_everything_ = false;                // not only what stands still
  std::uint32_t asking_ = 0;                      // walks of ask_again() that are under way
  SteadyTime changed_at_{};                       // the routes, last
  std::uint64_t changes_ = 0;                     // of what may change a way, counted
  std::uint32_t next_generation_ = 1;
  std::uint32_t active_ = 0;                          // attempts and reports that run
  std::deque<std::pair<Index, std::uint32_t>> warm_;  // submitted last: message and generation
  std::uint64_t held_ = 0;                            // messages with a held recipient
  std::uint64_t unreturned_ = 0;  // recipients of mail without sender that nobody was told of yet
  SteadyTime unreturned_said_at_{};
  bool stopping_ = false;
  bool dispatching_ = false;
  ops::Counter &reports_sent_, &reports_lost_, &reports_failed_, &expired_, &delay_notices_;
};

}  // namespace waypost::queue
