// When, and to which next hop: due times, ready queues, back-off, expiry, failure reports.
//
// Queue: one per shard; that shard's thread only, except submit_from_any_thread. It learns of new
// mail from app's wiring, asks routing anew before each attempt, hands work to outbound, settles
// recipients in the spool and writes the tracking log. It does not speak SMTP.
#pragma once

#include "waypost/mail/envelope.h"
#include "waypost/net/shard.h"
#include "waypost/ops/metrics.h"
#include "waypost/ops/tracking.h"
#include "waypost/outbound/deliverer.h"
#include "waypost/queue/control.h"
#include "waypost/queue/journal.h"
#include "waypost/queue/news.h"
#include "waypost/routing/router.h"
#include "waypost/spool/spool.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace waypost::queue {

/// When mail to a next hop is tried again, reported late and given up.
struct Policy {
  std::vector<Duration> backoff = {std::chrono::seconds(30), std::chrono::minutes(1),
                                   std::chrono::minutes(2),  std::chrono::minutes(5),
                                   std::chrono::minutes(10), std::chrono::minutes(15)};
  Duration expiry = std::chrono::hours(48);       // then failed with 4.4.7 / 5.4.7
  Duration delay_notice = std::chrono::hours(4);  // then the sender is told, once; zero: never
  std::uint32_t concurrency = 20;                 // attempts at once per next hop and shard
};

struct Options : Policy {
  std::map<std::string, Policy> next_hops;  // those that differ
  double jitter = 0.2;                      // +- share of each back-off
  std::uint64_t jitter_seed = 0;            // 0: a random one
  Duration unknown_grace =
      std::chrono::hours(4);  // queued mail whose recipient routing no longer knows
  std::string postmaster;     // named in reports; empty: postmaster@own name
  /// Gets a copy of what can't be returned to anybody (a null sender's mail that failed). Empty:
  /// it is only logged.
  std::string undeliverable_to;
  /// Where reports go whose addressee routing does not know (a sender who is still on Exchange, or
  /// outside). Empty: such reports can't be sent; that is logged and tracked.
  std::string report_next_hop;
  std::uint64_t report_full_limit = 100 * 1024;  // RET=FULL returns at most this much content

  const Policy& policy(const std::string& next_hop) const {
    const auto found = next_hops.find(next_hop);
    return found == next_hops.end() ? *this : found->second;
  }
};

struct Context {
  net::Shard& shard;
  spool::Spool& spool;
  routing::RouterHolder& router;
  std::map<std::string, outbound::Deliverer*>& deliverers;  // by next hop name, of this shard
  ops::Metrics& metrics;
  ops::TrackingLog& tracking;
  QueueIdSource& ids;
  std::string own_name;
  const ControlState* remembered = nullptr;               // what operators said before the restart
  std::shared_ptr<News> news = std::make_shared<News>();  // shared with the other shards
};

struct NextHopState {
  std::string name;
  std::uint64_t ready = 0, waiting = 0, active = 0;  // recipients' groups (jobs)
  std::uint32_t consecutive_site_troubles = 0;
  WallTime paused_until{};   // site back-off; epoch: open
  std::string last_reply;    // whatever the last attempt ended with
  SteadyTime answered_at{};  // when that was
  std::uint32_t window = 0;  // attempts that may run at once
  bool suspended = false;
};

/// Recipients of a wave, and what has come of asking them again.
struct AskedAgain {
  std::uint64_t let_go = 0;       // go now, where routing sends them now
  std::uint64_t in_delivery = 0;  // an attempt runs; asked again should it not deliver them
  std::uint64_t nowhere = 0;      // wait: routing has no place for them now
  std::uint64_t rerouted = 0;     // go where an operator ordered
  std::uint64_t suspended = 0;    // wait: where they are to go is suspended
  std::uint64_t held = 0;         // by their wave or an operator
  std::uint32_t next = 0;         // 0: that was all
};

struct QueueStats {
  std::uint64_t messages = 0, held = 0;
  std::uint64_t timers = 0;  // set ones, those that have lost their meaning included
  WallTime oldest{};
  WallTime held_until = WallTime::max();  // the first of what is held goes back to its sender then
  std::vector<NextHopState> next_hops;
};

class Queue {
 public:
  static std::unique_ptr<Queue> make(Options options, Context context);
  virtual ~Queue() = default;
  /// A message that the spool has just committed. `envelope` must be what was committed. `decided`:
  /// its next hops are by routes that held then or later; if no others have come since, routing is
  /// not asked again before the attempt.
  virtual void submit(spool::MessageRef message, std::shared_ptr<const mail::Envelope> envelope,
                      SteadyTime decided = SteadyTime::min()) = 0;
  /// A message found by recovery; recipients already settled are left out.
  virtual void restore(spool::StoredMessage stored) = 0;
  /// Due times of deferred mail to `next_hop` (all if empty) become now.
  virtual void flush(const std::string& next_hop) = 0;
  /// Everything that waits is asked again, held or not, a slice at once and the rest by and by.
  /// Called after each reload.
  virtual void routes_changed() = 0;
  /// The same as a walk in slices, after a wave has changed: what waits of `wave` is tried now.
  virtual AskedAgain ask_again(const std::string& wave, const Slice& slice) = 0;
  /// Retries, expiry and the rest from now on; waits that run already end when they were to.
  virtual void replace_options(Options options) = 0;
  /// Runs until stop() and until its attempts have ended. Spawn once.
  virtual net::Task<void> run() = 0;
  /// No new attempts; running ones may finish.
  virtual void stop() = 0;
  virtual QueueStats stats() const = 0;

  /// suspend and resume: what they mean for all mail that comes later. To be told to all shards
  /// before any of them walks through what is queued already.
  virtual void stand(const Command& command) = 0;
  /// Does what an operator said to what fits, one slice at a time. A suspension that does not stand
  /// (any more) touches nothing.
  virtual ControlResult control(const Command& command, const Slice& slice) = 0;
  /// Where the content of a message lies; nullopt: it is not here (any more).
  virtual std::optional<spool::MessageRef> find(QueueId id) const = 0;
  virtual ListResult list(const Selector& selector, const Slice& slice) = 0;
};

}  // namespace waypost::queue
