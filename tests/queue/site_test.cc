// The window of a next hop, its breaker, and whose turn it is.
#include "queue/site.h"

#include "queue/ready_lanes.h"
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

SteadyTime at(int second) { return SteadyTime(seconds(1000 + second)); }

TEST(Site, DoublesWithSuccessUpToItsLimit) {
  Site site;
  EXPECT_EQ(site.window(20), Site::kFirstWindow);
  for (int n = 0; n < 5; ++n) site.succeeded(20);
  EXPECT_EQ(site.window(20), 10u);
  for (int n = 0; n < 100; ++n) site.succeeded(20);
  EXPECT_EQ(site.window(20), 20u);
  EXPECT_EQ(site.window(3), 3u);
}

TEST(Site, IsHalvedOncePerRoundAndGrowsByOneARoundAfterIt) {
  Site site;
  for (int n = 0; n < 15; ++n) site.succeeded(20);
  ASSERT_EQ(site.window(20), 20u);
  site.shrink(at(0), at(5));
  for (int n = 0; n < 19; ++n) site.shrink(at(1), at(6));  // they ran at the same time
  EXPECT_EQ(site.window(20), 10u);
  for (int n = 0; n < 10; ++n) site.succeeded(20);
  EXPECT_LE(site.window(20), 11u);
  site.shrink(at(7), at(8));
  EXPECT_EQ(site.window(20), 5u);
}

TEST(Site, ABrokenConnectionShrinksAndOnlyTheLastOnePauses) {
  Site site;
  for (int n = 0; n < 15; ++n) site.succeeded(20);
  int rounds = 0;
  while (!site.troubled(true, at(rounds), at(rounds))) ++rounds;
  EXPECT_EQ(rounds, 4);  // 20, 10, 5, 2, 1
  site.pause(at(100));
  EXPECT_TRUE(site.paused(at(99)));
  EXPECT_FALSE(site.paused(at(100)));
  EXPECT_EQ(site.window(20), 1u);
}

TEST(Site, OneThatCanNotBeReachedIsLeftAloneAtOnce) {
  Site site;
  EXPECT_TRUE(site.troubled(false, at(0), at(1)));
  site.pause(at(30));
  EXPECT_FALSE(site.troubled(false, at(0), at(2)));  // it ran at the same time
  EXPECT_EQ(site.troubles(), 1u);
  EXPECT_TRUE(site.troubled(false, at(30), at(31)));
  site.pause(at(90));
  EXPECT_EQ(site.troubles(), 2u);
  site.succeeded(20);
  EXPECT_EQ(site.troubles(), 0u);
}

TEST(ReadyLanes, EachSenderHasItsTurn) {
  Slab<Job> jobs;
  ReadyLanes lanes(jobs);
  std::vector<std::uint32_t> many;
  for (int n = 0; n < 100; ++n) lanes.push_back(1, many.emplace_back(jobs.add()));
  const auto single = jobs.add();
  lanes.push_back(2, single);
  EXPECT_EQ(lanes.size(), 101u);
  EXPECT_EQ(lanes.pop(), many[0]);
  EXPECT_EQ(lanes.pop(), single);
  EXPECT_EQ(lanes.pop(), many[1]);
  lanes.push_back(2, single);
  lanes.remove(1, many[50]);
  lanes.remove(2, single);
  std::vector<std::uint32_t> rest;
  while (!lanes.empty()) rest.push_back(lanes.pop());
  many.erase(many.begin() + 50);
  many.erase(many.begin(), many.begin() + 2);
  EXPECT_EQ(rest, many);
}

TEST_F(QueueTest, FiftyThousandMessagesOfOneSenderDelayNobodyElse) {
  options.concurrency = 1;
  h0.blocked = true;
  start();
  for (int n = 0; n < 2000; ++n) submit(envelope({0}));
  auto other = envelope({0});
  other.reverse_path = mail::Mailbox{"somebody", "else.example"};
  const auto id = submit(other);
  h0.release_one();
  settle();
  h0.release_one();
  settle();
  h0.release_one();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_LE(h0.seen.size(), 4u);
}

TEST_F(QueueTest, LessIsSentAtOnceToAServerThatAsksForLess) {
  h0.blocked = true;
  start();
  for (int n = 0; n < 50; ++n) submit(envelope({0}));
  h0.blocked = false;
  h0.release();
  settle();
  EXPECT_EQ(hop("h0").window, 20u);
  h0.asks_for_less = true;
  h0.judge = [](const std::string&) { return deferred("451 4.7.0 slow down"); };
  submit(envelope({0}));
  EXPECT_EQ(hop("h0").window, 10u);
  EXPECT_EQ(hop("h0").consecutive_site_troubles, 0u);
}

}  // namespace
}  // namespace waypost::queue::testing
