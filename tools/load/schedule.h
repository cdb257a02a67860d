// When each message is due. Open loop: by the clock, whatever the server does; closed loop: as soon
// as the one before it is done.
//
// Schedule: one per run, any thread. In an open loop latency counts from the due time, so a server
// that stalls is charged for every message that should have been sent meanwhile.
#pragma once

#include "waypost/base/clock.h"

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

namespace waypost::load {

struct ScheduleOptions {
  double rate = 0;                      // messages a second; 0: closed loop
  Duration ramp_up{};                   // the rate rises from 0 during this time
  Duration duration = Duration::max();  // no message is due later
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
};

class Schedule {
 public:
  explicit Schedule(const ScheduleOptions& options) : options_(options) {}
  /// Call once, before take().
  void start(SteadyTime at) { start_ = at; }

  struct Slot {
    std::uint64_t sequence = 0;
    SteadyTime due{};
  };
  /// The next message; nullopt: no more. Closed loop: it is due `now`.
  std::optional<Slot> take(SteadyTime now);
  /// True if take() would give nothing: no need to open a connection for it.
  bool over(SteadyTime now) const;
  /// No further slot is given out.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  bool open_loop() const { return options_.rate > 0; }
  SteadyTime start_time() const { return start_; }

  /// Open loop: time from the start until message `sequence` is due.
  std::chrono::nanoseconds offset(std::uint64_t sequence) const;

 private:
  ScheduleOptions options_;
  SteadyTime start_{};
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace waypost::load
