#include "load/schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace waypost::load {
namespace {

using namespace std::chrono_literals;

SteadyTime at(std::chrono::nanoseconds since) { return SteadyTime(since); }

TEST(Schedule, OpenLoopIsDueByTheClockHoweverLateItIsAsked) {
  ScheduleOptions options;
  options.rate = 100;
  Schedule schedule(options);
  schedule.start(at(5s));
  EXPECT_EQ(schedule.take(at(5s))->due, at(5s));
  EXPECT_EQ(schedule.take(at(5s))->due, at(5s + 10ms));
  // The server has stalled for a minute: the next message was due long ago, and is charged for it.
  EXPECT_EQ(schedule.take(at(65s))->due, at(5s + 20ms));
}

TEST(Schedule, ClosedLoopIsDueNow) {
  Schedule schedule({});
  schedule.start(at(0s));
  EXPECT_EQ(schedule.take(at(3s))->due, at(3s));
  EXPECT_EQ(schedule.take(at(9s))->sequence, 1u);
}

TEST(Schedule, GivesOutExactlyTheCount) {
  ScheduleOptions options;
  options.count = 3;
  Schedule schedule(options);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(schedule.over(at(0s)));
    EXPECT_EQ(schedule.take(at(0s))->sequence, i);
  }
  EXPECT_TRUE(schedule.over(at(0s)));
  EXPECT_FALSE(schedule.take(at(0s)));
}

TEST(Schedule, OpenLoopSendsWhatIsDueWithinTheDurationAndNoMore) {
  ScheduleOptions options;
  options.rate = 50;
  options.duration = 2s;
  Schedule schedule(options);
  schedule.start(at(0s));
  std::uint64_t given = 0;
  while (schedule.take(at(0s))) ++given;
  EXPECT_EQ(given, 100u);
  EXPECT_TRUE(schedule.over(at(0s)));
}

TEST(Schedule, ClosedLoopEndsWithTheDuration) {
  ScheduleOptions options;
  options.duration = 2s;
  Schedule schedule(options);
  schedule.start(at(10s));
  EXPECT_TRUE(schedule.take(at(12s - 1ns)));
  EXPECT_TRUE(schedule.over(at(12s)));
  EXPECT_FALSE(schedule.take(at(12s)));
}

TEST(Schedule, RampUpRisesEvenlyAndMeetsTheFullRate) {
  ScheduleOptions options;
  options.rate = 1000;
  options.ramp_up = 10s;
  const Schedule schedule(options);
  // Half of the full rate on average: 5,000 messages in the ramp, a quarter of them in its first
  // half.
  EXPECT_NEAR(std::chrono::duration<double>(schedule.offset(1'250)).count(), 5.0, 0.001);
  EXPECT_NEAR(std::chrono::duration<double>(schedule.offset(5'000)).count(), 10.0, 0.001);
  EXPECT_NEAR(std::chrono::duration<double>(schedule.offset(15'000)).count(), 20.0, 0.001);
  for (std::uint64_t i = 1; i < 20'000; ++i) {
    ASSERT_GE(schedule.offset(i), schedule.offset(i - 1));
  }
}

TEST(Schedule, StopEndsIt) {
  Schedule schedule({});
  schedule.stop();
  EXPECT_TRUE(schedule.over(at(0s)));
  EXPECT_FALSE(schedule.take(at(0s)));
}

}  // namespace
}  // namespace waypost::load
