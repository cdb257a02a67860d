// Sessions per client address. Touched once at the begin and once at the end of a session.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace waypost::inbound {

class ClientCounts {
 public:
  /// How many this client has now, this one included.
  std::uint32_t enter(const std::string& address) {
    const std::lock_guard lock(mutex_);
    return ++counts_[address];
  }
  void leave(const std::string& address) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(address);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> counts_;
};

}  // namespace waypost::inbound
