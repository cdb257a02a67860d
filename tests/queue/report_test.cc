// Who is told what, and when a recipient may count as told.
#include "waypost/ops/log.h"

#include "queue_fixture.h"

#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

namespace waypost::queue::testing {
namespace {

/// What the service log says while this lives.
class Logged {
 public:
  Logged() { ops::log().sinks().push_back(sink_); }
  ~Logged() { std::erase(ops::log().sinks(), sink_); }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;
  bool has_error(const std::string& words) const {
    std::istringstream lines(text_.str());
    for (std::string line; std::getline(lines, line);) {
      if (line.find("error") != std::string::npos && line.find(words) != std::string::npos)
        return true;
    }
    return false;
  }

 private:
  std::ostringstream text_;
  spdlog::sink_ptr sink_ = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
};

mail::Outcome refuse_all(const std::string&) { return failed(); }

TEST_F(QueueTest, OneReportForAllThatFailOnSeveralNextHops) {
  h0.judge = h1.judge = h2.judge = refuse_all;
  start();
  const auto id = submit(envelope({0, 1, 2, 3}));
  ASSERT_EQ(spool.committed.size(), 1u);
  for (const char* name : {"u0@corp.example", "u1@corp.example", "u2@corp.example"})
    EXPECT_NE(report().find(name), std::string::npos) << name;
  EXPECT_EQ(report().find("t0.example"), std::string::npos);  // not the rewritten address
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(state(id, i), spool::Settlement::reported);
  ASSERT_EQ(reports.seen.size(), 1u);
  EXPECT_EQ(reports.seen[0].targets, std::vector<std::string>{"sender@outside.example"});
}

TEST_F(QueueTest, AReportDoesNotWaitLongForTheOthers) {
  h0.judge = refuse_all;
  h1.blocked = true;
  start();
  const auto id = submit(envelope({0, 1}));
  EXPECT_TRUE(spool.committed.empty());
  advance(seconds(11));
  EXPECT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
}

TEST_F(QueueTest, NotifyNeverIsSettledInSilence) {
  h0.judge = refuse_all;
  start();
  auto what = envelope({0, 3});
  what.recipients[0].notify = mail::kNotifyNever;
  const auto id = submit(what);
  EXPECT_EQ(state(id, 0), spool::Settlement::failed);
  EXPECT_EQ(state(id, 1), spool::Settlement::reported);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(report().find("u0@corp.example"), std::string::npos);
}

TEST_F(QueueTest, NobodyIsToldOfANullSendersMail) {
  h0.judge = refuse_all;
  start();
  const auto id = submit(envelope({0}, true));
  EXPECT_EQ(state(id), spool::Settlement::failed);
  EXPECT_TRUE(spool.committed.empty());
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(QueueTest, AMessageWhoseContentCanNotBeReadExpiresWithAReportOfItsHeader) {
  h0.judge = [](const std::string&) { return deferred("the stored content can't be read"); };
  start();
  auto what = envelope({0});
  what.ret = mail::Ret::full;
  const auto id = submit(what);
  spool.unreadable_content = true;
  advance(hours(49));
  EXPECT_EQ(state(id), spool::Settlement::reported);
  ASSERT_FALSE(spool.committed.empty());
  EXPECT_NE(report().find("can't be read"), std::string::npos);
  EXPECT_NE(report().find("Subject: hello"), std::string::npos);
  EXPECT_EQ(report().find("message/rfc822\r\n"), std::string::npos);  // a part is not the whole
}

TEST_F(QueueTest, NeverAReportAboutAReport) {
  h0.judge = refuse_all;
  reports.judge = refuse_all;
  start();
  submit(envelope({0}));
  advance(hours(49));
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(state(spool.committed[0]), spool::Settlement::failed);
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(QueueTest, AReportNeedsSmtputf8OnlyForItsAddressee) {  // RFC 6531 §3.4
  h0.judge = refuse_all;
  start();
  auto what = envelope({0});
  what.smtputf8 = true;
  what.header = mail::HeaderText::utf8;
  what.recipients[0].original.local_part = "u0";
  what.recipients[0].orcpt = "utf-8;j\xC3\xBC@corp.example";
  submit(what);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_FALSE(kept_envelope(0).smtputf8);
  EXPECT_NE(report(0).find("Original-Recipient: utf-8; j\\x{FC}@corp.example"), std::string::npos);
  what = envelope({0});
  what.reverse_path = mail::Mailbox{"zo\xC3\xAB", "outside.example"};
  submit(what);
  ASSERT_EQ(spool.committed.size(), 2u);
  EXPECT_TRUE(kept_envelope(1).smtputf8);
  EXPECT_NE(report(1).find("message/global-delivery-status"), std::string::npos);
}

TEST_F(QueueTest, AReportThatFailsIsSaidAloudAndToldToWhomItIsLeft) {
  const Logged logged;
  options.undeliverable_to = "u1@corp.example";
  h0.judge = refuse_all;
  reports.judge = [](const std::string&) { return failed("550 5.6.7 no SMTPUTF8 here"); };
  start();
  auto what = envelope({0});
  what.reverse_path = mail::Mailbox{"zo\xC3\xAB", "outside.example"};
  submit(what);
  advance(minutes(1));
  ASSERT_EQ(spool.committed.size(), 2u);  // the report, and what tells that it failed
  EXPECT_NE(metrics.serialize().find("waypost_queue_reports_total{result=\"failed\"} 1"),
            std::string::npos);
  EXPECT_EQ(h1.seen.back().targets, std::vector<std::string>{"u1@t1.example"});
  EXPECT_FALSE(kept_envelope(1).smtputf8);
  EXPECT_NE(report(1).find("Final-Recipient: utf-8; zo\\x{EB}@outside.example"), std::string::npos);
  EXPECT_TRUE(logged.has_error(
      "can't be delivered: 550 5.6.7 no SMTPUTF8 here; queue.undeliverable_to is told"));
}

TEST_F(QueueTest, WhatReachesNobodyAtAllIsAnErrorInTheLog) {
  const Logged logged;
  options.undeliverable_to = "u1@corp.example";
  h0.judge = h1.judge = reports.judge = refuse_all;
  start();
  submit(envelope({0}));
  advance(minutes(1));
  EXPECT_EQ(spool.committed.size(), 2u);
  EXPECT_TRUE(logged.has_error("it was queue.undeliverable_to itself that did not get it"));
}

TEST_F(QueueTest, WhoseSenderRoutingRefusesIsToldToWhomItIsLeft) {
  const Logged logged;
  options.report_next_hop.clear();
  options.undeliverable_to = "u1@corp.example";
  h0.judge = refuse_all;
  start();
  const auto id = submit(envelope({0}));
  EXPECT_EQ(state(id), spool::Settlement::reported);
  EXPECT_EQ(tracking.count("not sent"), 1u);
  EXPECT_TRUE(logged.has_error("sender@outside.example can't be told that delivery failed"));
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(h1.seen.back().targets, std::vector<std::string>{"u1@t1.example"});
}

TEST_F(QueueTest, WithoutAWayBackTheLossIsTracked) {
  options.report_next_hop.clear();
  h0.judge = refuse_all;
  start();
  const auto id = submit(envelope({0}));
  EXPECT_TRUE(spool.committed.empty());
  EXPECT_NE(state(id), spool::Settlement::open);
  EXPECT_EQ(tracking.count("not sent"), 1u);
}

TEST_F(QueueTest, AReportWaitsWhileRoutingIsAtALoss) {
  options.report_next_hop.clear();
  h0.judge = refuse_all;
  start();
  auto what = envelope({0});
  what.reverse_path = mail::Mailbox{"u3", "corp.example"};
  h0.blocked = true;
  const auto id = submit(what);
  router.set(routing::Router::unavailable(users()->options(), "the table is lost"));
  h0.release();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::reported);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(tracking.count("not sent"), 0u);
  EXPECT_EQ(state(spool.committed[0]), spool::Settlement::open);
  h0.judge = [](const std::string&) { return delivered(); };
  router.set(users());
  advance(minutes(1));
  EXPECT_EQ(state(spool.committed[0]), spool::Settlement::delivered);
  EXPECT_EQ(h0.seen.back().targets, std::vector<std::string>{"u3@t0.example"});
}

TEST_F(QueueTest, TheWholeMessageIsReturnedIfItWasAskedForAndIsNotTooLong) {
  options.report_full_limit = 1000;
  h0.judge = refuse_all;
  start();
  auto what = envelope({0});
  what.ret = mail::Ret::full;
  submit(what);
  EXPECT_NE(report(0).find("Subject: hello\r\n\r\nbody\r\n"), std::string::npos);
  what = envelope({0});
  what.ret = mail::Ret::full;
  what.content_size = 1001;
  submit(what);
  EXPECT_NE(report(1).find("Subject: hello"), std::string::npos);
  EXPECT_EQ(report(1).find("\r\nbody\r\n"), std::string::npos);
  submit(envelope({0}));
  EXPECT_EQ(report(2).find("\r\nbody\r\n"), std::string::npos);
}

TEST_F(QueueTest, SuccessIsReportedWhenTheNextHopDoesNotDoSo) {
  h1.judge = [](const std::string&) {
    auto outcome = delivered();
    outcome.remote_has_dsn = true;
    return outcome;
  };
  start();
  auto what = envelope({0, 1});
  for (auto& recipient : what.recipients) recipient.notify = mail::kNotifySuccess;
  const auto id = submit(what);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_NE(report().find("relayed"), std::string::npos);
  EXPECT_NE(report().find("u0@corp.example"), std::string::npos);
  EXPECT_EQ(report().find("u1@corp.example"), std::string::npos);
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
}

TEST_F(QueueTest, RecipientsAreSettledOnlyWhenTheirReportIsStored) {
  h0.judge = refuse_all;
  spool.refuse_commits = 3;
  start();
  const auto id = submit(envelope({0, 3}));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  advance(minutes(2));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  advance(minutes(2));
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
  EXPECT_EQ(state(id, 1), spool::Settlement::reported);
  EXPECT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(h0.seen.size(), 1u);
  EXPECT_EQ(spool.settled_twice, 0u);
}

TEST_F(QueueTest, AStopTellsAtOnceWhoWasWaitingForTheOthers) {
  h1.judge = [](const std::string&) { return deferred(); };
  h1.blocked = true;
  start();
  auto what = envelope({0, 1});
  what.recipients[0].notify = mail::kNotifySuccess;
  const auto id = submit(what);
  EXPECT_EQ(state(id, 0), spool::Settlement::open);  // delivered, its report collects
  finish();
  // Left open it would be delivered a second time after the restart.
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
}

}  // namespace
}  // namespace waypost::queue::testing
