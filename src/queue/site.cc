#include "queue/site.h"

#include <algorithm>

namespace waypost::queue {

void Site::succeeded(std::uint32_t most) {
  troubles_ = 0;
  window_ += window_ < doubling_below_ ? 1.0 : 1.0 / window_;
  window_ = std::min<double>(window_, std::max<std::uint32_t>(most, kFirstWindow));
}

void Site::shrink(SteadyTime began, SteadyTime now) {
  if (began < shrunk_at_) return;
  shrunk_at_ = now;
  window_ = std::max(1.0, window_ / 2);
  doubling_below_ = window_;
}

bool Site::troubled(bool reached, SteadyTime began, SteadyTime now) {
  if (paused(now)) return false;  // attempts that ran side by side meet the same trouble
  const bool least = window_ < 2 || troubles_ > 0;
  if (reached && !least) {
    shrink(began, now);
    return false;
  }
  if (reached && began < shrunk_at_) return false;
  shrink(began, now);
  return true;
}

}  // namespace waypost::queue
