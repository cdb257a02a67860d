// An entry with several targets: each copy has its own way and fate, and the sender hears of none.
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

using routing::EntryState;

/// u0 at t0, with so many copies at t1 and t2; whoever is pending goes to h2.
std::shared_ptr<const routing::Router> with_copies(std::size_t copies,
                                                   EntryState state = EntryState::active) {
  routing::Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"t0.example", "h0"}, {"t1.example", "h1"}, {"t2.example", "h2"}};
  options.pending_next_hop = "h2";
  routing::Entry entry;
  entry.address = {"u0", "corp.example"};
  entry.target = {"u0", "t0.example"};
  entry.state = state;
  entry.has_state = true;
  for (std::size_t k = 1; k <= copies; ++k)
    entry.copies.push_back({"u0", "t" + std::to_string(k) + ".example"});
  auto& source = options.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = {entry};
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return *router;
}

class CopiesTest : public QueueTest {
 protected:
  CopiesTest() { router.set(with_copies(2)); }
  /// As inbound makes it.
  mail::Envelope copied(bool null_sender = false) {
    auto made = envelope({0}, null_sender);
    for (std::uint8_t k = 1; k <= 2; ++k) {
      auto copy = made.recipients[0];
      copy.target.domain = "t" + std::to_string(k) + ".example";
      copy.next_hop = "h" + std::to_string(k);
      copy.notify = mail::kNotifyNever;
      copy.copy = k;
      made.recipients.push_back(copy);
    }
    return made;
  }
};

TEST_F(CopiesTest, EachGoesItsOwnWay) {
  start();
  const auto id = submit(copied());
  ASSERT_EQ(h0.seen.size() + h1.seen.size() + h2.seen.size(), 3u);
  EXPECT_EQ(h0.seen[0].targets, std::vector<std::string>{"u0@t0.example"});
  EXPECT_EQ(h1.seen[0].targets, std::vector<std::string>{"u0@t1.example"});
  EXPECT_EQ(h2.seen[0].targets, std::vector<std::string>{"u0@t2.example"});
  for (const std::size_t i : {0u, 1u, 2u}) EXPECT_EQ(state(id, i), spool::Settlement::delivered);
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(CopiesTest, AFailedCopyIsToldToNobody) {
  h1.judge = [](const std::string&) { return failed(); };
  options.undeliverable_to = "postmaster@corp.example";
  start();
  const auto id = submit(copied());
  const auto of_nobody = submit(copied(true));
  advance(minutes(5));
  for (const auto each : {id, of_nobody}) {
    EXPECT_EQ(state(each, 0), spool::Settlement::delivered);
    EXPECT_EQ(state(each, 1), spool::Settlement::failed);
    EXPECT_EQ(state(each, 2), spool::Settlement::delivered);
  }
  EXPECT_TRUE(spool.committed.empty()) << report();
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(CopiesTest, AReportOfTheRecipientDoesNotNameItsCopies) {
  h0.judge = h1.judge = [](const std::string&) { return failed(); };
  start();
  const auto id = submit(copied());
  advance(minutes(5));
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
  EXPECT_EQ(state(id, 1), spool::Settlement::failed);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(report().find("t1.example"), std::string::npos);
  EXPECT_EQ(report().find("Final-Recipient"), report().rfind("Final-Recipient"));
}

TEST_F(CopiesTest, ASuccessThatWasAskedForIsThatOfTheRecipient) {
  start();
  auto what = copied();
  what.recipients[0].notify = mail::kNotifySuccess;
  const auto id = submit(what);
  advance(minutes(5));
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(report().find("Final-Recipient"), report().rfind("Final-Recipient"));
  EXPECT_EQ(state(id, 2), spool::Settlement::delivered);
}

TEST_F(CopiesTest, ALateOrExpiredCopyIsToldToNobody) {
  options.delay_notice = hours(4);
  h1.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(copied());
  advance(hours(49));
  EXPECT_EQ(state(id, 1), spool::Settlement::failed);
  EXPECT_TRUE(spool.committed.empty()) << report();
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(CopiesTest, WhatTheEntryHasNoMoreEndsQuietly) {
  h1.judge = h2.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(copied());
  router.set(with_copies(1));
  h1.judge = h2.judge = [](const std::string&) { return delivered(); };
  advance(hours(2));
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 2), spool::Settlement::failed);
  EXPECT_EQ(h2.seen.size(), 1u) << "asked before it was tried again";
  EXPECT_TRUE(spool.committed.empty());
  EXPECT_EQ(tracking.count("the routing entry has no such copy any more"), 1u);
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(CopiesTest, ARollbackSendsOneMessageBackNotThree) {
  for (auto* hop : {&h0, &h1, &h2}) hop->judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(copied());
  router.set(with_copies(2, EntryState::rolled_back));
  for (auto* hop : {&h0, &h1, &h2}) hop->judge = [](const std::string&) { return delivered(); };
  advance(hours(2));
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::failed);
  EXPECT_EQ(state(id, 2), spool::Settlement::failed);
  ASSERT_EQ(h2.seen.size(), 2u);
  EXPECT_EQ(h2.seen[1].targets, std::vector<std::string>{"u0@corp.example"});
  EXPECT_TRUE(spool.committed.empty());
}

TEST_F(CopiesTest, AreHeldAndReleasedWithTheirWave) {
  router.set(with_copies(2, EntryState::migrating));
  start();
  const auto id = submit(copied());
  EXPECT_EQ(queue->stats().held, 1u);
  EXPECT_TRUE(h0.seen.empty() && h1.seen.empty() && h2.seen.empty());
  router.set(with_copies(2));
  queue->routes_changed();
  settle();
  for (const std::size_t i : {0u, 1u, 2u}) EXPECT_EQ(state(id, i), spool::Settlement::delivered);
}

TEST_F(CopiesTest, AnUnknownAddressGetsItsGraceForCopiesToo) {
  h1.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(copied());
  const auto table = router.get();
  router.set(users(false, {}, {0}));  // u0 is gone, perhaps by mistake
  advance(minutes(10));
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
  router.set(table);
  h1.judge = [](const std::string&) { return delivered(); };
  advance(hours(4));
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
}

TEST_F(CopiesTest, SurviveARestart) {
  h1.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(copied());
  finish();
  h1.judge = [](const std::string&) { return delivered(); };
  start();
  queue->restore(spool.kept.at(id).stored);
  settle();
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(h1.seen.back().targets, std::vector<std::string>{"u0@t1.example"});
}

}  // namespace
}  // namespace waypost::queue::testing
