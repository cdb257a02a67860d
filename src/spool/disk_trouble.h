// Whether the disk has failed for so long that it is not one bad moment.
//
// One writer (the committer), read from any thread. A single success ends it.
#pragma once

#include "waypost/base/clock.h"

#include <atomic>
#include <mutex>
#include <string>

namespace waypost::spool {

class DiskTrouble {
 public:
  /// Everything has failed for so long, and was tried within so long.
  static constexpr std::chrono::seconds kLasts{10};

  void succeeded() { first_ns_.store(0, std::memory_order_relaxed); }
  void failed(SteadyTime now, const std::string& why) {
    const std::int64_t ns = now.time_since_epoch().count();
    if (first_ns_.load(std::memory_order_relaxed) == 0) first_ns_.store(ns);
    last_ns_.store(ns);
    const std::lock_guard lock(mutex_);
    why_ = why;
  }
  /// Something failed, and nothing has succeeded since.
  bool any() const { return first_ns_.load(std::memory_order_relaxed) != 0; }
  bool lasting(SteadyTime now) const {
    const std::int64_t first = first_ns_.load();
    const std::int64_t ns = now.time_since_epoch().count();
    const std::int64_t patience = std::chrono::nanoseconds(kLasts).count();
    return first != 0 && ns - first >= patience && ns - last_ns_.load() < patience;
  }
  std::string why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  std::atomic<std::int64_t> first_ns_{0}, last_ns_{0};
  mutable std::mutex mutex_;
  std::string why_;
};

}  // namespace waypost::spool
