// What is held: where it would go, who lets it go, and what a reload does to much of it.
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

class Held : public QueueTest {
 protected:
  std::uint64_t say(Verb verb, const Selector& selector = {}) {
    Command what;
    what.verb = verb;
    what.selector = selector;
    what.by = "ann";
    std::uint64_t recipients = 0;
    for (Slice slice{0, 100000};;) {
      const ControlResult result = queue->control(what, slice);
      recipients += result.recipients;
      slice.from = result.next;
      if (slice.from == 0) break;
    }
    settle();
    return recipients;
  }
  static Selector by_hop(const std::string& name) {
    Selector selector;
    selector.next_hop = name;
    return selector;
  }
  static std::vector<int> all_users() {
    std::vector<int> all(1100);
    for (int n = 0; n < 1100; ++n) all[static_cast<std::size_t>(n)] = n;
    return all;
  }
};

TEST_F(Held, StaysHeldOverAReloadAndNothingIsWrittenAboutIt) {
  router.set(users(false, {0}));
  start();
  const auto id = submit(envelope({0}));
  EXPECT_EQ(tracking.count("\"event\":\"held\""), 1u);
  for (int n = 0; n < 3; ++n) queue->routes_changed();
  settle();
  EXPECT_EQ(tracking.count("\"event\":\"held\""), 1u);
  EXPECT_EQ(tracking.count("\"event\":\"released\""), 0u);
  router.set(users());
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(tracking.count("\"event\":\"released\""), 1u);
  EXPECT_FALSE(spool.kept.at(id).stored.held);
}

TEST_F(Held, MuchOfItIsAskedAgainInSlices) {
  router.set(users(false, all_users()));
  start();
  for (int n = 0; n < 1000; ++n) submit(envelope({n % 1100}));
  EXPECT_EQ(queue->stats().held, 1000u);
  router.set(users());
  spool.loads = 0;
  queue->routes_changed();
  EXPECT_LE(spool.loads, 100u);  // in one go
  queue->routes_changed();       // and once more: it is not walked through twice at once
  EXPECT_LE(spool.loads, 100u);
  advance(seconds(1));
  EXPECT_EQ(queue->stats().held, 0u);
  EXPECT_EQ(spool.open_recipients(), 0u);
  EXPECT_EQ(tracking.count("\"event\":\"released\""), 1000u);
}

TEST_F(Held, IsSelectedByTheNextHopThatItWouldGoTo) {
  h0.judge = h1.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0, 1}));
  EXPECT_EQ(say(Verb::hold, by_hop("h0")), 1u);
  EXPECT_EQ(say(Verb::hold, by_hop("h1")), 1u);
  h0.judge = h1.judge = [](const std::string&) { return delivered(); };
  EXPECT_EQ(say(Verb::release, by_hop("h2")), 0u);
  EXPECT_EQ(say(Verb::release, by_hop("h0")), 1u);
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
  router.set(users(true));  // everything goes to h1: also what is held
  queue->routes_changed();
  const ListResult listed = queue->list(by_hop("h1"), Slice{0, 10});
  ASSERT_EQ(listed.messages.size(), 1u);
  EXPECT_EQ(listed.messages[0].open.at(0).next_hop, "h1");
}

TEST_F(Held, ExpiresByThePatienceOfItsNextHop) {
  options.next_hops["h1"] = options;
  options.next_hops["h1"].expiry = hours(1);
  router.set(users(false, {0, 1}));
  start();
  const auto id = submit(envelope({0, 1}));
  advance(hours(1) + minutes(2));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  EXPECT_EQ(state(id, 1), spool::Settlement::reported);
  EXPECT_EQ(queue->stats().held, 1u);
}

TEST_F(Held, WhoIsReleasedByWhomIsTracked) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  submit(envelope({0}));
  say(Verb::hold);
  say(Verb::release);
  ASSERT_EQ(tracking.count("\"event\":\"released\""), 1u);
  for (const std::string& line : tracking.lines) {
    if (line.find("\"released\"") == std::string::npos) continue;
    EXPECT_NE(line.find("u0@corp.example"), std::string::npos) << line;
    EXPECT_NE(line.find("\"by\":\"ann\""), std::string::npos) << line;
    EXPECT_NE(line.find("\"action\":\"release\""), std::string::npos) << line;
  }
}

TEST_F(Held, AHoldOfWhatIsHeldCountsAgainForTheJournal) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  submit(envelope({0}));
  EXPECT_EQ(say(Verb::hold), 1u);
  EXPECT_EQ(say(Verb::hold), 1u);  // the answer to the first may have been lost
  EXPECT_EQ(queue->stats().held, 1u);
}

TEST_F(Held, ASuspensionThatIsOverHoldsNothingMore) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0}));
  Command suspend;
  suspend.verb = Verb::suspend;
  suspend.selector.sender = "sender@*";
  queue->stand(suspend);
  Command resume = suspend;
  resume.verb = Verb::resume;
  queue->stand(resume);
  EXPECT_EQ(queue->control(suspend, Slice{0, 10}).recipients, 0u);  // its walk comes too late
  EXPECT_EQ(queue->stats().held, 0u);
  queue->stand(suspend);
  EXPECT_EQ(queue->control(suspend, Slice{0, 10}).recipients, 1u);
  queue->stand(resume);  // and the walk of this one is cut short: a reload finds what is left
  h0.judge = [](const std::string&) { return delivered(); };
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(Held, NoSecondNoticeOfWhatIsHeldOverARestart) {
  options.delay_notice = hours(4);
  router.set(users(false, {0}));
  start();
  const auto id = submit(envelope({0}));
  advance(hours(5));
  ASSERT_EQ(spool.committed.size(), 1u);
  for (int restarts = 0; restarts < 2; ++restarts) {
    finish();
    start();
    queue->restore(spool.kept.at(id).stored);
    advance(hours(2));
  }
  EXPECT_EQ(queue->stats().held, 1u);
  EXPECT_EQ(spool.committed.size(), 1u);
}

TEST_F(Held, RoutingThatKnowsSeveralNoLongerDefersThemTogether) {
  options.unknown_grace = hours(1);
  options.jitter = 0.2;
  options.jitter_seed = 7;
  router.set(users(false, {}, {0, 3, 6, 9}));
  start();
  const auto id = submit(envelope({0, 3, 6, 9}));
  EXPECT_EQ(hop("h0").waiting, 1u);  // one job
  advance(hours(2));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(state(id, i), spool::Settlement::reported);
  ASSERT_EQ(spool.committed.size(), 1u);
  for (const char* name : {"u0@", "u3@", "u6@", "u9@"})
    EXPECT_NE(report().find(name), std::string::npos) << name;
}

}  // namespace
}  // namespace waypost::queue::testing
