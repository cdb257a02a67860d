#include "waypost/base/clock.h"

namespace waypost {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime now() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  }
  SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

/// It never dies: a thread that hangs in a write of the log may look at it while the process ends.
Clock& Clock::system() {
  static auto& clock = *new SystemClock;
  return clock;
}

// Steady time starts one day in, so that "an hour ago" is representable in tests.
ManualClock::ManualClock(WallTime start)
    : wall_us_(start.time_since_epoch().count()),
      steady_ns_(std::chrono::nanoseconds(std::chrono::hours(24)).count()) {}

WallTime ManualClock::now() const { return WallTime(std::chrono::microseconds(wall_us_.load())); }

SteadyTime ManualClock::steady_now() const {
  return SteadyTime(std::chrono::nanoseconds(steady_ns_.load()));
}

void ManualClock::advance(Duration by) {
  wall_us_ += by.count();
  steady_ns_ += std::chrono::nanoseconds(by).count();
}

void ManualClock::set_wall(WallTime to) { wall_us_ = to.time_since_epoch().count(); }

}  // namespace waypost
