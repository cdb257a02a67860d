#include "waypost/base/queue_id.h"

#include <gtest/gtest.h>

#include <set>

namespace waypost {
namespace {

TEST(QueueId, TextFormRoundTrips) {
  for (const std::uint64_t value :
       {0ull, 1ull, 31ull, 32ull, 0x0FEDCBA987654321ull, (1ull << 60) - 1}) {
    const QueueId id{value};
    EXPECT_EQ(id.to_string().size(), 12u);
    const auto parsed = QueueId::parse(id.to_string());
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->value, value);
  }
}

TEST(QueueId, ReadsWhatPeopleType) {
  const auto parsed = QueueId::parse("0oO1iIlL00ab");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->to_string(), "0001111100AB");
}

TEST(QueueId, RefusesWrongLengthAndLetters) {
  EXPECT_FALSE(QueueId::parse(""));
  EXPECT_FALSE(QueueId::parse("0123456789A"));
  EXPECT_FALSE(QueueId::parse("0123456789AU"));
  EXPECT_FALSE(QueueId::parse("0123456789A\n"));
}

TEST(QueueIdSource, IdsGrowAlsoWhenTheClockStandsStillOrGoesBack) {
  ManualClock clock;
  QueueIdSource source(clock, 3);
  QueueId previous = source.next();
  for (int i = 0; i < 1000; ++i) {
    if (i == 500) clock.set_wall(clock.now() - std::chrono::hours(2));
    const QueueId id = source.next();
    EXPECT_GT(id, previous);
    previous = id;
  }
}

TEST(QueueIdSource, ShardsNeverCollideAndFloorsAreRespected) {
  ManualClock clock;
  std::set<QueueId> seen;
  for (unsigned shard = 0; shard < 16; ++shard) {
    QueueIdSource source(clock, shard);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(source.next()).second);
  }
  const QueueId highest = *seen.rbegin();
  QueueIdSource later(clock, 0, highest);
  EXPECT_GT(later.next(), highest);
}

}  // namespace
}  // namespace waypost
