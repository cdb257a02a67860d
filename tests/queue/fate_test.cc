// What becomes of recipients: expired, held, re-routed, unknown, found again after a restart.
#include "queue_fixture.h"

#include <fstream>

namespace waypost::queue::testing {
namespace {

TEST_F(QueueTest, ExpiresWhileWaiting) {
  h0.judge = [](const std::string&) { return deferred("450 4.2.0 mailbox busy"); };
  start();
  const auto id = submit(envelope({0}));
  advance(hours(47));
  EXPECT_EQ(state(id), spool::Settlement::open);
  advance(hours(1) + seconds(1));
  EXPECT_EQ(state(id), spool::Settlement::reported);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_NE(report().find("mailbox busy"), std::string::npos);
  EXPECT_NE(report().find("within 48 hours"), std::string::npos);
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(QueueTest, ExpiresWhileTheSiteIsPaused) {
  h0.site_trouble = true;
  start();
  const auto first = submit(envelope({0}));
  const auto second = submit(envelope({0}));  // never tried
  advance(hours(48) + seconds(1));
  EXPECT_EQ(state(first), spool::Settlement::reported);
  EXPECT_EQ(state(second), spool::Settlement::reported);
  EXPECT_EQ(hop("h0").ready + hop("h0").waiting + hop("h0").active, 0u);
}

TEST_F(QueueTest, ExpiresWhileHeld) {
  router.set(users(false, {0}));
  start();
  const auto id = submit(envelope({0}));
  EXPECT_EQ(queue->stats().held, 1u);
  advance(hours(48) + seconds(1));
  EXPECT_EQ(state(id), spool::Settlement::reported);
  EXPECT_EQ(queue->stats().held, 0u);
  EXPECT_NE(report().find("held for a migration"), std::string::npos);
}

TEST_F(QueueTest, DoesNotExpireUnderARunningAttempt) {
  h0.blocked = true;
  start();
  const auto id = submit(envelope({0}));
  advance(hours(49));
  EXPECT_EQ(state(id), spool::Settlement::open);
  h0.release();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  advance(minutes(5));
  EXPECT_TRUE(spool.committed.empty());
}

TEST_F(QueueTest, AMachineThatSleptDoesNotUseUpAnybodysTime) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0}));
  clock.set_wall(clock.now() + hours(72));  // the machine slept: steady time stood still
  advance(seconds(31));
  EXPECT_EQ(state(id), spool::Settlement::open);
  EXPECT_EQ(h0.seen.size(), 2u);
  h0.judge = [](const std::string&) { return delivered(); };
  advance(minutes(5));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(QueueTest, HeldMailIsReleasedAndItsMarkTakenBack) {
  router.set(users(false, {0, 3}));
  start();
  const auto id = submit(envelope({0, 3, 6}));
  EXPECT_EQ(queue->stats().held, 1u);
  EXPECT_TRUE(spool.kept.at(id).stored.held);
  EXPECT_EQ(state(id, 2), spool::Settlement::delivered);
  router.set(users(false, {3}));
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
  EXPECT_TRUE(spool.kept.at(id).stored.held);
  router.set(users());
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_FALSE(spool.kept.at(id).stored.held);
  EXPECT_EQ(queue->stats().held, 0u);
  EXPECT_EQ(spool.settled_twice, 0u);
}

TEST_F(QueueTest, HeldMailDoesNotStayInMemory) {
  router.set(users(false, {0}));
  start();
  submit(envelope({0}));
  EXPECT_GE(spool.forgotten, 1u);
}

TEST_F(QueueTest, MailThatWaitsForItsTurnDoesNotStayInMemory) {
  start();
  h0.blocked = true;
  std::vector<std::uint64_t> sent;
  for (int i = 0; i < 1100; ++i) sent.push_back(submit(envelope({0})));
  settle();
  EXPECT_GT(spool.forgotten, 50u);  // the oldest, but for those under way
  EXPECT_LE(spool.forgotten, 100u);
  h0.release();
  advance(seconds(30));
  for (const auto id : sent) EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(spool.settled_twice, 0u);
}

TEST_F(QueueTest, ReleaseWaitsForASpoolThatCanBeRead) {
  router.set(users(false, {0}));
  start();
  const auto id = submit(envelope({0}));
  router.set(users());
  spool.unreadable = true;
  queue->routes_changed();
  settle();
  EXPECT_EQ(queue->stats().held, 1u);
  spool.unreadable = false;
  queue->routes_changed();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(QueueTest, AChangedRouterRedirectsWhatWaits) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0}));
  router.set(users(true));
  queue->routes_changed();
  advance(seconds(31));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  EXPECT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(h1.seen.size(), 1u);
}

TEST_F(QueueTest, AnUnknownRecipientWaitsWithinTheGraceAndFailsAfterIt) {
  start();
  router.set(users(false, {}, {0}));
  const auto id = submit(envelope({0, 3}));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  advance(hours(3) + minutes(50));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  advance(minutes(30));
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
}

TEST_F(QueueTest, AnUnknownRecipientThatComesBackWithinTheGraceIsDelivered) {
  start();
  router.set(users(false, {}, {0}));
  const auto id = submit(envelope({0}));
  router.set(users());
  advance(minutes(1));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(QueueTest, AVanishedNextHopDefersUntilItComesBack) {
  start();
  deliverers.erase("h0");
  const auto id = submit(envelope({0}));
  EXPECT_GT(tracking.count("is not configured any more"), 0u);
  deliverers["h0"] = &h0;
  queue->routes_changed();
  advance(seconds(31));
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(QueueTest, RestartTriesOnlyWhatIsNotSettled) {
  const auto what = envelope({0, 3, 6});
  spool.add(what);
  auto& kept = spool.kept.at(what.id.value);
  kept.stored.settled[1] = spool::Settlement::delivered;
  start();
  queue->restore(kept.stored);
  settle();
  ASSERT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(h0.seen[0].targets, (std::vector<std::string>{"u0@t0.example", "u6@t0.example"}));
  EXPECT_EQ(spool.settled_twice, 0u);
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(QueueTest, AMessageWhoseEnvelopeCanNotBeReadIsHeld) {
  const auto what = envelope({0});
  spool.add(what);
  spool::StoredMessage torn = spool.kept.at(what.id.value).stored;
  torn.envelope = "nonsense";
  start();
  queue->restore(torn);
  settle();
  EXPECT_EQ(queue->stats().held, 1u);
  EXPECT_EQ(state(what.id.value), spool::Settlement::open);
}

TEST_F(QueueTest, ASickDiskDelaysAndDoesNotLose) {
  const auto what = envelope({0});
  spool.add(what);
  spool.unreadable = true;
  start();
  queue->restore(spool.kept.at(what.id.value).stored);
  advance(minutes(2));
  EXPECT_TRUE(h0.seen.empty());
  spool.unreadable = false;
  advance(minutes(5));
  EXPECT_EQ(state(what.id.value), spool::Settlement::delivered);
}

TEST_F(QueueTest, ARewrittenSenderIsOnTheWireAndInTheLogAndNowhereElse) {
  const std::string secret = ::testing::TempDir() + "waypost-queue-srs-secret";
  std::ofstream(secret) << "a secret of enough length\n";
  routing::Options wanted = router.get()->options();
  routing::Entry moved;
  moved.address = {"u0", "corp.example"};
  moved.target = {"u0", "t0.example"};
  wanted.sources.resize(1);
  wanted.sources[0].entries = {moved};
  wanted.srs.domain = "srs.corp.example";
  wanted.srs.secret_file = secret;
  std::vector<routing::Problem> problems;
  const auto rewriting = routing::Router::load(wanted, problems);
  ASSERT_TRUE(rewriting) << rewriting.error().message;
  router.set(*rewriting);
  h0.judge = [](const std::string&) { return failed(); };
  start();
  submit(envelope({0}));
  advance(seconds(30));
  ASSERT_EQ(h0.seen.size(), 1u);
  EXPECT_TRUE(h0.seen[0].rewritten_sender.starts_with("SRS0="));
  EXPECT_EQ(tracking.count("\"sender\":\"sender@outside.example\",\"rewritten_sender\":\"SRS0="),
            1u);
  // The report goes to the sender as the message came with it, from nobody.
  ASSERT_EQ(reports.seen.size(), 1u);
  EXPECT_EQ(reports.seen[0].targets, std::vector<std::string>{"sender@outside.example"});
  EXPECT_EQ(reports.seen[0].rewritten_sender, "");
}

}  // namespace
}  // namespace waypost::queue::testing
