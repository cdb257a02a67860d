// The queue of one shard, shared by its four files:
//   queue.cc     messages come in; the loop; what is due; statistics
//   attempts.cc  which job goes next, routing asked anew, one attempt
//   outcomes.cc  what becomes of each recipient: settled, waiting, expired
//   reports.cc   failure reports
//
// A Message is what the spool holds; a Job is some of its recipients that go to one next hop
// together. Every open recipient is in exactly one place: a job, its message's held list, or its
// message's ended list (failed, report still to come).
#pragma once

#include "waypost/mail/report.h"
#include "waypost/queue/queue.h"

#include "queue/backoff.h"
#include "queue/slab.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace waypost::queue {

struct EndedRecipient {
  std::uint32_t index;
  mail::Outcome outcome;
  WallTime at{};
  mail::ReportAction action = mail::ReportAction::failed;
};

struct Message {
  spool::MessageRef ref;
  std::shared_ptr<const mail::Envelope> envelope;  // only while it is fresh or under attempt
  WallTime accepted_at{};
  std::uint32_t open = 0;        // recipients that are not settled
  std::uint32_t moving = 0;      // jobs that are ready or active: a report waits for them
  std::uint32_t generation = 0;  // tells a reused slot from the message that a timer was set for
  std::uint32_t first_job = Slab<int>::kNone;  // of its jobs, linked both ways
  bool alive = false, marked_held = false, reporting = false, report_timer = false;
  std::vector<std::uint32_t> held;
  std::unique_ptr<std::vector<EndedRecipient>> ended;
};

enum class JobState : std::uint8_t { ready, active, waiting };

struct Job {
  std::uint32_t message = 0;
  std::uint32_t hop = 0;
  std::uint32_t failures = 0;  // attempts in vain that count
  std::uint32_t attempts = 0;
  JobState state = JobState::ready;
  bool alive = false;
  std::uint32_t generation = 0;
  std::uint32_t previous = Slab<int>::kNone, next = Slab<int>::kNone;  // of the same message
  SteadyTime due{};
  std::vector<std::uint32_t> recipients;
  std::shared_ptr<const std::string> last_reply;
};

/// A job's place in line. The job may have gone meanwhile: then its generation is another.
struct ReadyPlace {
  std::uint32_t job, generation;
};

struct Hop {
  std::string name;
  std::deque<ReadyPlace> ready;
  std::uint32_t gone = 0;  // places in `ready` whose jobs have gone
  std::uint32_t active = 0, waiting = 0;
  std::uint32_t troubles = 0;  // in a row; 0: the site is well
  SteadyTime paused_until{};
  WallTime paused_until_wall{};
  bool pause_timer = false;
  bool to_dispatch = false;  // stands in QueueImpl::to_dispatch_
  std::shared_ptr<const std::string> last_reply;
};

class QueueImpl final : public Queue {
 public:
  QueueImpl(Options options, Context context);
  void submit(spool::MessageRef message, std::shared_ptr<const mail::Envelope> envelope) override;
  void restore(spool::StoredMessage stored) override;
  void flush(const std::string& next_hop) override;
  void routes_changed() override;
  net::Task<void> run() override;
  void stop() override;
  QueueStats stats() const override;

 private:
  using Index = std::uint32_t;
  enum class Due : std::uint8_t { job, expiry, report, pause };
  struct Timer {
    SteadyTime at;
    Due what;
    Index index;
    std::uint32_t generation;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  // queue.cc
  Index add_message(spool::MessageRef ref, std::shared_ptr<const mail::Envelope> envelope,
                    WallTime accepted_at, std::uint32_t open);
  void add_jobs(Index message, const mail::Envelope& envelope,
                const std::vector<std::uint32_t>& recipients);
  void set_timer(SteadyTime at, Due what, Index index, std::uint32_t generation);
  void fire(const Timer& timer);
  bool means_something(const Timer& timer) const;
  void drop_dead_timers();
  Index hop_of(const std::string& name);
  Index add_job(Index message, Index hop, std::vector<std::uint32_t> recipients);
  void make_ready(Index job);
  void make_waiting(Index job, SteadyTime due);
  void remove_job(Index job);
  void finish_if_done(Index message);
  std::shared_ptr<const mail::Envelope> envelope_of(Index message);
  WallTime wall(SteadyTime at) const;
  const Clock& clock() const { return context_.shard.timers.clock(); }
  SteadyTime now() const { return context_.shard.timers.now(); }

  // attempts.cc
  void dispatch(Index hop);
  void dispatch_one_hop(Index hop);
  void note_released(Index message);
  void let_go(Index message);
  void begin_attempt(Index job);
  net::Task<void> attempt(Index job, outbound::Deliverer* deliverer, outbound::AttemptInput input);
  outbound::AttemptInput ask_routing(Index job, const mail::Envelope& envelope, std::size_t most);
  routing::Decision decide(const mail::Envelope& envelope, const mail::Recipient& recipient) const;
  void hold(Index message, std::uint32_t recipient, const mail::Envelope& envelope,
            const routing::Decision& decision);
  std::uint32_t window(const Hop& hop, const outbound::Deliverer* deliverer) const;

  // outcomes.cc
  void apply(Index job, const outbound::AttemptInput& input, const outbound::AttemptResult& result);
  void pause_hop(Index hop, const mail::Outcome& why);
  void end_recipient(Index message, EndedRecipient ended);
  void defer_by_routing(Index message, Index hop, std::uint32_t failures,
                        const mail::Envelope& envelope, std::vector<std::uint32_t> recipients,
                        const routing::Decision& decision);
  void expire(Index message);
  void remember_reply(Job& job, Hop& hop, const std::string& reply);
  void track(ops::TrackingKind kind, const mail::Envelope& envelope, std::uint32_t recipient,
             const std::string& target, const std::string& hop, const mail::Outcome& outcome,
             std::uint32_t attempt, const outbound::AttemptResult* result, WallTime next_attempt);

  // reports.cc
  void report_if_quiet(Index message);
  void begin_report(Index message);
  net::Task<void> report(Index message);
  net::Task<Result<>> send_report(std::shared_ptr<const mail::Envelope> about,
                                  spool::MessageRef about_ref, mail::ReportAction action,
                                  std::vector<mail::ReportedRecipient> recipients);
  std::string original_content(const mail::Envelope& about, const spool::MessageRef& ref,
                               mail::ReportAction action, bool& full);
  void settle_ended(Index message, const std::vector<EndedRecipient>& ended, bool reported);

  Options options_;
  Context context_;
  Backoff backoff_;
  net::Timers::Sleeper sleeper_;
  Slab<Message> messages_;
  Slab<Job> jobs_;
  std::deque<Hop> hops_;  // references stay good while hops are added
  std::map<std::string, Index> hop_index_;
  std::vector<Timer> timers_;        // a heap, the soonest first
  std::size_t timers_swept_at_ = 0;  // how many were left by the last sweep
  std::deque<Index> to_dispatch_;
  std::uint32_t next_generation_ = 1;
  std::uint32_t active_ = 0;  // attempts and reports that run
  std::uint64_t held_ = 0;    // messages with a held recipient
  bool stopping_ = false;
  bool dispatching_ = false;
  ops::Counter &reports_sent_, &reports_lost_, &expired_;
};

}  // namespace waypost::queue
