// What the log was told of a next hop's servers, so that not every shard says it again.
//
// Told: one, shared by the deliverers of all next hops and shards; any thread.
#pragma once

#include "waypost/base/clock.h"

#include <map>
#include <mutex>
#include <string>

namespace waypost::outbound {

class Told {
 public:
  /// True: say it. False: somebody has, within the last hour.
  bool is_news(const std::string& what, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    if (told_.size() >= kMost) told_.clear();
    const auto [at, fresh] = told_.try_emplace(what, now);
    if (!fresh && now - at->second < std::chrono::hours(1)) return false;
    at->second = now;
    return true;
  }

 private:
  static constexpr std::size_t kMost = 1000;
  std::mutex mutex_;
  std::map<std::string, SteadyTime> told_;
};

}  // namespace waypost::outbound
