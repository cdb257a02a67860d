// Deadlines and sleeps of one shard, on a clock that a test may own.
//
// Timers: one per shard, that shard's thread only. In production drive() sleeps on one Asio timer;
// in a simulation the test calls run_due() itself after advancing a ManualClock. Deadline nodes are
// intrusive: arming one is a store and, at most, a list insertion: no allocation and no system call
// per operation. Expiry is seen within kTick.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/net/task.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>

namespace waypost::net {

class Timers;

/// Calls `expired` once when `at` has passed. Re-armable. Unlinks itself when destroyed.
class Deadline {
 public:
  explicit Deadline(Timers& timers) : timers_(&timers) {}
  ~Deadline() { disarm(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  void arm(SteadyTime at, void (*expired)(void*), void* argument);
  void disarm();
  bool armed() const { return linked_; }

 private:
  friend class Timers;
  Timers* timers_;
  SteadyTime at_{};
  void (*expired_)(void*) = nullptr;
  void* argument_ = nullptr;
  Deadline* previous_ = nullptr;
  Deadline* next_ = nullptr;
  bool linked_ = false;
};

class Timers {
 public:
  static constexpr std::chrono::milliseconds kTick{100};
  Timers(const Clock& clock, boost::asio::io_context& io);
  ~Timers();
  const Clock& clock() const { return clock_; }
  SteadyTime now() const { return clock_.steady_now(); }
  SteadyTime in(Duration d) const { return now() + d; }

  /// Suspends until `at` or until stop(); ErrorKind::cancelled in the latter case. Exact, not to
  /// the tick.
  Task<Result<>> sleep_until(SteadyTime at);
  /// A sleep that another coroutine of this shard can cut short. One sleeper coroutine at a time.
  class Sleeper {
   public:
    explicit Sleeper(Timers& timers) : timers_(timers) {}
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    /// Returns when `at` has passed or wake() was called (also before the call: one wake is
    /// remembered).
    Task<Result<>> sleep_until(SteadyTime at);
    void wake();

   private:
    Timers& timers_;
    bool woken_ = false;
    std::uint64_t sleep_ = 0;  // 0: not asleep
  };

  /// Fires everything that is due. For simulation; drive() does it in production.
  void run_due();
  /// The earliest moment at which run_due() has work, or SteadyTime::max().
  SteadyTime next_due() const;
  /// Runs until stop(). Spawn once per shard.
  Task<void> drive();
  void stop();

 private:
  friend class Deadline;
  struct Impl;
  Task<Result<>> sleep(SteadyTime at, std::uint64_t* id);
  const Clock& clock_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace waypost::net
