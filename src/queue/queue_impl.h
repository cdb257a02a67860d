// The queue of one shard, shared by its files:
//   queue.cc     messages come in; the loop; timers; statistics
//   jobs.cc      jobs and next hops: made, made ready, put to wait, removed
//   attempts.cc  which job goes next, routing asked anew, one attempt
//   domains.cc   mx_of_recipient: one domain may not take every place
//   held.cc      what is held, and asked again after each reload
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
  bool pause_timer = false;
  bool to_dispatch = false;  // stands in QueueImpl::to_dispatch_
  ReplyRef last_reply;
  DomainTurns domains;  // mx_of_recipient only
};

class QueueImpl final : public Queue {
 public:
  QueueImpl(Options options, Context context);
  void submit(spool::MessageRef message, std::shared_ptr<const mail::Envelope> envelope) override;
  void restore(spool::StoredMessage stored) override;
  void flush(const std::string& next_hop) override;
  void routes_changed() override;
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
  void add_jobs(Index message, const mail::Envelope& envelope,
                const std::vector<std::uint32_t>& recipients, std::optional<bool> delay_told);
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
  void let_go(Index message);
  /// Remembers that envelope and content of this message are in memory, and lets go of older ones.
  void keep_warm(Index message);
  bool has_attempt(Index message) const;
  void drop_from_memory(Message& message);
  void begin_attempt(Index job);
  net::Task<void> attempt(Index job, outbound::Deliverer* deliverer, outbound::AttemptInput input);
  outbound::AttemptInput ask_routing(Index job, const mail::Envelope& envelope, std::size_t most);
  routing::Decision decide(const mail::Envelope& envelope, std::uint32_t recipient) const;
  std::uint32_t most_at_once(const Hop& hop, const outbound::Deliverer* deliverer) const;
  /// A copy whose entry has no such target any more, as decide() has said.
  static bool is_gone(const mail::Recipient& recipient, const routing::Decision& decision);
  void end_copy(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                const routing::Decision& decision);

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
  void review_some();
  void review(Index message);

  // outcomes.cc
  void apply(Index job, const outbound::AttemptInput& input, const outbound::AttemptResult& result,
             SteadyTime began);
  void judge_site(Index hop, const outbound::AttemptResult& result, SteadyTime began);
  void pause_hop(Index hop, const mail::Outcome* why);
  void end_recipient(Index message, EndedRecipient ended);
  void fail_recipient(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                      const std::string& hop, const mail::Outcome& outcome, std::uint32_t attempts);
  using Unroutable = std::vector<std::pair<std::uint32_t, routing::Decision>>;
  void defer_by_routing(Index message, Index hop, const Job& like, const mail::Envelope& envelope,
                        const Unroutable& recipients);
  void remember_reply(Job& job, Hop& hop, const mail::Outcome& why);
  void track(ops::TrackingKind kind, const mail::Envelope& envelope, std::uint32_t recipient,
             const std::string& target, const std::string& hop, const mail::Outcome& outcome,
             std::uint32_t attempt, const outbound::AttemptResult* result, WallTime next_attempt);

  // aging.cc
  WallTime deadline_of(const Message& message) const;
  WallTime deadline_of(const Message& message, const Policy& policy, bool delay_told) const;
  void plan_aging(WallTime deadline);
  void age_some();
  WallTime age(Index message);
  void expire_job(Index job, const mail::Envelope& envelope);
  void expire_held(Index message, const mail::Envelope& envelope);
  WallTime age_unreadable(Index message);
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
  Picked concerned(Index message, const Command& command);
  bool fits_message(const Message& message, const Selector& selector) const;
  bool fits_recipient(const mail::Envelope& envelope, std::uint32_t recipient,
                      const Selector& selector) const;
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
                               const std::string& hop) const;
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
  std::vector<Timer> timers_;        // a heap, the soonest first
  std::size_t timers_swept_at_ = 0;  // how many were left by the last sweep
  std::deque<Index> to_dispatch_;
  std::vector<Selector> suspensions_;
  /// Next hops that an operator ordered, by queue id and recipient.
  std::unordered_map<std::uint64_t, std::unordered_map<std::uint32_t, std::string>> rerouted_;
  WallTime next_deadline_ = WallTime::max();  // of any message, or sooner
  WallTime seen_deadline_ = WallTime::max();  // in the pass that runs
  Index aging_at_ = 0;                        // where the pass goes on
  std::uint32_t aging_generation_ = 0;        // of the timer that counts
  Index review_at_ = 0;                       // where the walk over held mail goes on
  std::uint64_t review_left_ = 0;             // messages that it has still to look at
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
