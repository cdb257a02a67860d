#include "waypost/net/timers.h"

#include "net/test_loop.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>

namespace waypost::net::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

void count_up(void* argument) { ++*static_cast<int*>(argument); }

TEST(Deadline, FiresOnceWhenItsMomentHasPassed) {
  SimulatedLoop loop;
  int fired = 0;
  Deadline deadline(loop.timers);
  deadline.arm(loop.in(seconds(5)), &count_up, &fired);
  EXPECT_TRUE(deadline.armed());
  loop.advance(milliseconds(4999));
  EXPECT_EQ(fired, 0);
  loop.advance(milliseconds(1));
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(deadline.armed());
  loop.advance(hours(1));
  EXPECT_EQ(fired, 1);
}

TEST(Deadline, ArmedAnewCountsTheNewMoment) {
  SimulatedLoop loop;
  int early = 0;
  int late = 0;
  Deadline deadline(loop.timers);
  deadline.arm(loop.in(seconds(1)), &count_up, &early);
  deadline.arm(loop.in(seconds(3)), &count_up, &late);
  loop.advance(seconds(2));
  EXPECT_EQ(early + late, 0);
  loop.advance(seconds(1));
  EXPECT_EQ(early, 0);
  EXPECT_EQ(late, 1);
}

TEST(Deadline, DisarmedOrDestroyedNeverFires) {
  SimulatedLoop loop;
  int fired = 0;
  Deadline kept(loop.timers);
  kept.arm(loop.in(seconds(1)), &count_up, &fired);
  {
    Deadline gone(loop.timers);
    gone.arm(loop.in(seconds(1)), &count_up, &fired);
  }
  kept.disarm();
  kept.disarm();
  loop.advance(hours(1));
  EXPECT_EQ(fired, 0);
  EXPECT_EQ(loop.timers.next_due(), SteadyTime::max());
}

/// Each callback takes others off the list while it is walked.
struct Unruly {
  std::array<std::unique_ptr<Deadline>, 8> deadlines;
  int fired = 0;
  static void on_expired(void* argument) {
    auto* self = static_cast<Unruly*>(argument);
    ++self->fired;
    for (auto& deadline : self->deadlines) deadline.reset();
  }
};

TEST(Deadline, CallbackMayDestroyEveryOtherOne) {
  SimulatedLoop loop;
  Unruly unruly;
  for (auto& deadline : unruly.deadlines) {
    deadline = std::make_unique<Deadline>(loop.timers);
    deadline->arm(loop.in(seconds(1)), &Unruly::on_expired, &unruly);
  }
  loop.advance(seconds(2));
  EXPECT_EQ(unruly.fired, 1);
}

/// Arms itself again each time, always for now.
struct Restless {
  explicit Restless(SimulatedLoop& loop_) : loop(loop_), deadline(loop_.timers) {}
  SimulatedLoop& loop;
  Deadline deadline;
  int fired = 0;
  static void on_expired(void* argument) {
    auto* self = static_cast<Restless*>(argument);
    ++self->fired;
    self->deadline.arm(self->loop.timers.now(), &Restless::on_expired, self);
  }
};

TEST(Deadline, CallbackThatArmsItselfForNowDoesNotHangTheRun) {
  SimulatedLoop loop;
  Restless restless(loop);
  restless.deadline.arm(loop.timers.now(), &Restless::on_expired, &restless);
  loop.timers.run_due();
  EXPECT_EQ(restless.fired, 1);
  loop.timers.run_due();
  EXPECT_EQ(restless.fired, 2);
}

TEST(Deadline, ThousandsAtOnceAllFire) {
  SimulatedLoop loop;
  int fired = 0;
  std::deque<Deadline> deadlines;
  for (int i = 0; i < 20'000; ++i) {
    deadlines.emplace_back(loop.timers).arm(loop.in(seconds(1 + i % 2)), &count_up, &fired);
  }
  loop.advance(seconds(1));
  EXPECT_EQ(fired, 10'000);
  loop.advance(seconds(1));
  EXPECT_EQ(fired, 20'000);
}

TEST(Deadline, OutlivesItsTimers) {
  boost::asio::io_context io;
  ManualClock clock;
  auto timers = std::make_unique<Timers>(clock, io);
  int fired = 0;
  Deadline deadline(*timers);
  deadline.arm(timers->in(seconds(1)), &count_up, &fired);
  timers.reset();
  EXPECT_FALSE(deadline.armed());
}

Task<Result<>> sleep_for(Timers& timers, Duration duration, std::vector<int>& order, int mark) {
  auto slept = co_await timers.sleep_until(timers.in(duration));
  order.push_back(mark);
  co_return slept;
}

TEST(Timers, SleepsEndInTheOrderOfTheirMoments) {
  SimulatedLoop loop;
  std::vector<int> order;
  std::deque<Outcome<Result<>>> ends;
  for (const int mark : {3, 1, 2}) {
    spawn(loop.io, sleep_for(loop.timers, seconds(mark), order, mark), ends.emplace_back());
  }
  EXPECT_TRUE(loop.run_until([&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(loop.timers.next_due(), SteadyTime::max());
}

TEST(Timers, SleepIsExactAndNotToTheTick) {
  SimulatedLoop loop;
  std::vector<int> order;
  Outcome<Result<>> end;
  spawn(loop.io, sleep_for(loop.timers, std::chrono::microseconds(1500), order, 1), end);
  loop.poll();
  loop.advance(std::chrono::microseconds(1499));
  EXPECT_FALSE(end.ended());
  loop.advance(std::chrono::microseconds(1));
  ASSERT_TRUE(end.ended());
  EXPECT_TRUE(end.take());
}

TEST(Timers, StopCancelsSleepsThatAreAndThatCome) {
  SimulatedLoop loop;
  std::vector<int> order;
  Outcome<Result<>> end;
  spawn(loop.io, sleep_for(loop.timers, hours(1), order, 1), end);
  loop.poll();
  loop.timers.stop();
  loop.poll();
  ASSERT_TRUE(end.ended());
  const auto slept = end.take();
  ASSERT_FALSE(slept);
  EXPECT_EQ(slept.error().kind, ErrorKind::cancelled);
  const auto later = loop.run(sleep_for(loop.timers, hours(1), order, 2));
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().kind, ErrorKind::cancelled);
}

TEST(Timers, CoroutinesThatStillSleepAreDestroyedInPeace) {
  std::vector<int> order;
  Outcome<Result<>> end;
  {
    SimulatedLoop loop;
    spawn(loop.io, sleep_for(loop.timers, hours(1), order, 1), end);
    loop.poll();
  }
  EXPECT_TRUE(order.empty());
}

Task<Result<>> sleep_on(Timers::Sleeper& sleeper, SteadyTime until) {
  return sleeper.sleep_until(until);
}

TEST(Sleeper, WakeCutsTheSleepShort) {
  SimulatedLoop loop;
  Timers::Sleeper sleeper(loop.timers);
  Outcome<Result<>> end;
  spawn(loop.io, sleep_on(sleeper, loop.in(hours(1))), end);
  loop.poll();
  EXPECT_FALSE(end.ended());
  sleeper.wake();
  loop.poll();
  ASSERT_TRUE(end.ended());
  EXPECT_TRUE(end.take());
  EXPECT_EQ(loop.timers.next_due(), SteadyTime::max());
}

TEST(Sleeper, WakeBeforeTheSleepIsRememberedOnce) {
  SimulatedLoop loop;
  Timers::Sleeper sleeper(loop.timers);
  sleeper.wake();
  sleeper.wake();
  const SteadyTime start = loop.timers.now();
  EXPECT_TRUE(loop.run(sleep_on(sleeper, loop.in(hours(1)))));
  EXPECT_EQ(loop.timers.now(), start);
  EXPECT_TRUE(loop.run(sleep_on(sleeper, loop.in(hours(1)))));
  EXPECT_EQ(loop.timers.now(), start + hours(1));
}

TEST(Drive, SleepsAndDeadlinesRunOnTheRealClock) {
  TestLoop loop;
  int fired = 0;
  Deadline deadline(loop.timers);
  deadline.arm(loop.in(milliseconds(5)), &count_up, &fired);
  std::vector<int> order;
  const SteadyTime start = loop.timers.now();
  EXPECT_TRUE(loop.run(sleep_for(loop.timers, milliseconds(20), order, 1)));
  EXPECT_GE(loop.timers.now() - start, milliseconds(20));
  EXPECT_TRUE(loop.run_until([&] { return fired == 1; }));
  EXPECT_LT(loop.timers.now() - start, seconds(20));
}

TEST(Drive, SleepThatIsDueSoonerIsNotKeptWaitingByALaterOne) {
  TestLoop loop;
  std::vector<int> order;
  Outcome<Result<>> later;
  spawn(loop.io, sleep_for(loop.timers, hours(1), order, 2), later);
  loop.run_until([&] { return true; });
  EXPECT_TRUE(loop.run(sleep_for(loop.timers, milliseconds(1), order, 1)));
  EXPECT_FALSE(later.ended());
  loop.timers.stop();
  EXPECT_TRUE(loop.run_until([&] { return later.ended(); }));
}

TEST(Drive, EndsAfterStop) {
  boost::asio::io_context io;
  Timers timers(Clock::system(), io);
  bool ended = false;
  boost::asio::co_spawn(io, timers.drive(), [&](std::exception_ptr) { ended = true; });
  io.poll();
  EXPECT_FALSE(ended);
  timers.stop();
  io.restart();
  io.poll();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace waypost::net::testing
