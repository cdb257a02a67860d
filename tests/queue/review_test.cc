// What waits, in whatever state, is asked again when a wave, a table or a suspension changes.
#include "review_fixture.h"

namespace waypost::queue::testing {
namespace {

TEST_F(Review, ARollbackMovesWhatWaitsBehindASuspension) {
  start();
  say(command(Verb::suspend, "h0"));
  const auto id = submit(mail_for({0, 1}));
  EXPECT_EQ(state(id), spool::Settlement::open);
  const AskedAgain moved = wave_says(EntryState::rolled_back);
  EXPECT_EQ(moved.let_go, 2u);
  EXPECT_EQ(moved.suspended, 0u);
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_EQ(last_targets(h1), (std::vector<std::string>{"u0@corp.example", "u1@corp.example"}));
  EXPECT_TRUE(h0.seen.empty());
}

TEST_F(Review, AnActivationMovesWhatWaitsBehindTheSuspendedOldSystem) {
  router.set(wave(EntryState::pending));
  start();
  say(command(Verb::suspend, "h1"));
  const auto id = submit(mail_for({0}, EntryState::pending));
  EXPECT_EQ(wave_says(EntryState::active).let_go, 1u);
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(last_targets(h0), std::vector<std::string>{"u0@t0.example"});
}

TEST_F(Review, ARollbackSaysWhatItCouldNotMoveAndWhy) {
  start();
  h0.blocked = true;
  const auto running = submit(mail_for({0}));
  say(command(Verb::suspend, "h0"));
  say(command(Verb::suspend, "h1"));
  const auto stuck = submit(mail_for({1, 2}));
  const AskedAgain moved = wave_says(EntryState::rolled_back);
  EXPECT_EQ(moved.in_delivery, 1u);
  EXPECT_EQ(moved.suspended, 2u);
  EXPECT_EQ(moved.let_go, 0u);
  h0.release();
  settle();
  EXPECT_EQ(state(running), spool::Settlement::delivered);
  say(command(Verb::resume, "h1"));
  EXPECT_EQ(state(stuck, 1), spool::Settlement::delivered);
  EXPECT_EQ(h0.seen.size(), 1u);
}

TEST_F(Review, WhatWasInDeliveryIsAskedWhenItComesBack) {
  start();
  h0.blocked = true;
  h0.judge = [](const std::string&) { return deferred(); };
  const auto id = submit(mail_for({0}));
  say(command(Verb::suspend, "h0"));
  EXPECT_EQ(wave_says(EntryState::rolled_back).in_delivery, 1u);
  h0.release();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered) << "without waiting for its next attempt";
  EXPECT_EQ(h1.seen.size(), 1u);
}

TEST_F(Review, ARollbackFindsWhatIsBehindAnOpenCircuit) {
  h0.site_trouble = true;
  start();
  const auto first = submit(mail_for({0}));
  const auto second = submit(mail_for({1}));
  EXPECT_EQ(hop("h0").ready + hop("h0").waiting, 2u);
  router.set(wave(EntryState::rolled_back));
  queue->routes_changed();  // a reload: nobody says that the site is well
  settle();
  EXPECT_EQ(state(first), spool::Settlement::delivered);
  EXPECT_EQ(state(second), spool::Settlement::delivered);
}

TEST_F(Review, MailCommittedWhileItsLaneStandsGoesTheNewWay) {
  start();
  say(command(Verb::suspend, "h0"));
  const auto decided_before = mail_for({0});
  EXPECT_EQ(wave_says(EntryState::rolled_back).let_go, 0u);
  const auto id = submit(decided_before);
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(h1.seen.size(), 1u);
}

TEST_F(Review, MailCommittedBehindAFullWindowGoesTheNewWay) {
  start();
  h0.blocked = true;
  for (int n = 0; n < 5; ++n) submit(mail_for({1}));  // the window is full
  const auto decided_before = mail_for({0});
  router.set(wave(EntryState::rolled_back));
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(submit(decided_before)), spool::Settlement::delivered);
}

TEST_F(Review, MailDecidedInTheMomentOfTheChangeIsAskedAgain) {
  start();
  h0.blocked = true;
  for (int n = 0; n < 5; ++n) submit(mail_for({1}), shard.timers.now());
  const auto decided_before = mail_for({0});
  const SteadyTime then = shard.timers.now();
  router.set(wave(EntryState::rolled_back));
  queue->routes_changed();  // at the same time
  EXPECT_EQ(state(submit(decided_before, then)), spool::Settlement::delivered);
  EXPECT_EQ(h1.seen.size(), 1u);
}

TEST_F(Review, MailDecidedSinceTheChangeNeedNotBeAsked) {
  start();
  h0.blocked = true;
  for (int n = 0; n < 5; ++n) submit(mail_for({1}), shard.timers.now());
  queue->routes_changed();
  advance(std::chrono::milliseconds(1));
  const SteadyTime then = shard.timers.now();
  const std::uint64_t waits = hop("h0").ready + hop("h0").waiting;
  router.set(wave(EntryState::rolled_back));  // as if nobody had told the queue
  submit(mail_for({0}), then);
  EXPECT_EQ(hop("h0").ready + hop("h0").waiting, waits + 1);
}

TEST_F(Review, TheNextStartAsksBehindASuspension) {
  start();
  say(command(Verb::suspend, "h0"));
  const auto id = submit(mail_for({0}));
  finish();
  ControlState said;
  said.suspensions.push_back(command(Verb::suspend, "h0").selector);
  router.set(wave(EntryState::rolled_back));
  queue = Queue::make(options, Context{shard, spool, router, deliverers, metrics, tracking, ids,
                                       "gw.corp.example", &said});
  ended = false;
  boost::asio::co_spawn(shard.io, run(), boost::asio::detached);
  queue->restore(spool.kept.at(id).stored);
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(last_targets(h1), std::vector<std::string>{"u0@corp.example"});
}

TEST_F(Review, WhatComesForAMovingMailboxIsHeldThoughItsNextHopIsSuspended) {
  start();
  say(command(Verb::suspend, "h0"));
  router.set(wave(EntryState::migrating));
  queue->routes_changed();
  const auto id = submit(mail_for({0, 1}));
  EXPECT_EQ(queue->stats().held, 1u);
  EXPECT_EQ(hop("h0").ready, 0u);
  say(command(Verb::release));
  EXPECT_EQ(queue->stats().held, 1u);
  finish();
  ControlState said;
  said.suspensions.push_back(command(Verb::suspend, "h0").selector);
  queue = Queue::make(options, Context{shard, spool, router, deliverers, metrics, tracking, ids,
                                       "gw.corp.example", &said});
  ended = false;
  boost::asio::co_spawn(shard.io, run(), boost::asio::detached);
  queue->restore(spool.kept.at(id).stored);
  settle();
  EXPECT_EQ(queue->stats().held, 1u);
  say(command(Verb::resume, "h0"));
  wave_says(EntryState::active);
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
}

TEST_F(Review, AReloadMovesWhatWaitsForItsNextAttempt) {
  options.backoff = {hours(1)};
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  std::vector<std::uint64_t> all;
  for (int n = 0; n < 50; ++n) all.push_back(submit(mail_for({n % 10})));
  router.set(wave(EntryState::rolled_back));
  queue->routes_changed();
  advance(seconds(1));
  for (const auto id : all) EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(Review, ACorrectedTargetIsTriedNow) {
  options.backoff = {hours(1)};
  h0.judge = [](const std::string& target) {
    return target == "u0@t0.example" ? deferred() : delivered();
  };
  start();
  const auto id = submit(mail_for({0, 1}));
  routing::Options table;
  table.own_domains = {"corp.example"};
  table.target_domains = {{"t0.example", "h0"}};
  auto& source = table.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries.push_back({{"u0", "corp.example"},
                            {"right", "t0.example"},
                            EntryState::active,
                            true,
                            "w1",
                            {},
                            {"table", 1}});
  std::vector<routing::Problem> problems;
  router.set(*routing::Router::load(table, problems));
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(last_targets(h0), std::vector<std::string>{"right@t0.example"});
}

TEST_F(Review, AReloadThatChangesNothingForItLeavesItWaiting) {
  options.backoff = {hours(1)};
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(mail_for({0, 1, 2}));
  for (int n = 0; n < 3; ++n) {
    router.set(wave(EntryState::active));
    queue->routes_changed();
    advance(minutes(1));
  }
  EXPECT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(state(id), spool::Settlement::open);
}

TEST_F(Review, ItTakesSmallSteps) {
  options.backoff = {hours(1)};
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  for (int n = 0; n < 1200; ++n) submit(mail_for({n % 10}));
  router.set(wave(EntryState::rolled_back));
  spool.loads = 0;
  queue->routes_changed();
  EXPECT_LE(spool.loads, 200u);
  const AskedAgain some = queue->ask_again("w1", Slice{});
  EXPECT_GT(some.next, 0u);
  EXPECT_LE(some.next, 100u);
  advance(seconds(2));
  EXPECT_EQ(spool.open_recipients(), 0u);
}

TEST_F(Review, AnUnknownAddressGetsItsGraceBehindASuspension) {
  options.unknown_grace = hours(1);
  options.backoff = {minutes(10)};
  start();
  say(command(Verb::suspend, "h0"));
  const auto id = submit(mail_for({0}));
  router.set(users(false, {}, {0}));
  queue->routes_changed();
  advance(minutes(50));
  EXPECT_EQ(state(id), spool::Settlement::open);
  advance(minutes(30));
  EXPECT_EQ(state(id), spool::Settlement::reported);
}

TEST_F(Review, FlushAndReleaseTellOfWhatStaysBehindASuspension) {
  start();
  const auto held = submit(mail_for({5}));
  EXPECT_EQ(state(held), spool::Settlement::delivered);
  say(command(Verb::suspend, "h0"));
  submit(mail_for({0, 1}));
  ControlResult done = say(command(Verb::flush));
  EXPECT_EQ(done.recipients, 0u);
  EXPECT_EQ(done.suspended, 2u);
  done = say(command(Verb::release));
  EXPECT_EQ(done.recipients, 0u);
  EXPECT_EQ(done.suspended, 2u);
  say(command(Verb::hold));
  done = say(command(Verb::release));
  EXPECT_EQ(done.recipients, 2u);
  EXPECT_EQ(done.suspended, 2u);
  Command by_sender = command(Verb::suspend);
  by_sender.selector.sender = "sender@*";
  EXPECT_EQ(say(by_sender).suspended, 2u);
  EXPECT_EQ(say(command(Verb::flush)).suspended, 2u);
  EXPECT_EQ(say(command(Verb::release)).suspended, 2u);
}

TEST_F(Review, SuspendAndResumeTellHowManyWait) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  submit(mail_for({0, 1, 2}));
  EXPECT_EQ(say(command(Verb::suspend, "h0")).suspended, 3u);
  EXPECT_EQ(say(command(Verb::suspend, "h1")).suspended, 0u);
  EXPECT_EQ(say(command(Verb::resume, "h0")).suspended, 3u);
}

// --- other next hops that operators ordered

class Rerouted : public Review {
 protected:
  std::uint64_t waiting_one() {
    h0.judge = [](const std::string&) { return deferred(); };
    h2.judge = [](const std::string&) { return deferred(); };
    start();
    const auto id = submit(mail_for({0}));
    Command reroute = command(Verb::reroute);
    reroute.next_hop = "h2";
    touched = say(reroute).touched;
    EXPECT_EQ(last_targets(h2), std::vector<std::string>{"u0@t0.example"});
    return id;
  }
  std::vector<Touched> touched;
};

TEST_F(Rerouted, EndsWhenItsWaveIsRolledBack) {
  const auto id = waiting_one();
  const AskedAgain moved = wave_says(EntryState::rolled_back);
  EXPECT_EQ(moved.let_go, 1u);
  EXPECT_EQ(moved.rerouted, 0u);
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(last_targets(h1), std::vector<std::string>{"u0@corp.example"});
  EXPECT_EQ(h2.seen.size(), 1u);
}

TEST_F(Rerouted, EndsWhenItsTargetChanges) {
  waiting_one();
  router.set(wave(EntryState::active, "t2"));
  h2.judge = [](const std::string&) { return delivered(); };
  queue->routes_changed();
  settle();
  EXPECT_EQ(last_targets(h2), std::vector<std::string>{"u0@t2.example"}) << "as the table says";
}

TEST_F(Rerouted, StandsWhileRoutingDecidesTheSame) {
  const auto id = waiting_one();
  EXPECT_EQ(wave_says(EntryState::active).rerouted, 1u);
  h2.judge = [](const std::string&) { return delivered(); };
  advance(hours(1));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(h0.seen.size(), 1u);
}

TEST_F(Rerouted, RestsWhileItsNextHopIsNotConfigured) {
  const auto id = waiting_one();
  const auto gone = deliverers.extract("h2");
  queue->routes_changed();
  settle();
  EXPECT_EQ(h0.seen.size(), 2u) << "it goes where routing sends it, at once";
  EXPECT_EQ(wave_says(EntryState::active).rerouted, 0u);
  h2.judge = [](const std::string&) { return delivered(); };
  deliverers["h2"] = gone.mapped();
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered) << "and there again when it is back";
}

TEST_F(Rerouted, IsKeptOverARestartWithWhatItIsAbout) {
  const auto id = waiting_one();
  ASSERT_EQ(touched.size(), 1u);
  ASSERT_EQ(touched[0].routes, std::vector<std::string>{"h0 u0@t0.example"});
  ControlState said;
  Command reroute = command(Verb::reroute);
  reroute.next_hop = "h2";
  said.apply(reroute, touched);
  for (const EntryState now : {EntryState::active, EntryState::rolled_back}) {
    finish();
    router.set(wave(now));
    h1.seen.clear();
    h2.seen.clear();
    queue = Queue::make(options, Context{shard, spool, router, deliverers, metrics, tracking, ids,
                                         "gw.corp.example", &said});
    ended = false;
    boost::asio::co_spawn(shard.io, run(), boost::asio::detached);
    queue->restore(spool.kept.at(id).stored);
    settle();
    EXPECT_EQ(h2.seen.size(), now == EntryState::active ? 1u : 0u);
    EXPECT_EQ(h1.seen.size(), now == EntryState::active ? 0u : 1u);
  }
}

}  // namespace
}  // namespace waypost::queue::testing
