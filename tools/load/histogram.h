// Latencies in microseconds, log-bucketed: every value is kept to within 1.6 %.
//
// One writer; add up the histograms of several threads with merge(). Values below 128 us are exact.
// 64 buckets to each doubling, up to 2^40 us (12 days); larger values count as that.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace waypost::load {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 6;
  static constexpr unsigned kTopBit = 40;
  static constexpr std::size_t kBuckets = (kTopBit - kSubBits + 1) << kSubBits;

  void add(std::uint64_t us, std::uint64_t times = 1);
  void merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const { return max_; }
  double mean() const;
  /// The smallest recorded value (rounded up to its bucket's end, at most max()) that `percent` of
  /// all values do not exceed. 0 when empty.
  std::uint64_t at_percent(double percent) const;
  /// Bucket bounds: values of bucket `index` are low..high, both included.
  static std::pair<std::uint64_t, std::uint64_t> bounds(std::size_t index);
  static std::size_t index_of(std::uint64_t us);

  /// Non-empty buckets as (index, count), for the JSON report.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> sparse() const;
  static Histogram restore(const std::vector<std::pair<std::uint32_t, std::uint64_t>>& buckets,
                           std::uint64_t min, std::uint64_t max, double mean);

 private:
  std::vector<std::uint64_t> buckets_;  // empty until the first value
  std::uint64_t count_ = 0, min_ = 0, max_ = 0;
  double sum_ = 0;
};

}  // namespace waypost::load
