#include "load/accounting.h"

#include "load/identity.h"

#include <gtest/gtest.h>

namespace waypost::load {
namespace {

constexpr std::uint64_t kRun = 0xabc;

/// The two logs of a run, line by line.
struct AccountingTest : ::testing::Test {
  std::string sent = std::string(kSendMagic) + "\t" + hex(kRun) + "\n";
  std::string received = std::string(kSinkMagic) + "\n";
  VerifyRules rules;

  /// recipients: "ak\tann@corp.example\tann@org.example"
  void send(std::uint64_t sequence, char outcome, const std::string& recipients,
            const std::string& queue_id = "-") {
    sent += "M\t" + std::to_string(sequence) + "\t1000000\t500\t1024\t" + hex(77) + "\t" + outcome +
            "\t250\t" + queue_id + "\t" + recipients + "\n";
  }
  void arrive(std::uint64_t sequence, const std::string& address, std::uint64_t said = 77,
              std::uint64_t seen = 77, std::uint64_t run = kRun) {
    received += "R\t" + hex(run) + "\t" + std::to_string(sequence) + "\t" + hex(said) + "\t" +
                hex(seen) + "\t1000700\t1024\ts@corp.example\t" + address + "\n";
  }
  void report(std::uint64_t sequence, const std::string& address) {
    received += "B\t" + hex(kRun) + "\t" + std::to_string(sequence) + "\t" + address + "\n";
  }
  Accounting settle() {
    Ledger ledger;
    EXPECT_TRUE(ledger.add_sent(sent, "send.log"));
    EXPECT_TRUE(ledger.add_received(received, "sink.log"));
    return ledger.settle(rules);
  }
  /// Exactly one figure is wrong, and allowing it makes the run good.
  void expect_wrong(const std::string& word) {
    const auto sum = settle();
    ASSERT_EQ(sum.wrong.size(), 1u) << word << (sum.wrong.size() > 1 ? sum.wrong[1] : "");
    EXPECT_NE(sum.wrong.front().find("(" + word + ")"), std::string::npos) << sum.wrong.front();
    rules.allowed = {word};
    EXPECT_TRUE(settle().good());
    rules.allowed.clear();
  }
  const std::string ann = "ak\tann@corp.example\tann@org.example";
};

TEST_F(AccountingTest, ArrivedOnceIsGood) {
  send(0, 'a', ann);
  send(1, 'a', "ak\tbob@corp.example\t=");
  arrive(0, "Ann@ORG.example");
  arrive(1, "bob@corp.example");
  const auto sum = settle();
  EXPECT_TRUE(sum.good());
  EXPECT_EQ(sum.messages, 2u);
  EXPECT_EQ(sum.arrived_once, 2u);
  EXPECT_EQ(sum.delivery.count(), 2u);
  EXPECT_EQ(sum.delivery.max(), 1'200u) << "from 500 us before the 250 to 700 us behind it";
}

TEST_F(AccountingTest, WhatIsMissingIsLost) {
  send(0, 'a', ann, "0SGFC72PSH40");
  EXPECT_EQ(settle().lost, 1u);
  EXPECT_EQ(settle().examples.front(),
            "lost: message 0 to ann@corp.example, queue id 0SGFC72PSH40");
  expect_wrong("lost");
}

TEST_F(AccountingTest, WhatMayStillBeQueuedIsNotCalledLost) {
  send(0, 'a', ann, "0SGFC72PSH40");
  rules.queue_known = false;
  const auto sum = settle();
  EXPECT_EQ(sum.lost, 0u);
  EXPECT_EQ(sum.unjudged, 1u);
  ASSERT_EQ(sum.wrong.size(), 1u);
  EXPECT_NE(sum.wrong[0].find("--admin-socket"), std::string::npos) << sum.wrong[0];
  expect_wrong("unjudged");
}

TEST_F(AccountingTest, WhoGotItElsewhereIsNotLostToo) {
  send(0, 'a', ann + "\tak\tbob@corp.example\tbob@org.example");
  arrive(0, "ann@corp.example");
  const auto sum = settle();
  EXPECT_EQ(sum.wrong_address, 1u);
  EXPECT_EQ(sum.lost, 1u) << "the other one of the two";
  EXPECT_EQ(sum.wrong.size(), 2u);
}

TEST_F(AccountingTest, TheOldSystemGetsTheAddressesThatWereSent) {
  send(0, 'a', ann);
  send(1, 'a', "ak\tbob@corp.example\tbob@org.example");
  arrive(0, "ann@org.example");
  Ledger ledger;
  EXPECT_TRUE(ledger.add_sent(sent, "send.log"));
  EXPECT_TRUE(ledger.add_received(received, "sink.log"));
  received = std::string(kSinkMagic) + "\n";
  arrive(1, "bob@corp.example");
  EXPECT_TRUE(ledger.add_received(received, "old.log", Receiver::old_system));
  const auto sum = ledger.settle(rules);
  EXPECT_TRUE(sum.good());
  EXPECT_EQ(sum.arrived_once, 1u);
  EXPECT_EQ(sum.at_old_system, 1u);
}

TEST_F(AccountingTest, BothSystemsAreOneTooMany) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example");
  Ledger ledger;
  EXPECT_TRUE(ledger.add_sent(sent, "send.log"));
  EXPECT_TRUE(ledger.add_received(received, "sink.log"));
  received = std::string(kSinkMagic) + "\n";
  arrive(0, "ann@corp.example");
  EXPECT_TRUE(ledger.add_received(received, "old.log", Receiver::old_system));
  EXPECT_EQ(ledger.settle(rules).arrived_twice, 1u);
}

TEST_F(AccountingTest, ArrivedTwice) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example");
  arrive(0, "ann@org.example");
  EXPECT_EQ(settle().arrived_twice, 1u);
  EXPECT_EQ(settle().arrived_once, 0u);
  expect_wrong("twice");
}

TEST_F(AccountingTest, TwoAddressesOfOnePersonMayArriveOnceEach) {
  send(0, 'a', ann + "\tak\ta.nn@corp.example\tann@org.example");
  arrive(0, "ann@org.example\tann@org.example");
  EXPECT_TRUE(settle().good());
  EXPECT_EQ(settle().arrived_once, 2u);
}

TEST_F(AccountingTest, AtAWrongAddress) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example");
  arrive(0, "eve@org.example");
  EXPECT_EQ(settle().wrong_address, 1u);
  expect_wrong("wrong-address");
}

TEST_F(AccountingTest, NotRewrittenIsAWrongAddressToo) {
  send(0, 'a', ann);
  arrive(0, "ann@corp.example");
  const auto sum = settle();
  EXPECT_EQ(sum.wrong_address, 1u);
  EXPECT_EQ(sum.lost, 0u) << "it is somewhere";
}

TEST_F(AccountingTest, ChangedBodyOrChangedIdentity) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example", 77, 78);
  EXPECT_EQ(settle().changed, 1u);
  expect_wrong("changed");
  received = std::string(kSinkMagic) + "\n";
  arrive(0, "ann@org.example", 78, 78);
  expect_wrong("changed");
}

TEST_F(AccountingTest, BouncedByEitherName) {
  for (const char* name : {"ann@corp.example", "ann@org.example"}) {
    sent = std::string(kSendMagic) + "\t" + hex(kRun) + "\n";
    received = std::string(kSinkMagic) + "\n";
    send(0, 'a', ann);
    report(0, name);
    EXPECT_EQ(settle().bounced, 1u) << name;
    expect_wrong("bounced");
  }
}

TEST_F(AccountingTest, ArrivedAndReportedAsFailedIsWrong) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example");
  report(0, "ann@corp.example");
  expect_wrong("bounced");
}

TEST_F(AccountingTest, AnUnknownAddressMustBeRefusedOrReported) {
  send(0, 'r', "ru\tnobody@corp.example\t");
  send(1, 'a', "au\tnobody2@corp.example\t");
  report(1, "nobody2@corp.example");
  const auto sum = settle();
  EXPECT_TRUE(sum.good());
  EXPECT_EQ(sum.refused_as_expected, 1u);
  EXPECT_EQ(sum.bounced_as_expected, 1u);
}

TEST_F(AccountingTest, AnUnknownAddressThatIsDeliveredIsWrong) {
  send(0, 'a', "au\tnobody@corp.example\t");
  arrive(0, "nobody@corp.example");
  EXPECT_EQ(settle().unknown_delivered, 1u);
  expect_wrong("unknown");
}

TEST_F(AccountingTest, AKnownAddressThatIsRefusedIsWrong) {
  send(0, 'a', ann + "\trk\tbob@corp.example\tbob@org.example");
  arrive(0, "ann@org.example");
  EXPECT_EQ(settle().refused, 1u);
  expect_wrong("refused");
}

TEST_F(AccountingTest, ContentThatIsRefusedIsRefusedForAll) {
  send(0, 'r', ann + "\tak\tbob@corp.example\tbob@org.example");
  EXPECT_EQ(settle().refused, 2u);
  EXPECT_EQ(settle().lost, 0u);
}

TEST_F(AccountingTest, RefusedButDeliveredIsWrong) {
  send(0, 'r', "rk\tann@corp.example\tann@org.example");
  arrive(0, "ann@org.example");
  expect_wrong("uninvited");
}

TEST_F(AccountingTest, UnacknowledgedMayHaveArrivedOrNot) {
  send(0, 'l', ann);
  send(1, 'l', ann);
  arrive(1, "ann@org.example");
  const auto sum = settle();
  EXPECT_TRUE(sum.good());
  EXPECT_EQ(sum.unacknowledged_missing, 1u);
  EXPECT_EQ(sum.unacknowledged_arrived, 1u);
  arrive(1, "ann@org.example");
  expect_wrong("twice");
}

TEST_F(AccountingTest, UnsentIsWrong) {
  send(0, 'n', "nk\tann@corp.example\tann@org.example");
  EXPECT_EQ(settle().unsent, 1u);
  expect_wrong("unsent");
}

TEST_F(AccountingTest, AMissingGroupMemberIsLostOrFailedInSilence) {
  const std::string member = "ag\tann@corp.example\tann@org.example";
  send(0, 'a', member + "\tak\tbob@corp.example\tbob@org.example", "AAA");
  send(1, 'a', member, "BBB");
  arrive(0, "bob@org.example");
  arrive(1, "ann@org.example");
  EXPECT_EQ(settle().arrived_once, 2u);
  EXPECT_EQ(settle().unreported, 1u);
  EXPECT_EQ(settle().lost, 0u);
  EXPECT_EQ(settle().examples.front(),
            "missing, no report asked for: message 0 to ann@corp.example, queue id AAA");
  expect_wrong("unreported");
  rules.queued.add("AAA", "ann@corp.example");
  expect_wrong("queued");
}

TEST_F(AccountingTest, AReportThatWasNotAskedForIsABounce) {
  send(0, 'a', "ag\tann@corp.example\tann@org.example");
  report(0, "ann@corp.example");
  EXPECT_NE(settle().examples.front().find("NOTIFY=NEVER"), std::string::npos);
  expect_wrong("bounced");
}

TEST_F(AccountingTest, QueuedByIdIsTheOneMeant) {
  send(0, 'a', ann, "AAA");
  send(1, 'a', ann, "BBB");
  rules.queued_ids = {"BBB"};
  const auto sum = settle();
  EXPECT_EQ(sum.queued, 1u);
  EXPECT_EQ(sum.lost, 1u);
}

TEST_F(AccountingTest, QueuedByIdAndRecipientCoversNobodyElse) {
  send(0, 'a', ann + "\tak\tbob@corp.example\tbob@org.example", "AAA");
  send(1, 'a', ann, "BBB");
  rules.queued.add("AAA", "Bob@corp.example");
  rules.queued.add("CCC", "ann@corp.example");  // of somebody else
  rules.queued.add("CCC", "bob@corp.example");
  const auto sum = settle();
  EXPECT_EQ(sum.queued, 1u);
  EXPECT_EQ(sum.lost, 2u);
  rules.allowed = {"queued"};
  EXPECT_FALSE(settle().good()) << "queued mail of others hides no loss";
}

TEST_F(AccountingTest, QueuedByNumberCoversThatManyMessages) {
  for (std::uint64_t i = 0; i < 5; ++i) send(i, 'a', ann);
  rules.queued_messages = 3;
  const auto sum = settle();
  EXPECT_EQ(sum.queued, 3u);
  EXPECT_EQ(sum.lost, 2u);
  rules.queued_messages = 50;
  EXPECT_EQ(settle().queued, 5u);
  expect_wrong("queued");
}

TEST_F(AccountingTest, ForeignAddressesFollowTheRule) {
  send(0, 'a', "af\tguest@else.example\t=");
  arrive(0, "guest@else.example");
  EXPECT_TRUE(settle().good());
  rules.foreign = ForeignRule::refuse;
  expect_wrong("foreign");
  send(1, 'r', "rf\tguest2@else.example\t=");
  rules.foreign = ForeignRule::either;
  EXPECT_TRUE(settle().good());
  rules.foreign = ForeignRule::deliver;
  expect_wrong("foreign-refused");
}

TEST_F(AccountingTest, MailOfOtherRunsAndNobodysMailIsCountedApart) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example");
  arrive(0, "ann@org.example", 77, 77, 0xdef);
  arrive(99, "ann@org.example");
  received += "X\t1\t100\tann@org.example\n";
  const auto sum = settle();
  EXPECT_TRUE(sum.good());
  EXPECT_EQ(sum.other_mail, 3u);
}

TEST_F(AccountingTest, SeveralRecipientsHaveSeveralFates) {
  send(0, 'a',
       ann + "\tak\tbob@corp.example\tbob@org.example\tak\tcy@corp.example\tcy@org.example");
  arrive(0, "ann@org.example");
  arrive(0, "bob@org.example", 77, 78);
  const auto sum = settle();
  EXPECT_EQ(sum.recipients, 3u);
  EXPECT_EQ(sum.arrived_once, 1u);
  EXPECT_EQ(sum.changed, 1u);
  EXPECT_EQ(sum.lost, 1u);
  EXPECT_EQ(sum.wrong.size(), 2u);
}

TEST_F(AccountingTest, NothingSentIsNoSuccess) { EXPECT_FALSE(settle().good()); }

TEST_F(AccountingTest, ALineThatIsNotFinishedIsLeftOut) {
  send(0, 'a', ann);
  arrive(0, "ann@org.example");
  received += "R\tabc\t0\t77";
  EXPECT_TRUE(settle().good());
}

TEST_F(AccountingTest, SaysWhichLineIsBad) {
  Ledger ledger;
  send(0, 'a', ann);
  const auto bad = ledger.add_sent(sent + "M\tx\n", "send.log");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("send.log:3"), std::string::npos) << bad.error().message;
  EXPECT_FALSE(ledger.add_received("something else\n", "x"));
  EXPECT_FALSE(ledger.add_received(received + "Q\t1\n", "x"));
  EXPECT_FALSE(Ledger().add_sent(received, "x"));
}

TEST_F(AccountingTest, TheSameMessageTwiceInALogIsBad) {
  send(0, 'a', ann);
  send(0, 'a', ann);
  EXPECT_FALSE(Ledger().add_sent(sent, "send.log"));
}

}  // namespace
}  // namespace waypost::load
