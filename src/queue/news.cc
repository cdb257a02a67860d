#include "waypost/queue/news.h"

namespace waypost::queue {
namespace {

constexpr std::chrono::minutes kOneJump{15};  // idle shards look at the clock every ten minutes

}  // namespace

std::optional<std::uint32_t> News::down(const std::string& next_hop, SteadyTime now,
                                        SteadyTime until) {
  const std::lock_guard lock(mutex_);
  Trouble& trouble = troubles_[next_hop];
  if (trouble.times > 0 && now < trouble.quiet_until) return std::nullopt;
  if (trouble.times == 0) {
    trouble.since = now;
    down_.fetch_add(1, std::memory_order_relaxed);
  }
  trouble.told_at = now;
  trouble.quiet_until = until;
  return ++trouble.times;
}

std::optional<Duration> News::back(const std::string& next_hop, SteadyTime began, SteadyTime now) {
  if (down_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = troubles_.find(next_hop);
  // What was under way when the trouble began says nothing about its end.
  if (found == troubles_.end() || began < found->second.told_at) return std::nullopt;
  const auto lasted = std::chrono::floor<Duration>(now - found->second.since);
  troubles_.erase(found);
  down_.fetch_sub(1, std::memory_order_relaxed);
  return lasted;
}

bool News::clock_jumped(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (jumped_at_ && now - *jumped_at_ < kOneJump) return false;
  jumped_at_ = now;
  return true;
}

}  // namespace waypost::queue
