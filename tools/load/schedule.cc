#include "load/schedule.h"

#include <cmath>

namespace waypost::load {

std::chrono::nanoseconds Schedule::offset(std::uint64_t sequence) const {
  const auto n = static_cast<double>(sequence);
  const double ramp = static_cast<double>(options_.ramp_up.count()) / 1e6;
  // During the ramp n(t) = rate t^2 / (2 ramp); behind it the line of full rate.
  const double in_ramp = options_.rate * ramp / 2;
  const double seconds =
      n < in_ramp ? std::sqrt(2 * ramp * n / options_.rate) : ramp + (n - in_ramp) / options_.rate;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

bool Schedule::over(SteadyTime now) const {
  const std::uint64_t next = next_.load(std::memory_order_relaxed);
  if (stopped() || next >= options_.count) return true;
  if (options_.duration == Duration::max()) return false;
  return open_loop() ? offset(next) >= options_.duration : now >= start_ + options_.duration;
}

std::optional<Schedule::Slot> Schedule::take(SteadyTime now) {
  if (stopped()) return std::nullopt;
  const bool limited = options_.duration != Duration::max();
  if (limited && now >= start_ + options_.duration && !open_loop()) return std::nullopt;
  const std::uint64_t sequence = next_.fetch_add(1, std::memory_order_relaxed);
  if (sequence >= options_.count) return std::nullopt;
  if (!open_loop()) return Slot{sequence, now};
  const auto after = offset(sequence);
  if (limited && after >= options_.duration) return std::nullopt;
  return Slot{sequence, start_ + after};
}

}  // namespace waypost::load
