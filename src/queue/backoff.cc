#include "queue/backoff.h"

#include <algorithm>

namespace waypost::queue {

Backoff::Backoff(std::vector<Duration> schedule, double jitter, std::uint64_t seed)
    : schedule_(std::move(schedule)), jitter_(std::clamp(jitter, 0.0, 0.9)), random_(seed) {
  if (schedule_.empty()) schedule_.push_back(std::chrono::minutes(15));
}

Duration Backoff::after(std::uint32_t failures) {
  const std::size_t step =
      std::min<std::size_t>(failures == 0 ? 0 : failures - 1, schedule_.size() - 1);
  std::uniform_real_distribution<double> share(1.0 - jitter_, 1.0 + jitter_);
  const double us = static_cast<double>(schedule_[step].count()) * share(random_);
  return std::max(Duration(static_cast<std::int64_t>(us)), Duration(std::chrono::milliseconds(1)));
}

}  // namespace waypost::queue
