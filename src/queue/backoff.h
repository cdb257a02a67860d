// How long to wait before the next attempt: a schedule with jitter, so that a thousand deferrals
// don't come back at once.
#pragma once

#include "waypost/base/clock.h"

#include <cstdint>
#include <random>
#include <vector>

namespace waypost::queue {

class Backoff {
 public:
  Backoff(double jitter, std::uint64_t seed);
  /// `failures` >= 1: how often it has been tried in vain. Beyond the schedule its last step
  /// repeats.
  Duration after(const std::vector<Duration>& schedule, std::uint32_t failures);

 private:
  double jitter_;
  std::mt19937_64 random_;
};

}  // namespace waypost::queue
