#include "queue/backoff.h"

#include <algorithm>

namespace waypost::queue {

Backoff::Backoff(double jitter, std::uint64_t seed)
    : jitter_(std::clamp(jitter, 0.0, 0.9)), random_(seed) {}

Duration Backoff::after(const std::vector<Duration>& schedule, std::uint32_t failures) {
  Duration step = std::chrono::minutes(15);
  if (!schedule.empty()) {
    step = schedule[std::min<std::size_t>(failures == 0 ? 0 : failures - 1, schedule.size() - 1)];
  }
  std::uniform_real_distribution<double> share(1.0 - jitter_, 1.0 + jitter_);
  const double us = static_cast<double>(step.count()) * share(random_);
  return std::max(Duration(static_cast<std::int64_t>(us)), Duration(std::chrono::milliseconds(1)));
}

}  // namespace waypost::queue
