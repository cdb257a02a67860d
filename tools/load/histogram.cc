#include "load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace waypost::load {

std::size_t Histogram::index_of(std::uint64_t us) {
  us = std::min(us, (std::uint64_t{1} << kTopBit) - 1);
  const unsigned width = static_cast<unsigned>(std::bit_width(us));
  if (width <= kSubBits + 1) return us;  // exact
  const unsigned shift = width - kSubBits - 1;
  return (std::size_t{shift} << kSubBits) + (us >> shift);
}

std::pair<std::uint64_t, std::uint64_t> Histogram::bounds(std::size_t index) {
  if (index < (std::size_t{2} << kSubBits)) return {index, index};
  const unsigned shift = static_cast<unsigned>(index >> kSubBits) - 1;
  const std::uint64_t top = index - (std::uint64_t{shift} << kSubBits);
  return {top << shift, ((top + 1) << shift) - 1};
}

void Histogram::add(std::uint64_t us, std::uint64_t times) {
  if (times == 0) return;
  if (buckets_.empty()) buckets_.resize(kBuckets);
  buckets_[index_of(us)] += times;
  min_ = count_ == 0 ? us : std::min(min_, us);
  max_ = std::max(max_, us);
  count_ += times;
  sum_ += static_cast<double>(us) * static_cast<double>(times);
}

void Histogram::merge(const Histogram& other) {
  if (other.count_ == 0) return;
  if (buckets_.empty()) buckets_.resize(kBuckets);
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
}

double Histogram::mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

std::uint64_t Histogram::at_percent(double percent) const {
  if (count_ == 0) return 0;
  const double exact = percent / 100.0 * static_cast<double>(count_);
  // The small step down keeps 99.9 % of 1,000 at 999 although 99.9 has no exact binary form.
  auto wanted = static_cast<std::uint64_t>(std::ceil(exact - 1e-6));
  wanted = std::clamp<std::uint64_t>(wanted, 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::clamp(bounds(i).second, min_, max_);
  }
  return max_;
}

std::vector<std::pair<std::uint32_t, std::uint64_t>> Histogram::sparse() const {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] != 0) out.emplace_back(static_cast<std::uint32_t>(i), buckets_[i]);
  }
  return out;
}

Histogram Histogram::restore(const std::vector<std::pair<std::uint32_t, std::uint64_t>>& buckets,
                             std::uint64_t min, std::uint64_t max, double mean) {
  Histogram out;
  for (const auto& [index, times] : buckets) {
    if (index < kBuckets) out.add(bounds(index).first, times);
  }
  out.min_ = min;
  out.max_ = max;
  out.sum_ = mean * static_cast<double>(out.count_);
  return out;
}

}  // namespace waypost::load
