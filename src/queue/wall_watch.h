// How long the wall clock has run without a jump, as this process has seen it.
//
// Others can set the wall clock: a virtual machine resumes, a machine boots with a wrong clock, NTP
// corrects it. What can't be undone is not done by a clock that has jumped within the last hour,
// nor within the first hour of this process.
#pragma once

#include "waypost/base/clock.h"

namespace waypost::queue {

class WallWatch {
 public:
  static constexpr std::chrono::hours kMustStand{1};
  /// Between two looks the clock may be slewed (500 ppm by NTP), more is a jump.
  static constexpr std::chrono::seconds kSlewed{2};

  WallWatch(WallTime wall, SteadyTime steady)
      : apart_(distance(wall, steady)), stands_since_(steady) {}

  /// To be called with each decision. False: the clock has jumped since the last look.
  bool look(WallTime wall, SteadyTime steady) {
    const Duration apart = distance(wall, steady);
    const Duration jump = apart - apart_;
    apart_ = apart;
    if (jump <= kSlewed && jump >= -kSlewed) return true;
    stands_since_ = steady;
    return false;
  }
  SteadyTime trusted_from() const { return stands_since_ + kMustStand; }

 private:
  static Duration distance(WallTime wall, SteadyTime steady) {
    return wall.time_since_epoch() - std::chrono::floor<Duration>(steady.time_since_epoch());
  }
  Duration apart_;
  SteadyTime stands_since_;
};

}  // namespace waypost::queue
