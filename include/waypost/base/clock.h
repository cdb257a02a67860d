// Time as a contract, so that a test can own it.
//
// Owns: Clock (wall and steady time), its system implementation, and ManualClock for tests and
// simulation. Any thread may read a Clock. Nothing in Waypost calls std::chrono::...::now() except
// SystemClock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace waypost {

using Duration = std::chrono::microseconds;
/// Wall time, microseconds since the Unix epoch, UTC.
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;
/// Monotonic time, for deadlines and intervals; meaningless across restarts.
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;
  virtual SteadyTime steady_now() const = 0;

  /// The machine's clock; lives as long as the process.
  static Clock& system();
};

/// Stands still until told. Wall and steady time advance together; set_wall makes the wall clock
/// jump.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(
      WallTime start = WallTime(std::chrono::seconds(1'764'547'200)));  // 2025-12-01
  WallTime now() const override;
  SteadyTime steady_now() const override;
  void advance(Duration by);
  void set_wall(WallTime to);

 private:
  std::atomic<std::int64_t> wall_us_;
  std::atomic<std::int64_t> steady_ns_;
};

}  // namespace waypost
