// Selections by target: where a recipient goes now counts, not where it was to go when it was
// accepted.
#include "review_fixture.h"

namespace waypost::queue::testing {
namespace {

class ByTarget : public Review {
 protected:
  static Command at(Verb verb, const std::string& domain, const std::string& recipient = "") {
    Command made = command(verb);
    made.selector.domain = domain;
    made.selector.recipient = recipient;
    return made;
  }
  std::size_t listed(const Command& by) const {
    std::size_t count = 0;
    for (const auto& message : queue->list(by.selector, Slice{0, 100000}).messages)
      count += message.open.size();
    return count;
  }
  void all_defer() {
    options.backoff = {hours(1)};
    for (FakeDeliverer* hop : {&h0, &h1})
      hop->judge = [](const std::string&) { return deferred(); };
  }
};

TEST_F(ByTarget, ADeleteAfterARollbackLeavesWhatGoesToTheOldSystem) {
  all_defer();
  start();
  const auto id = submit(mail_for({0, 1}));
  EXPECT_EQ(listed(at(Verb::remove, "t0.example")), 2u);
  wave_says(EntryState::rolled_back);
  for (const Verb verb : {Verb::remove, Verb::bounce, Verb::hold, Verb::reroute}) {
    Command by_domain = at(verb, "t0.example"), by_pattern = at(verb, "", "*@t0.example");
    by_domain.next_hop = by_pattern.next_hop = "h2";
    EXPECT_EQ(listed(by_domain), 0u);
    EXPECT_EQ(say(by_domain).recipients, 0u) << to_string(verb);
    EXPECT_EQ(say(by_pattern).recipients, 0u) << to_string(verb);
  }
  EXPECT_EQ(state(id), spool::Settlement::open);
  EXPECT_EQ(listed(at(Verb::remove, "CORP.example")), 2u);
  EXPECT_EQ(say(at(Verb::remove, "corp.example", "U0@*")).recipients, 1u);
}

TEST_F(ByTarget, ASuspensionStopsWhatGoesThereNow) {
  all_defer();
  router.set(wave(EntryState::pending));
  start();
  const auto id = submit(mail_for({0}, EntryState::pending));
  wave_says(EntryState::active);
  EXPECT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(listed(at(Verb::hold, "t0.example")), 1u);
  EXPECT_EQ(listed(at(Verb::hold, "", "u0@t0.example")), 1u);
  EXPECT_EQ(say(at(Verb::suspend, "t0.example")).suspended, 1u);
  h0.judge = [](const std::string&) { return delivered(); };
  EXPECT_EQ(say(command(Verb::flush)).suspended, 1u);
  EXPECT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(state(id), spool::Settlement::open);
  say(at(Verb::resume, "t0.example"));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(ByTarget, AnActivationPutsWhatWaitsBehindTheSuspension) {
  all_defer();
  router.set(wave(EntryState::pending));
  start();
  say(at(Verb::suspend, "t0.example"));
  const auto id = submit(mail_for({0}, EntryState::pending));
  EXPECT_EQ(h1.seen.size(), 1u);
  EXPECT_EQ(wave_says(EntryState::active).suspended, 1u);
  advance(hours(3));
  EXPECT_TRUE(h0.seen.empty());
  EXPECT_EQ(state(id), spool::Settlement::open);
}

TEST_F(ByTarget, ARollbackLetsGoWhatASuspensionByTargetHeld) {
  for (const Command& suspend :
       {at(Verb::suspend, "t0.example"), at(Verb::suspend, "", "*@t0.example")}) {
    router.set(wave(EntryState::active));
    h1.seen.clear();
    start();
    say(suspend);
    const auto id = submit(mail_for({0}));
    EXPECT_EQ(state(id), spool::Settlement::open);
    EXPECT_EQ(wave_says(EntryState::rolled_back).suspended, 0u);
    EXPECT_EQ(state(id), spool::Settlement::delivered);
    EXPECT_EQ(last_targets(h1), std::vector<std::string>{"u0@corp.example"});
    finish();
  }
  EXPECT_TRUE(h0.seen.empty());
}

TEST_F(ByTarget, AReloadLetsGoToo) {
  start();
  say(at(Verb::suspend, "t0.example"));
  const auto id = submit(mail_for({0}));
  router.set(wave(EntryState::active, "t2"));
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(last_targets(h2), std::vector<std::string>{"u0@t2.example"});
}

TEST_F(ByTarget, ANextHopIsThatOfNowWhileTheWalkAfterAReloadIsUnderWay) {
  all_defer();
  start();
  for (int n = 0; n < 1200; ++n) submit(mail_for({n % 10}));
  router.set(wave(EntryState::rolled_back));
  queue->routes_changed();  // begins the walk
  EXPECT_EQ(queue->control(command(Verb::remove, "h0"), Slice{0, 100000}).recipients, 0u);
  EXPECT_EQ(listed(command(Verb::remove, "h1")), 1200u);
  EXPECT_EQ(spool.open_recipients(), 1200u);
}

TEST_F(ByTarget, ANextHopIsThatOfNowWhileTheWalkOfAWaveIsUnderWay) {
  all_defer();
  start();
  for (int n = 0; n < 1200; ++n) submit(mail_for({n % 10}));
  router.set(wave(EntryState::rolled_back));
  EXPECT_GT(queue->ask_again("w1", Slice{}).next, 0u);
  EXPECT_EQ(queue->control(command(Verb::remove, "h0"), Slice{0, 100000}).recipients, 0u);
  EXPECT_EQ(spool.open_recipients(), 1200u);
}

TEST_F(ByTarget, RoutingIsNotAskedWhereTheOriginalAddressTells) {
  all_defer();
  start();
  submit(mail_for({0, 1}));
  EXPECT_EQ(say(at(Verb::hold, "corp.example")).recipients, 2u);
  EXPECT_EQ(say(at(Verb::hold, "t0.example", "u1@corp.example")).recipients, 1u) << "one of each";
}

/// Pending, and there is no next hop for whom is pending: nobody knows where they go.
std::shared_ptr<const routing::Router> nowhere() {
  routing::Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"t0.example", "h0"}};
  auto& source = options.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  for (int n = 0; n < 10; ++n) {
    const std::string name = "u" + std::to_string(n);
    source.entries.push_back({{name, "corp.example"},
                              {name, "t0.example"},
                              EntryState::pending,
                              true,
                              "w1",
                              {},
                              {"table", 1}});
  }
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return *router;
}

TEST_F(ByTarget, WhoGoesNowhereIsShownSoAndGoesByNoNextHop) {
  all_defer();
  start();
  submit(mail_for({0, 1}));
  router.set(nowhere());
  const AskedAgain moved = queue->ask_again("w1", Slice{});
  settle();
  EXPECT_EQ(moved.let_go, 0u);
  EXPECT_EQ(moved.nowhere, 2u);
  const auto all = queue->list({}, Slice{0, 1000}).messages;
  ASSERT_EQ(all.size(), 1u);
  for (const ListedRecipient& one : all[0].open) {
    EXPECT_EQ(one.target, "");
    EXPECT_EQ(one.next_hop, "");
    EXPECT_NE(one.why.find(one.address), std::string::npos) << one.why;
  }
  EXPECT_EQ(listed(command(Verb::remove, "h0")), 0u);
  EXPECT_EQ(listed(at(Verb::remove, "t0.example")), 0u);
  EXPECT_EQ(listed(at(Verb::remove, "corp.example")), 2u);
}

}  // namespace
}  // namespace waypost::queue::testing
