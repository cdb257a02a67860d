// What the log tells of next hops and of the clock, once for the process: each shard meets the same
// trouble by itself.
//
// News: one, shared by the queues of all shards; any thread. It decides who speaks, not what is
// said. Costs a success nothing while no next hop is down.
#pragma once

#include "waypost/base/clock.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace waypost::queue {

class News {
 public:
  /// A shard leaves the next hop alone until `until`. So often in a row it is told of; nullopt: it
  /// has been told for this round, which ends with the pause that was told.
  std::optional<std::uint32_t> down(const std::string& next_hop, SteadyTime now, SteadyTime until);

  /// The next hop has answered in an attempt that began then. How long it was down, if that was
  /// told and this is the first answer since; else nullopt.
  std::optional<Duration> back(const std::string& next_hop, SteadyTime began, SteadyTime now);

  /// A shard has seen the wall clock jump. False: so has another one, just now.
  bool clock_jumped(SteadyTime now);

 private:
  struct Trouble {
    std::uint32_t times = 0;
    SteadyTime since{}, told_at{}, quiet_until{};
  };
  std::atomic<std::uint32_t> down_{0};  // next hops
  std::mutex mutex_;
  std::map<std::string, Trouble> troubles_;
  std::optional<SteadyTime> jumped_at_;
};

}  // namespace waypost::queue
