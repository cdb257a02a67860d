#include "queue/backoff.h"

#include <gtest/gtest.h>

namespace waypost::queue {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(Backoff, FollowsTheScheduleAndRepeatsItsLastStep) {
  Backoff backoff(0, 1);
  const std::vector<Duration> schedule = {seconds(30), minutes(1), minutes(5)};
  EXPECT_EQ(backoff.after(schedule, 1), seconds(30));
  EXPECT_EQ(backoff.after(schedule, 2), minutes(1));
  EXPECT_EQ(backoff.after(schedule, 3), minutes(5));
  EXPECT_EQ(backoff.after(schedule, 4'000'000'000u), minutes(5));
}

TEST(Backoff, JitterStaysInItsShareAndUsesMostOfIt) {
  Backoff backoff(0.2, 7);
  Duration least = Duration::max();
  Duration most = Duration::zero();
  for (int n = 0; n < 10'000; ++n) {
    const Duration wait = backoff.after({seconds(100)}, 1);
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, seconds(80));
  EXPECT_LE(least, seconds(81));
  EXPECT_LE(most, seconds(120));
  EXPECT_GE(most, seconds(119));
}

TEST(Backoff, NeverIsNothingWhateverIsConfigured) {
  Backoff backoff(5.0, 1);
  EXPECT_GT(backoff.after({Duration::zero()}, 1), Duration::zero());
  Backoff exact(-1, 1);
  EXPECT_EQ(exact.after({}, 0), minutes(15));
}

}  // namespace
}  // namespace waypost::queue
