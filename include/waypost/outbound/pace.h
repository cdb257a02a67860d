// How many messages a second a next hop is given: a place in time for each.
//
// Pace: one per next hop, shared by its deliverers on all shards. Any thread, no lock. Messages are
// spaced evenly: after a pause there is no burst, which is what a throttling server punishes.
#pragma once

#include "waypost/base/clock.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace waypost::outbound {

class Pace {
 public:
  /// Takes the next place and says when it is: not before `present`. REQUIRES: per_second > 0.
  SteadyTime reserve(SteadyTime present, std::uint32_t per_second) {
    const std::int64_t now = present.time_since_epoch().count();
    const std::int64_t step = 1'000'000'000 / per_second;
    std::int64_t next = next_.load(std::memory_order_relaxed);
    std::int64_t mine = 0;
    do {
      mine = std::max(next, now);
    } while (!next_.compare_exchange_weak(next, mine + step, std::memory_order_relaxed));
    return SteadyTime(std::chrono::nanoseconds(mine));
  }

 private:
  std::atomic<std::int64_t> next_{0};  // nanoseconds of steady time
};

}  // namespace waypost::outbound
