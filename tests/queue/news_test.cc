// Each shard meets a next hop's trouble by itself; the log tells it once.
#include "waypost/queue/news.h"

#include <gtest/gtest.h>

namespace waypost::queue {
namespace {

using std::chrono::seconds;

SteadyTime at(int second) { return SteadyTime(seconds(second)); }

TEST(News, ShardsThatMeetTheSameTroubleAreOneLineARound) {
  News news;
  EXPECT_EQ(news.down("workmail", at(0), at(30)), 1u);
  EXPECT_FALSE(news.down("workmail", at(0), at(28)));
  EXPECT_FALSE(news.down("workmail", at(29), at(61)));
  EXPECT_EQ(news.down("workmail", at(30), at(90)), 2u);
  EXPECT_FALSE(news.down("workmail", at(61), at(120)));
  EXPECT_EQ(news.down("exchange", at(61), at(90)), 1u) << "another next hop is other news";
}

TEST(News, TheEndIsToldOnceByTheFirstThatSeesIt) {
  News news;
  EXPECT_FALSE(news.back("workmail", at(0), at(1))) << "nobody was told that it was down";
  news.down("workmail", at(10), at(40));
  EXPECT_FALSE(news.back("workmail", at(9), at(11))) << "it began before the trouble";
  const auto lasted = news.back("workmail", at(41), at(42));
  ASSERT_TRUE(lasted);
  EXPECT_EQ(*lasted, Duration(seconds(32)));
  EXPECT_FALSE(news.back("workmail", at(43), at(44)));
  EXPECT_EQ(news.down("workmail", at(50), at(80)), 1u) << "a new trouble counts from one";
}

TEST(News, AJumpOfTheClockIsOneEvent) {
  News news;
  EXPECT_TRUE(news.clock_jumped(at(0)));
  EXPECT_FALSE(news.clock_jumped(at(600)));
  EXPECT_TRUE(news.clock_jumped(at(3600)));
}

}  // namespace
}  // namespace waypost::queue
