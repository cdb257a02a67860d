// Who wins among several addresses, when the next one is tried, and that the losers end.
#include "waypost/net/connect_race.h"

#include "test_loop.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace waypost::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Outcome;

struct Host {
  Duration answers_after{};
  bool refuses = false;
  bool silent = false;  // never answers; notices when it is cancelled
};

class ConnectRaceTest : public ::testing::Test, public Connector {
 protected:
  ManualClock clock;
  Shard shard{0, clock};
  std::map<std::string, Host> hosts;
  std::vector<std::pair<std::string, Duration>> begun;
  std::vector<std::string> cancelled;
  std::vector<std::unique_ptr<Stream>> far_ends;
  SteadyTime start = clock.steady_now();

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, std::string,
                                                SteadyTime deadline) override {
    const Host host = hosts[to.address];
    begun.emplace_back(to.address, since_start());
    if (host.silent) {
      boost::asio::basic_waitable_timer<
          std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>
          never(shard.io, std::chrono::hours(1));
      boost::system::error_code error;
      co_await never.async_wait(boost::asio::redirect_error(use_task, error));
      if (error) cancelled.push_back(to.address);
      co_return fail(ErrorKind::network, to.address + ": cancelled");
    }
    const SteadyTime answer = shard.timers.in(host.answers_after);
    (void)co_await shard.timers.sleep_until(std::min(answer, deadline));
    if (answer > deadline) co_return fail(ErrorKind::timeout, to.address + ": no answer in time");
    if (host.refuses) co_return fail(ErrorKind::network, to.address + ": refused");
    auto pair = make_memory_streams(shard.io, shard.timers);
    far_ends.push_back(std::move(pair.b));
    co_return std::move(pair.a);
  }
  Duration since_start() const {
    return std::chrono::duration_cast<Duration>(clock.steady_now() - start);
  }
  void poll() {
    for (std::size_t ran = 1; ran > 0;) {
      shard.timers.run_due();
      shard.io.restart();
      ran = shard.io.poll();
    }
  }
  RaceResult race(const std::vector<std::string>& addresses, RaceOptions options = {}) {
    std::vector<Endpoint> endpoints;
    for (const auto& address : addresses) endpoints.push_back({address, 25});
    ConnectRace race(shard, *this, std::move(options));
    Outcome<RaceResult> outcome;
    testing::spawn(shard.io, race.run(std::move(endpoints)), outcome);
    for (int steps = 0; steps < 10'000; ++steps) {
      poll();
      if (outcome.ended()) return outcome.take();
      clock.advance(milliseconds(10));
    }
    throw std::runtime_error("the race did not end");
  }
};

TEST_F(ConnectRaceTest, AFastFirstAddressIsTheOnlyOneAsked) {
  hosts["a"].answers_after = milliseconds(100);
  const RaceResult result = race({"a", "b"});
  ASSERT_TRUE(result.stream);
  EXPECT_EQ(result.winner, 0u);
  EXPECT_EQ(begun.size(), 1u);
  EXPECT_TRUE(result.failed.empty());
}

TEST_F(ConnectRaceTest, TheNextOneStartsAfterTheStaggerWhileTheFirstStillRuns) {
  hosts["a"].silent = true;
  hosts["b"].answers_after = milliseconds(400);
  hosts["c"].answers_after = milliseconds(50);
  const RaceResult result = race({"a", "b", "c", "d"});
  ASSERT_TRUE(result.stream);
  EXPECT_EQ(result.winner, 2u);
  ASSERT_EQ(begun.size(), 3u);
  EXPECT_EQ(begun[1].second, Duration(milliseconds(250)));
  EXPECT_EQ(begun[2].second, Duration(milliseconds(500)));
  EXPECT_EQ(result.overtaken, (std::vector<std::size_t>{0, 1}));
}

TEST_F(ConnectRaceTest, TheLosersAreCancelled) {
  hosts["a"].silent = hosts["b"].silent = true;
  const RaceResult result = race({"a", "b", "c"});
  ASSERT_TRUE(result.stream);
  EXPECT_EQ(result.winner, 2u);
  poll();
  EXPECT_EQ(cancelled, (std::vector<std::string>{"a", "b"}));
}

TEST_F(ConnectRaceTest, ALoserThatConnectsLateIsClosed) {
  hosts["a"].answers_after = milliseconds(300);
  hosts["b"].answers_after = milliseconds(10);
  const RaceResult result = race({"a", "b"});
  ASSERT_TRUE(result.stream);
  EXPECT_EQ(result.winner, 1u);
  clock.advance(seconds(1));
  poll();
  ASSERT_EQ(far_ends.size(), 2u);
  char octet = 0;
  EXPECT_EQ(far_ends[0]->try_read({&octet, 1}).state, IoState::want_read);  // b, the winner
  EXPECT_EQ(far_ends[1]->try_read({&octet, 1}).state, IoState::end_of_stream);
}

TEST_F(ConnectRaceTest, AfterARefusalTheNextOneStartsAtOnce) {
  hosts["a"].refuses = hosts["b"].refuses = true;
  const RaceResult result = race({"a", "b", "c"});
  ASSERT_TRUE(result.stream);
  EXPECT_EQ(result.winner, 2u);
  EXPECT_EQ(result.failed, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(begun.back().second, Duration::zero());
}

TEST_F(ConnectRaceTest, WithoutAnyAnswerTheLastReasonIsTold) {
  hosts["a"].refuses = true;
  hosts["b"].answers_after = std::chrono::minutes(5);
  const RaceResult result = race({"a", "b"});
  EXPECT_FALSE(result.stream);
  EXPECT_EQ(result.error.kind, ErrorKind::timeout);
  EXPECT_EQ(result.failed, (std::vector<std::size_t>{0, 1}));
  EXPECT_GE(since_start(), Duration(seconds(30)));
}

TEST_F(ConnectRaceTest, NoAddressAtAllFails) { EXPECT_FALSE(race({}).stream); }

TEST_F(ConnectRaceTest, CancelEndsItAndItsAttempts) {
  hosts["a"].silent = true;
  ConnectRace race(shard, *this, {});
  Outcome<RaceResult> outcome;
  testing::spawn(shard.io, race.run({{"a", 25}}), outcome);
  poll();
  EXPECT_FALSE(outcome.ended());
  race.cancel();
  poll();
  ASSERT_TRUE(outcome.ended());
  EXPECT_EQ(outcome.take().error.kind, ErrorKind::cancelled);
  EXPECT_EQ(cancelled, (std::vector<std::string>{"a"}));
}

TEST_F(ConnectRaceTest, ARaceThatIsDestroyedLeavesNothingRunning) {
  hosts["a"].silent = true;
  Outcome<RaceResult> outcome;
  auto race = std::make_unique<ConnectRace>(shard, *this, RaceOptions{});
  testing::spawn(shard.io, race->run({{"a", 25}}), outcome);
  poll();
  race.reset();
  poll();
  EXPECT_EQ(cancelled, (std::vector<std::string>{"a"}));
}

}  // namespace
}  // namespace waypost::net
