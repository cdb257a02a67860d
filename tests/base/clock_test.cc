#include "waypost/base/clock.h"

#include <gtest/gtest.h>

namespace waypost {
namespace {

TEST(ManualClock, AdvancesBothTimesTogether) {
  ManualClock clock;
  const auto wall = clock.now();
  const auto steady = clock.steady_now();
  clock.advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.now() - wall, std::chrono::seconds(3));
  EXPECT_EQ(clock.steady_now() - steady, std::chrono::seconds(3));
}

TEST(ManualClock, WallJumpsLeaveSteadyTimeAlone) {
  ManualClock clock;
  const auto steady = clock.steady_now();
  clock.set_wall(clock.now() - std::chrono::hours(1));
  EXPECT_EQ(clock.steady_now(), steady);
}

TEST(SystemClock, SteadyTimeNeverGoesBack) {
  auto& clock = Clock::system();
  const auto first = clock.steady_now();
  EXPECT_LE(first, clock.steady_now());
}

}  // namespace
}  // namespace waypost
