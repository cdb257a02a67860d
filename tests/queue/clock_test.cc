// Others can set the wall clock: nothing that can't be undone is done on one reading of it.
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

class WallClock : public QueueTest {
 protected:
  WallClock() {
    h0.judge = [](const std::string&) { return deferred(); };
    options.delay_notice = hours(4);
  }
  void jump(Duration by) {
    clock.set_wall(clock.now() + by);
    settle();
  }
  void restart(std::uint64_t id) {
    finish();
    start();
    queue->restore(spool.kept.at(id).stored);
    settle();
  }
};

TEST_F(WallClock, AJumpThatComesBackGivesNothingUpAndTellsNobody) {
  start();
  const auto id = submit(envelope({0}));
  for (const Duration by : {Duration(hours(72)), Duration(hours(24 * 9000)), Duration(hours(5))}) {
    jump(by);
    queue->flush("");  // an attempt looks at the age, too
    advance(seconds(4));
    jump(-by);
    advance(minutes(20));
  }
  EXPECT_EQ(state(id), spool::Settlement::open);
  EXPECT_TRUE(spool.committed.empty());
  EXPECT_EQ(queue->stats().messages, 1u);
}

TEST_F(WallClock, WhatThisProcessAcceptedIsAsOldAsTheProcessHasSeen) {
  start();
  const auto id = submit(envelope({0}));
  jump(hours(72));
  advance(hours(3));  // it stays there
  EXPECT_EQ(state(id), spool::Settlement::open);
  EXPECT_TRUE(spool.committed.empty());
  advance(hours(45) + minutes(2));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(WallClock, AClockThatGoesBackDelaysNothing) {
  start();
  const auto id = submit(envelope({0}));
  jump(-hours(24 * 400));
  advance(hours(48) + minutes(2));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(WallClock, AfterARestartItMustHaveStoodForAnHour) {
  start();
  const auto id = submit(envelope({0}));
  finish();
  clock.set_wall(clock.now() + hours(72));  // wrong at boot, or true: nobody knows
  start();
  queue->restore(spool.kept.at(id).stored);
  advance(minutes(59));
  EXPECT_EQ(state(id), spool::Settlement::open);
  advance(minutes(2));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(WallClock, AfterARestartAJumpBeginsTheHourAnew) {
  start();
  const auto id = submit(envelope({0}));
  restart(id);
  advance(minutes(50));
  jump(hours(72));
  advance(minutes(50));
  EXPECT_EQ(state(id), spool::Settlement::open);
  jump(-hours(72));
  advance(hours(4));
  EXPECT_EQ(state(id), spool::Settlement::open);
  jump(hours(72));
  advance(hours(1) + minutes(11));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(WallClock, SlewingIsNoJump) {
  start();
  const auto id = submit(envelope({0}));
  restart(id);
  for (int n = 0; n < 48 * 6; ++n) {
    jump(std::chrono::milliseconds(300));  // 500 ppm
    advance(minutes(10));
  }
  advance(minutes(2));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(WallClock, TheGraceOfUnknownAddressesDoesNotEndByIt) {
  start();
  const auto id = submit(envelope({0}));
  router.set(users(false, {}, {0}));
  jump(hours(72));
  queue->flush("");
  advance(hours(1));
  EXPECT_EQ(state(id), spool::Settlement::open);
  advance(hours(3) + minutes(16));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(WallClock, NorIsAnUnreadableMessageGivenUpByIt) {
  start();
  const auto id = submit(envelope({0}));
  finish();
  spool.kept.at(id).stored.envelope = "rubbish";
  start();
  queue->restore(spool.kept.at(id).stored);
  advance(hours(2));
  jump(hours(24 * 30));
  advance(seconds(30));
  jump(-hours(24 * 30));
  advance(hours(2));
  EXPECT_EQ(state(id), spool::Settlement::open);
}

TEST_F(WallClock, HeldMailNeither) {
  router.set(users(false, {0}));
  start();
  const auto id = submit(envelope({0}));
  jump(hours(72));
  advance(seconds(4));
  queue->routes_changed();
  advance(hours(1));
  jump(-hours(72));
  advance(hours(1));
  EXPECT_EQ(state(id), spool::Settlement::open);
  EXPECT_TRUE(spool.committed.empty());
  EXPECT_EQ(queue->stats().held, 1u);
}

}  // namespace
}  // namespace waypost::queue::testing
