// After any order of events every recipient ends exactly once, and the books are even.
#include "queue_fixture.h"

#include <random>

namespace waypost::queue::testing {
namespace {

class QueueProperty : public QueueTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  std::mt19937 random{GetParam()};

  int pick(int below) { return std::uniform_int_distribution<>(0, below - 1)(random); }

  Selector somebody() {
    Selector selector;
    switch (pick(6)) {
      case 0:
        selector.next_hop = "h" + std::to_string(pick(3));
        break;
      case 1:
        selector.recipient = "u" + std::to_string(pick(3)) + "*";
        break;
      case 2:
        selector.sender = pick(2) == 0 ? "<>" : "sender@*";
        break;
      case 3:
        selector.wave = "w1";
        break;
      case 4:
        selector.domain = "t" + std::to_string(pick(3)) + ".example";
        break;
      default:
        break;
    }
    return selector;
  }
  void say(Verb verb, const Selector& selector) {
    Command what;
    what.verb = verb;
    what.selector = selector;
    what.by = "ann";
    what.next_hop = "h" + std::to_string(pick(3));
    if (verb == Verb::suspend || verb == Verb::resume) queue->stand(what);
    for (Slice slice{0, static_cast<std::uint32_t>(1 + pick(50))};;) {
      slice.from = queue->control(what, slice).next;
      if (slice.from == 0) return;
      if (pick(4) == 0) settle();
      if (pick(20) == 0) return;  // whoever asked has gone
    }
  }
  void answer_at_random(FakeDeliverer& hop) {
    hop.judge = [this](const std::string&) {
      const int dice = pick(10);
      if (dice < 5) return delivered();
      return dice < 8 ? deferred() : failed();
    };
  }
  void step() {
    FakeDeliverer* const hops[] = {&h0, &h1, &h2};
    FakeDeliverer& some = *hops[pick(3)];
    switch (pick(12)) {
      case 10:
      case 11: {
        constexpr Verb kVerbs[] = {Verb::hold,  Verb::release, Verb::suspend, Verb::resume,
                                   Verb::flush, Verb::bounce,  Verb::remove,  Verb::reroute};
        say(kVerbs[pick(8)], somebody());
        break;
      }
      case 0:
      case 1:
      case 2: {
        std::vector<int> who(static_cast<std::size_t>(1 + pick(12)));
        for (int& n : who) n = pick(30);
        submit(envelope(who, pick(4) == 0));
        break;
      }
      case 3:
        some.blocked = true;
        break;
      case 4:
        some.release_one();
        break;
      case 5:
        some.release();
        break;
      case 6:
        some.site_trouble = pick(2) == 0;
        break;
      case 7:
        router.set(users(pick(2) == 0, {pick(30), pick(30)}, {pick(30)}));
        queue->routes_changed();
        break;
      case 8:
        queue->flush(pick(2) == 0 ? "" : "h" + std::to_string(pick(3)));
        spool.refuse_commits = static_cast<std::uint32_t>(pick(2));
        if (pick(3) == 0) deliverers.erase("h2");
        if (pick(3) == 0) deliverers["h2"] = &h2;
        break;
      default:
        advance(minutes(1 + pick(90)));
        break;
    }
    settle();
  }
};

TEST_P(QueueProperty, EveryRecipientEndsExactlyOnce) {
  options.jitter = 0.2;
  options.concurrency = 3;
  for (FakeDeliverer* each : {&h0, &h1, &h2}) {
    answer_at_random(*each);
    each->change().max_recipients = 4;
  }
  start();
  for (int n = 0; n < 300; ++n) {
    step();
    std::uint64_t active = 0;
    for (const auto& one : queue->stats().next_hops) active += one.active;
    ASSERT_EQ(active, h0.running + h1.running + h2.running + reports.running);
    ASSERT_EQ(queue->stats().messages > 0, spool.open_recipients() > 0);
  }
  // Nothing is stuck: once all is well again, everything ends, by delivery alone.
  router.set(users());
  deliverers["h2"] = &h2;
  spool.refuse_commits = 0;
  for (FakeDeliverer* each : {&h0, &h1, &h2}) {
    each->judge = [](const std::string&) { return delivered(); };
    each->site_trouble = false;
    each->release();
  }
  for (const Verb verb : {Verb::resume, Verb::release}) {
    Command all;
    all.verb = verb;
    if (verb == Verb::resume) queue->stand(all);
    queue->control(all, Slice{0, 1'000'000});
  }
  queue->routes_changed();
  queue->flush("");
  advance(hours(1));
  EXPECT_EQ(spool.open_recipients(), 0u);
  EXPECT_EQ(spool.settled_twice, 0u);
  const QueueStats stats = queue->stats();
  EXPECT_EQ(stats.messages, 0u);
  EXPECT_EQ(stats.held, 0u);
  for (const auto& one : stats.next_hops)
    EXPECT_EQ(one.ready + one.waiting + one.active, 0u) << one.name;
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueProperty, ::testing::Range(1u, 41u));

}  // namespace
}  // namespace waypost::queue::testing
