// Who is told of a delay, when, and how often.
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

class Aging : public QueueTest {
 protected:
  Aging() { options.delay_notice = hours(4); }
};

TEST_F(Aging, OneNoticeForAllThatAreLate) {
  h0.judge = h1.judge = [](const std::string&) { return deferred("450 4.2.0 mailbox busy"); };
  start();
  const auto id = submit(envelope({0, 1, 2}));
  advance(hours(3) + minutes(59));
  EXPECT_TRUE(spool.committed.empty());
  advance(minutes(3));
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_NE(report().find("Action: delayed"), std::string::npos);
  EXPECT_NE(report().find("Will-Retry-Until:"), std::string::npos);
  EXPECT_NE(report().find("mailbox busy"), std::string::npos);
  EXPECT_NE(report().find("u0@corp.example"), std::string::npos);
  EXPECT_NE(report().find("u1@corp.example"), std::string::npos);
  EXPECT_EQ(report().find("u2@corp.example"), std::string::npos);  // delivered
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  advance(hours(40));
  EXPECT_EQ(spool.committed.size(), 1u);
}

/// What stands between this recipient's own line and the next one's.
std::string group_of(const std::string& report, const std::string& address) {
  const auto from = report.find("Final-Recipient: rfc822; " + address);
  if (from == std::string::npos) return "";
  return report.substr(from, report.find("\r\n\r\n", from) - from);
}

TEST_F(Aging, EachIsToldItsOwnAnswer) {
  h0.judge = [](const std::string& target) {
    return target == "u6@t0.example" ? deferred("450 4.2.0 busy")
                                     : deferred("452 4.2.2 <" + target + "> is full");
  };
  options.expiry = hours(8);
  start();
  submit(envelope({0, 3, 6}));
  Selector by_reply;
  by_reply.reply = "*<u3@*";
  const auto found = queue->list(by_reply, Slice{0, 100}).messages;
  ASSERT_EQ(found.size(), 1u);
  ASSERT_EQ(found[0].open.size(), 1u);
  EXPECT_EQ(found[0].open[0].address, "u3@corp.example");
  const auto all = queue->list({}, Slice{0, 100}).messages;
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0].open.size(), 3u);
  for (const ListedRecipient& one : all[0].open)
    EXPECT_EQ(one.why,
              one.index == 2 ? "450 4.2.0 busy" : "452 4.2.2 <" + one.target + "> is full");
  advance(hours(9));
  ASSERT_EQ(spool.committed.size(), 2u);  // a notice, then they are too old
  for (const std::size_t n : {0, 1}) {
    const std::string first = group_of(report(n), "u0@"), second = group_of(report(n), "u3@"),
                      third = group_of(report(n), "u6@");
    EXPECT_NE(first.find("<u0@t0.example>"), std::string::npos) << report(n);
    EXPECT_EQ(first.find("u3@"), std::string::npos) << first;
    EXPECT_NE(second.find("<u3@t0.example>"), std::string::npos) << second;
    EXPECT_EQ(second.find("u0@"), std::string::npos) << second;
    EXPECT_NE(third.find("450 4.2.0 busy"), std::string::npos) << third;
  }
}

TEST_F(Aging, AnAnswerThatAllGotIsOfEachOfThem) {
  h0.judge = [](const std::string&) { return deferred("450 4.2.0 busy"); };
  start();
  const auto first = submit(envelope({0, 3}));
  submit(envelope({6}));
  for (const auto& message : queue->list({}, Slice{0, 100}).messages)
    for (const ListedRecipient& one : message.open) EXPECT_EQ(one.why, "450 4.2.0 busy") << first;
}

TEST_F(Aging, NoticeOfMailThatWasNeverTried) {
  h0.site_trouble = true;
  start();
  submit(envelope({0}));
  submit(envelope({0}));
  advance(hours(4) + minutes(1));
  EXPECT_EQ(spool.committed.size(), 2u);
}

TEST_F(Aging, NobodyIsToldWhoDidNotWantToBe) {
  h0.site_trouble = true;
  start();
  submit(envelope({0}, true));
  auto what = envelope({0, 3, 6});
  what.recipients[0].notify = mail::kNotifyNever;
  what.recipients[1].notify = mail::kNotifyFailure;
  what.recipients[2].notify = mail::kNotifyDelay | mail::kNotifyFailure;
  submit(what);
  advance(hours(5));
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(report().find("u0@corp.example"), std::string::npos);
  EXPECT_EQ(report().find("u3@corp.example"), std::string::npos);
  EXPECT_NE(report().find("u6@corp.example"), std::string::npos);
}

TEST_F(Aging, NobodyIsToldTwiceOverARestart) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0}));
  advance(hours(5));
  ASSERT_EQ(spool.committed.size(), 1u);
  finish();
  start();
  queue->restore(spool.kept.at(id).stored);
  advance(hours(5));
  EXPECT_EQ(spool.committed.size(), 1u);
}

TEST_F(Aging, EachNextHopHasItsOwnPatience) {
  options.next_hops["h1"] = options;
  options.next_hops["h1"].expiry = hours(1);
  options.next_hops["h1"].backoff = {minutes(7)};
  options.next_hops["h1"].delay_notice = Duration::zero();
  h0.judge = h1.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0, 1}));
  advance(minutes(6));
  EXPECT_EQ(h1.seen.size(), 1u);
  advance(minutes(2));
  EXPECT_EQ(h1.seen.size(), 2u);
  advance(minutes(55));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  EXPECT_EQ(state(id, 1), spool::Settlement::reported);
  advance(hours(46));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  advance(hours(2));
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
}

TEST_F(Aging, WhatCanNotBeReturnedGoesToWhomItConcerns) {
  options.undeliverable_to = "postmaster@corp.example";
  h0.judge = [](const std::string&) { return failed(); };
  start();
  const auto id = submit(envelope({0}, true));
  EXPECT_EQ(state(id), spool::Settlement::reported);
  ASSERT_EQ(spool.committed.size(), 1u);
  ASSERT_EQ(reports.seen.size(), 1u);
  EXPECT_EQ(reports.seen[0].targets, std::vector<std::string>{"postmaster@corp.example"});
}

TEST_F(Aging, AndIsNotReturnedFromThere) {
  options.undeliverable_to = "postmaster@corp.example";
  h0.judge = [](const std::string&) { return failed(); };
  reports.judge = [](const std::string&) { return failed(); };
  start();
  submit(envelope({0}, true));
  advance(hours(1));
  EXPECT_EQ(spool.committed.size(), 1u);
  EXPECT_EQ(queue->stats().messages, 0u);
}

TEST_F(Aging, NothingIsReadOfWhatIsOnlyOld) {
  h0.site_trouble = true;
  start();
  for (int n = 0; n < 500; ++n) submit(envelope({0}));
  advance(hours(5));
  EXPECT_EQ(spool.committed.size(), 500u);
  Command hold;  // so that no attempt reads anything
  hold.verb = Verb::hold;
  queue->control(hold, Slice{0, 10000});
  settle();
  spool.loads = 0;
  for (int n = 0; n < 10; ++n) {  // each brings a pass of its own, four hours later
    submit(envelope({1}));
    advance(hours(1));
  }
  EXPECT_LT(spool.loads, 100u);
}

TEST_F(Aging, AMessageThatNobodyCanReadExpiresAtLast) {
  h0.site_trouble = true;
  start();
  const auto id = submit(envelope({0, 1}));
  const auto other = submit(envelope({0}));
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  finish();
  start();
  spool.kept.at(id).stored.envelope = "rubbish";
  queue->restore(spool.kept.at(id).stored);
  queue->restore(spool.kept.at(other).stored);
  spool.kept.at(other).stored.envelope = "rubbish";  // while it waits
  EXPECT_EQ(queue->stats().messages, 2u);
  advance(hours(49));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);  // it may be mended yet
  EXPECT_EQ(state(other), spool::Settlement::open);
  advance(hours(25));
  EXPECT_EQ(state(id, 0), spool::Settlement::failed);
  EXPECT_EQ(state(other), spool::Settlement::failed);
  EXPECT_EQ(queue->stats().messages, 0u);
  EXPECT_EQ(queue->stats().held, 0u);
  EXPECT_EQ(tracking.count("can't be read"), 2u);
}

TEST_F(Aging, AMessageThatNobodyCanReadCanBeListedAndDeleted) {
  h0.site_trouble = true;
  start();
  const auto id = submit(envelope({0}));
  finish();
  start();
  spool.kept.at(id).stored.envelope = "rubbish";
  queue->restore(spool.kept.at(id).stored);
  settle();
  const ListResult listed = queue->list({}, Slice{0, 10});
  ASSERT_EQ(listed.messages.size(), 1u);
  EXPECT_EQ(listed.messages[0].open.at(0).why, "its envelope can't be read");
  Command what;
  what.by = "ann";
  for (const Verb vain : {Verb::hold, Verb::bounce, Verb::release, Verb::flush}) {
    what.verb = vain;
    EXPECT_EQ(queue->control(what, Slice{0, 10}).recipients, 0u);
  }
  what.verb = Verb::remove;
  what.selector.ids = {QueueId{id}};
  EXPECT_EQ(queue->control(what, Slice{0, 10}).recipients, 1u);
  EXPECT_EQ(state(id), spool::Settlement::failed);
  EXPECT_EQ(queue->stats().messages, 0u);
  EXPECT_EQ(tracking.count("deleted by ann"), 1u);
}

TEST_F(Aging, NobodyIsAskedTwiceWhoeverWritesTheAddress) {
  h0.judge = [](const std::string&) { return failed(); };
  int refused = 0;  // a chain without end must end, for the test to tell of it
  reports.judge = [&refused](const std::string&) {
    return ++refused < 20 ? failed() : delivered();
  };
  for (const char* written : {"Postmaster@CORP.example.", "\"postmaster\"@corp.example"}) {
    finish();
    options.undeliverable_to = written;
    spool.committed.clear();
    start();
    submit(envelope({0}, true));
    advance(hours(1));
    EXPECT_EQ(spool.committed.size(), 1u) << written;
    EXPECT_EQ(queue->stats().messages, 0u);
  }
}

TEST_F(Aging, SleepsUntilSomethingIsDue) {
  h0.site_trouble = true;
  start();
  for (int n = 0; n < 3000; ++n) submit(envelope({0}, true));
  advance(minutes(1));
  EXPECT_LE(queue->stats().timers, 3000u + 1100u);
  advance(hours(49));
  EXPECT_EQ(queue->stats().messages, 0u);
}

}  // namespace
}  // namespace waypost::queue::testing
