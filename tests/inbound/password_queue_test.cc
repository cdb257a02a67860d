#include "inbound/password_queue.h"

#include <gtest/gtest.h>

#include <map>

namespace waypost::inbound {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class PasswordQueueTest : public ::testing::Test {
 protected:
  /// False: somebody was turned away.
  bool ask(const std::string& client, const std::string& user = "exchange") {
    const auto away = queue.push({client, user, [] { return true; }, [] {}}, now);
    if (away) turned_away.push_back(away->client);
    return !away;
  }
  std::string serve(bool good) {
    const PasswordQueue::Job job = queue.pop();
    queue.judged(job, good, now);
    return job.client;
  }
  PasswordQueue queue;
  SteadyTime now{seconds(1000)};
  std::vector<std::string> turned_away;
};

TEST_F(PasswordQueueTest, ClientsTakeTurns) {
  for (int i = 0; i < 20; ++i) ask("10.0.0.1");
  ask("10.0.0.2");
  ask("10.0.0.3");
  std::vector<std::string> first;
  for (int i = 0; i < 3; ++i) first.push_back(serve(true));
  EXPECT_EQ(first, (std::vector<std::string>{"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
  ask("10.0.0.4");
  EXPECT_EQ(serve(true), "10.0.0.1");
  EXPECT_EQ(serve(true), "10.0.0.4");
}

TEST_F(PasswordQueueTest, WhoFailedLatelyComesLastAndWhoLoggedInFirst) {
  ask("10.0.0.1");
  serve(true);
  ask("10.0.0.2");
  serve(false);
  ask("10.0.0.2");
  ask("10.0.0.3");
  ask("10.0.0.1");
  EXPECT_EQ(serve(true), "10.0.0.1");
  EXPECT_EQ(serve(true), "10.0.0.3");
  EXPECT_EQ(serve(true), "10.0.0.2");
  now += minutes(11);  // forgotten: it takes its turn before one that fails now
  ask("10.0.0.9");
  serve(false);
  ask("10.0.0.9");
  ask("10.0.0.5");
  EXPECT_EQ(serve(true), "10.0.0.5");
}

TEST_F(PasswordQueueTest, WhoIsKnownStaysSoWhateverOthersAtItsAddressTry) {
  ask("10.0.0.1", "exchange");
  serve(true);
  for (int i = 0; i < 10; ++i) {
    ask("10.0.0.1", "root");
    serve(false);
  }
  ask("10.0.0.2");
  ask("10.0.0.1", "exchange");
  EXPECT_EQ(serve(true), "10.0.0.1");
}

TEST_F(PasswordQueueTest, AFullQueueTurnsTheGreediestOfTheLastAway) {
  for (std::size_t i = 0; i < PasswordQueue::kMostWaiting; ++i) EXPECT_TRUE(ask("10.0.0.1"));
  EXPECT_FALSE(ask("10.0.0.2"));
  EXPECT_EQ(turned_away, std::vector<std::string>{"10.0.0.1"});
  EXPECT_FALSE(ask("10.0.0.1"));
  EXPECT_EQ(turned_away.back(), "10.0.0.1");
  EXPECT_EQ(serve(true), "10.0.0.1");
  EXPECT_EQ(serve(true), "10.0.0.2");
}

/// 120 addresses guess without end; each waits a second longer after each failure and comes again
/// after three. Fifteen others know their password.
TEST_F(PasswordQueueTest, StrangersDoNotKeepTheRightOnesOut) {
  struct Stranger {
    SteadyTime next{};
    int failed = 0;
    bool waits = false;
  };
  std::map<std::string, Stranger> strangers;
  for (int i = 0; i < 120; ++i) strangers["198.51.100." + std::to_string(i)] = {};
  const SteadyTime begin = now;
  int in = 0, asked = 0, guesses = 0;
  while (now < begin + seconds(60)) {
    for (auto& [address, one] : strangers) {
      if (one.waits || now < one.next) continue;
      one.waits = true;
      ++guesses;
      ask(address, "root");
    }
    for (; !turned_away.empty(); turned_away.pop_back()) {
      ASSERT_TRUE(turned_away.back().starts_with("198.")) << "a right one is turned away";
      strangers[turned_away.back()].waits = false;
      strangers[turned_away.back()].next = now + seconds(1);
    }
    if (asked < 15 && now >= begin + seconds(3) + seconds(3) * asked)
      ask("10.0.0." + std::to_string(asked++));
    const std::string served = serve(false);
    now += milliseconds(80);
    if (served.starts_with("10.")) {
      ++in;
    } else {
      Stranger& one = strangers[served];
      one.waits = false;
      one.next = now + seconds(++one.failed % 3 + 1);
    }
  }
  EXPECT_GT(guesses, 600);
  EXPECT_EQ(asked, 15);
  EXPECT_EQ(in, 15);
}

TEST(ClientKey, OneMachineIsOneClient) {
  EXPECT_EQ(client_key("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(client_key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(client_key("2001:db8:1:2::9"), client_key("2001:db8:1:2:ffff::1"));
  EXPECT_NE(client_key("2001:db8:1:3::9"), client_key("2001:db8:1:2::9"));
}

TEST(RecentKeys, AreBounded) {
  RecentKeys keys(3, minutes(10));
  SteadyTime now{seconds(1)};
  for (const char* key : {"a", "b", "c", "a", "d"}) keys.add(key, now += seconds(1));
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_FALSE(keys.contains("b", now));
  EXPECT_TRUE(keys.contains("a", now) && keys.contains("c", now) && keys.contains("d", now));
  EXPECT_FALSE(keys.contains("d", now + minutes(10)));
}

}  // namespace
}  // namespace waypost::inbound
