// When and in which order: back-off, trouble of a site, windows, fairness, flush, stop, wake-ups.
#include "queue/site.h"
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

TEST_F(QueueTest, DeliversAtOnceAndForgetsTheMessage) {
  start();
  const auto id = submit(envelope({0}));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(queue->stats().messages, 0u);
  EXPECT_EQ(h0.seen.size(), 1u);
}

TEST_F(QueueTest, RetriesExactlyBySchedule) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const SteadyTime begin = clock.steady_now();
  submit(envelope({0}));
  advance(minutes(60));
  std::vector<SteadyTime> due;
  SteadyTime at = begin;
  for (const int wait : {0, 30, 60, 120, 300, 600, 900, 900}) {
    at += seconds(wait);
    if (at - begin <= minutes(60)) due.push_back(at);
  }
  ASSERT_EQ(h0.seen.size(), due.size());
  for (std::size_t n = 0; n < due.size(); ++n) {
    EXPECT_GE(h0.seen[n].at, due[n]);
    EXPECT_LE(h0.seen[n].at, due[n] + std::chrono::milliseconds(1));
  }
}

TEST_F(QueueTest, ReplacedOptionsGoForWhatIsQueued) {
  h0.judge = h1.judge = [](const std::string&) { return deferred(); };
  start();
  const auto slow = submit(envelope({0}));
  const auto other = submit(envelope({1}));
  Options changed = options;
  changed.backoff = {minutes(1)};
  changed.next_hops["h1"].backoff = {seconds(5)};
  changed.next_hops["h1"].expiry = hours(1);
  changed.next_hops["h1"].delay_notice = Duration::zero();
  queue->replace_options(changed);
  advance(seconds(31));  // a wait that runs already ends when it was to
  EXPECT_EQ(h0.seen.size(), 2u);
  EXPECT_EQ(h1.seen.size(), 2u);
  advance(seconds(20));
  EXPECT_EQ(h0.seen.size(), 2u);
  EXPECT_EQ(h1.seen.size(), 6u);
  advance(minutes(61));
  EXPECT_EQ(state(other), spool::Settlement::reported);  // though two days were planned
  EXPECT_EQ(state(slow), spool::Settlement::open);
  advance(minutes(30));
  changed.expiry = hours(1);
  queue->replace_options(changed);
  advance(minutes(1));
  EXPECT_EQ(state(slow), spool::Settlement::reported);
}

TEST_F(QueueTest, AWiderWindowIsUsedAtOnceAfterReplacedOptions) {
  h0.blocked = true;
  options.concurrency = 1;
  start();
  for (int n = 0; n < 5; ++n) submit(envelope({0}));
  EXPECT_EQ(h0.running, 1u);
  options.concurrency = 4;
  queue->replace_options(options);
  settle();
  EXPECT_EQ(h0.running, 4u);
}

TEST_F(QueueTest, TroubleOfASiteCountsOnceAndOneProbeGoesFirst) {
  h0.blocked = true;
  h0.site_trouble = true;
  start();
  for (int n = 0; n < 30; ++n) submit(envelope({0}));
  EXPECT_EQ(h0.running, Site::kFirstWindow);
  h0.release();
  settle();
  EXPECT_EQ(hop("h0").consecutive_site_troubles, 1u);
  EXPECT_EQ(h0.seen.size(), Site::kFirstWindow);  // nothing more while the site is paused
  h0.blocked = true;
  h0.most_running = 0;
  advance(seconds(31));
  EXPECT_EQ(h0.running, 1u);
  h0.release();
  settle();
  EXPECT_EQ(hop("h0").consecutive_site_troubles, 2u);
  EXPECT_EQ(h0.most_running, 1u);
  h0.site_trouble = false;
  advance(seconds(61));
  EXPECT_EQ(spool.open_recipients(), 0u);
  EXPECT_EQ(hop("h0").consecutive_site_troubles, 0u);
}

TEST_F(QueueTest, TroubleOfOneSiteDoesNotDelayAnother) {
  h0.site_trouble = true;
  start();
  const auto id = submit(envelope({0, 1, 2}));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 2), spool::Settlement::delivered);
}

TEST_F(QueueTest, AThousandRecipientsOverThreeNextHopsAreDeliveredOnce) {
  start();
  std::vector<int> all(1000);
  for (int n = 0; n < 1000; ++n) all[static_cast<std::size_t>(n)] = n;
  submit(envelope(all));
  EXPECT_EQ(spool.open_recipients(), 0u);
  EXPECT_EQ(spool.settled_twice, 0u);
  for (const FakeDeliverer* each : {&h0, &h1, &h2}) {
    ASSERT_EQ(each->seen.size(), 4u);
    for (const auto& one : each->seen) EXPECT_LE(one.targets.size(), 100u);
  }
}

TEST_F(QueueTest, ALargeListDoesNotDelayOthers) {
  options.concurrency = 1;
  h0.blocked = true;
  start();
  std::vector<int> many;
  for (int n = 0; n < 900; n += 3) many.push_back(n);  // 300 recipients of h0
  const auto list = submit(envelope(many));
  const auto single = submit(envelope({0}));
  h0.release();
  settle();
  ASSERT_EQ(h0.seen.size(), 4u);
  EXPECT_EQ(h0.seen[0].id, list);
  // The rest of the list stands in line already when the single message comes; then they alternate.
  EXPECT_LE(std::find_if(h0.seen.begin(), h0.seen.end(),
                         [&](const auto& one) { return one.id == single; }) -
                h0.seen.begin(),
            2);
}

TEST_F(QueueTest, FlushBringsForwardOnlyTheNamedNextHop) {
  h0.judge = h1.judge = [](const std::string&) { return deferred(); };
  start();
  submit(envelope({0, 1}));
  queue->flush("h0");
  settle();
  EXPECT_EQ(h0.seen.size(), 2u);
  EXPECT_EQ(h1.seen.size(), 1u);
  queue->flush("");
  settle();
  EXPECT_EQ(h0.seen.size(), 3u);
  EXPECT_EQ(h1.seen.size(), 2u);
  advance(seconds(59));  // the first timers of flushed jobs mean nothing any more
  EXPECT_EQ(h1.seen.size(), 2u);
}

TEST_F(QueueTest, FlushOpensAPausedSite) {
  h0.site_trouble = true;
  start();
  submit(envelope({0}));
  h0.site_trouble = false;
  queue->flush("h0");
  settle();
  EXPECT_EQ(spool.open_recipients(), 0u);
}

TEST_F(QueueTest, StopLetsRunningAttemptsFinishAndBeginsNoOther) {
  options.concurrency = 1;
  h0.blocked = true;
  start();
  const auto first = submit(envelope({0}));
  const auto second = submit(envelope({0}));
  queue->stop();
  settle();
  EXPECT_FALSE(ended);
  h0.release();
  settle();
  EXPECT_TRUE(ended);
  EXPECT_EQ(state(first), spool::Settlement::delivered);
  EXPECT_EQ(state(second), spool::Settlement::open);
}

TEST_F(QueueTest, SleepsWhileNothingIsDue) {
  h0.site_trouble = true;
  h1.judge = [](const std::string&) { return deferred(); };
  start();
  for (int n = 0; n < 50; ++n) submit(envelope({0, 1}));
  advance(seconds(1));
  handlers = 0;
  advance(seconds(28));
  EXPECT_EQ(handlers, 0u);
}

TEST_F(QueueTest, ALongLineForAVanishedNextHopDoesNotExhaustTheStack) {
  h0.site_trouble = true;
  options.concurrency = 1;
  start();
  submit(envelope({0}));
  const auto one = envelope({0});
  const auto shared = std::make_shared<const mail::Envelope>(one);
  for (int n = 1; n < 20'000; ++n) {
    mail::Envelope made = one;
    made.id = ids.next();
    const auto ref = spool.add(made);
    queue->submit(ref, shared);
  }
  deliverers.erase("h0");
  queue->flush("");
  settle();
  EXPECT_EQ(hop("h0").ready, 0u);
  EXPECT_EQ(hop("h0").waiting, 20'000u);
  EXPECT_EQ(h0.seen.size(), 1u);
}

TEST_F(QueueTest, DeliveredMessagesLeaveNoTimersBehind) {
  start();
  for (int n = 0; n < 5000; ++n) submit(envelope({n % 3}));
  EXPECT_EQ(queue->stats().messages, 0u);
  EXPECT_LE(queue->stats().timers, 1100u);
}

TEST_F(QueueTest, ManyMessagesOfOneSiteExpireTogether) {
  h0.site_trouble = true;
  options.expiry = minutes(2);
  start();
  // Scanning every job for every message takes minutes here, more than a test may; linear work
  // takes seconds.
  for (int n = 0; n < 20'000; ++n) {
    mail::Envelope made = envelope({0}, true);
    made.accepted_at = clock.now();
    queue->submit(spool.add(made), std::make_shared<const mail::Envelope>(made));
  }
  advance(minutes(4));
  EXPECT_EQ(spool.open_recipients(), 0u);
  EXPECT_EQ(queue->stats().messages, 0u);
}

}  // namespace
}  // namespace waypost::queue::testing
