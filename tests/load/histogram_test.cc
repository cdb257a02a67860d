#include "load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace waypost::load {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.at_percent(50), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_TRUE(histogram.sparse().empty());
}

TEST(Histogram, BucketsFollowEachOtherWithoutGapOrOverlap) {
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    const auto [low, high] = Histogram::bounds(i);
    ASSERT_EQ(low, expected) << "bucket " << i;
    ASSERT_GE(high, low);
    ASSERT_EQ(Histogram::index_of(low), i);
    ASSERT_EQ(Histogram::index_of(high), i);
    expected = high + 1;
  }
  EXPECT_EQ(expected, std::uint64_t{1} << Histogram::kTopBit);
}

TEST(Histogram, KeepsSmallValuesExactly) {
  Histogram histogram;
  for (std::uint64_t v = 1; v <= 100; ++v) histogram.add(v);
  EXPECT_EQ(histogram.at_percent(50), 50u);
  EXPECT_EQ(histogram.at_percent(99), 99u);
  EXPECT_EQ(histogram.at_percent(100), 100u);
  EXPECT_EQ(histogram.at_percent(0), 1u);
}

TEST(Histogram, PercentilesOfLargeValuesAreWithinTwoPercentOfTheTrueOnes) {
  Histogram histogram;
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(7, 1.5);
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 100'000; ++i) {
    const auto v = static_cast<std::uint64_t>(latency(random));
    all.push_back(v);
    histogram.add(v);
  }
  std::sort(all.begin(), all.end());
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 99.99}) {
    const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * 100'000 - 1e-6)) - 1;
    const auto exact = static_cast<double>(all[rank]);
    EXPECT_NEAR(static_cast<double>(histogram.at_percent(percent)), exact, exact * 0.02 + 1);
  }
  EXPECT_EQ(histogram.max(), all.back());
  EXPECT_EQ(histogram.min(), all.front());
}

TEST(Histogram, OneSlowMessageInATenThousandShowsBeyondThe9999thPart) {
  Histogram histogram;
  histogram.add(100, 9'999);
  histogram.add(5'000'000);
  EXPECT_EQ(histogram.at_percent(99.99), 100u);
  EXPECT_EQ(histogram.at_percent(100), 5'000'000u);
}

TEST(Histogram, MergingEqualsAddingAllToOne) {
  Histogram a, b, both;
  for (std::uint64_t v = 1; v < 5'000; v += 7) {
    (v % 2 == 0 ? a : b).add(v * v);
    both.add(v * v);
  }
  a.merge(b);
  EXPECT_EQ(a.sparse(), both.sparse());
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.min(), both.min());
  EXPECT_EQ(a.max(), both.max());
  EXPECT_DOUBLE_EQ(a.mean(), both.mean());
}

TEST(Histogram, CountsAbsurdValuesInItsLastBucket) {
  Histogram histogram;
  histogram.add(~std::uint64_t{0});
  EXPECT_EQ(histogram.sparse().front().first, Histogram::kBuckets - 1);
}

TEST(Histogram, IsTheSameAfterBeingWrittenAndRead) {
  Histogram histogram;
  for (std::uint64_t v = 3; v < 1'000'000; v *= 3) histogram.add(v, 2);
  const auto back =
      Histogram::restore(histogram.sparse(), histogram.min(), histogram.max(), histogram.mean());
  EXPECT_EQ(back.sparse(), histogram.sparse());
  EXPECT_EQ(back.max(), histogram.max());
  EXPECT_EQ(back.at_percent(99), histogram.at_percent(99));
  EXPECT_NEAR(back.mean(), histogram.mean(), 1e-6);
}

}  // namespace
}  // namespace waypost::load
