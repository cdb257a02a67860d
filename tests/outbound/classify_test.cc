#include "outbound/classify.h"

#include <gtest/gtest.h>

namespace waypost::outbound {
namespace {

using mail::Fate;

struct Case {
  const char* name;
  int mail, rcpt, content;
  bool content_started, broken;
  Fate fate;
  const char* status;
  bool site_trouble;
};

class Classify : public ::testing::TestWithParam<Case> {};

TEST_P(Classify, Judges) {
  const Case& given = GetParam();
  smtp::TransactionOutcome transaction;
  transaction.mail.code = given.mail;
  transaction.recipients.resize(1);
  transaction.recipients[0].code = given.rcpt;
  transaction.content.code = given.content;
  transaction.content_started = given.content_started;
  Error broken;
  if (given.broken) broken = {ErrorKind::closed, "connection lost"};
  const auto outcome = judge_recipient(transaction, 0, broken, "mx.example", true);
  EXPECT_EQ(outcome.fate, given.fate);
  EXPECT_EQ(outcome.status.to_string(), given.status);
  EXPECT_EQ(is_site_trouble(transaction, broken), given.site_trouble);
  EXPECT_FALSE(outcome.reply.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, Classify,
    ::testing::Values(
        Case{"Delivered", 250, 250, 250, true, false, Fate::delivered, "2.0.0", false},
        Case{"MailLater", 451, 0, 0, false, false, Fate::deferred, "4.0.0", false},
        Case{"MailRefused", 550, 0, 0, false, false, Fate::failed, "5.0.0", false},
        Case{"MailThrottled", 454, 0, 0, false, false, Fate::deferred, "4.0.0", true},
        Case{"MailClosing", 421, 0, 0, false, false, Fate::deferred, "4.0.0", true},
        Case{"RcptLater", 250, 450, 0, false, false, Fate::deferred, "4.0.0", false},
        Case{"RcptThrottled", 250, 454, 0, false, false, Fate::deferred, "4.0.0", true},
        Case{"RcptRefused", 250, 550, 0, false, false, Fate::failed, "5.0.0", false},
        Case{"TooManyRecipients", 250, 452, 0, false, false, Fate::deferred, "4.0.0", false},
        Case{"TooManyInOldWords", 250, 552, 0, false, false, Fate::deferred, "4.0.0", false},
        Case{"ContentLater", 250, 250, 451, true, false, Fate::deferred, "4.0.0", false},
        Case{"ContentRefused", 250, 250, 554, true, false, Fate::failed, "5.0.0", false},
        Case{"ContentThrottled", 250, 250, 421, true, false, Fate::deferred, "4.0.0", true},
        Case{"VerdictIsNone", 250, 250, 354, true, false, Fate::deferred, "4.4.2", false},
        Case{"LostBeforeMail", 0, 0, 0, false, true, Fate::deferred, "4.4.2", true},
        Case{"LostBeforeRcpt", 250, 0, 0, false, true, Fate::deferred, "4.4.2", true},
        Case{"LostAfterContent", 250, 250, 0, true, true, Fate::deferred, "4.4.2", false}),
    [](const auto& about) { return about.param.name; });

TEST(Classify, A552ThatSaysWhatIsTheMatterMeansIt) {
  const auto fate = [](mail::EnhancedStatus status) {
    smtp::TransactionOutcome transaction;
    transaction.mail.code = 250;
    transaction.recipients = {smtp::Reply{552, status, "full"}};
    return judge_recipient(transaction, 0, {}, "mx.example", true).fate;
  };
  EXPECT_EQ(fate({5, 2, 2}), Fate::failed);
  EXPECT_EQ(fate({5, 5, 3}), Fate::deferred);
  EXPECT_EQ(fate({}), Fate::deferred);
}

TEST(Classify, ABusyServerIsKnownByItsBasicCodeToo) {
  const auto less = [](int code, mail::EnhancedStatus status) {
    smtp::TransactionOutcome transaction;
    transaction.mail = smtp::Reply{code, status, "later"};
    return asks_for_less(transaction, {});
  };
  for (const int code : {421, 451, 452, 454}) EXPECT_TRUE(less(code, {})) << code;
  EXPECT_FALSE(less(450, {}));
  EXPECT_FALSE(less(451, {4, 2, 1}));
  EXPECT_TRUE(less(450, {4, 7, 1}));
}

TEST(Classify, WhoeverTakesSomeNowAndTheOthersLaterIsNotBusy) {
  smtp::TransactionOutcome transaction;
  transaction.mail.code = 250;
  transaction.content.code = 250;
  for (const smtp::Reply& no : {smtp::Reply{452, {4, 5, 3}, "too many"}, smtp::Reply{452, {}, "no"},
                                smtp::Reply{552, {}, "no"}, smtp::Reply{550, {5, 5, 3}, "no"}}) {
    transaction.recipients = {smtp::Reply{250, {}, "ok"}, no};
    EXPECT_TRUE(wants_fewer(transaction, 1)) << no.code;
    EXPECT_FALSE(wants_fewer(transaction, 0));
    EXPECT_FALSE(asks_for_less(transaction, {})) << no.code;
    EXPECT_EQ(judge_recipient(transaction, 1, {}, "mx", true).fate, Fate::deferred) << no.code;
  }
  transaction.recipients = {
      smtp::Reply{550, {5, 5, 3}, "no"}};  // nobody was taken: it is a refusal
  EXPECT_EQ(judge_recipient(transaction, 0, {}, "mx", true).fate, Fate::failed);
  for (const smtp::Reply& other : {smtp::Reply{452, {4, 3, 1}, "disk"}, smtp::Reply{450, {}, "no"},
                                   smtp::Reply{552, {5, 2, 2}, "full"}}) {
    transaction.recipients = {smtp::Reply{250, {}, "ok"}, other};
    EXPECT_FALSE(wants_fewer(transaction, 1)) << other.code;
  }
}

TEST(Classify, WhateverMayArriveTwiceSaysSo) {
  smtp::TransactionOutcome transaction;
  transaction.content_started = true;
  for (const int mail : {0, 250}) {
    for (const int rcpt : {0, 250}) {
      transaction.mail.code = mail;
      transaction.recipients = {smtp::Reply{rcpt, {}, "ok"}};
      const auto outcome =
          judge_recipient(transaction, 0, {ErrorKind::protocol, "nonsense"}, "mx", true);
      EXPECT_NE(outcome.reply.find("may arrive twice"), std::string::npos) << mail << rcpt;
    }
  }
}

TEST(Classify, AConnectionThatBreaksUnderTheContentAsksForLess) {
  smtp::TransactionOutcome transaction;
  transaction.mail.code = 250;
  transaction.recipients = {smtp::Reply{250, {}, "ok"}};
  transaction.content_started = true;
  EXPECT_FALSE(asks_for_less(transaction, {}));
  EXPECT_TRUE(asks_for_less(transaction, {ErrorKind::closed, "connection lost"}));
  transaction.content_started = false;  // it never got that far: that is the site's trouble
  EXPECT_FALSE(asks_for_less(transaction, {ErrorKind::closed, "connection lost"}));
}

TEST(Classify, WhatKeepsASessionFromBeginningNeverFailsAnybody) {
  smtp::Reply refused;
  refused.code = 554;
  refused.text = "no";
  for (const ErrorKind kind :
       {ErrorKind::tls, ErrorKind::unsupported, ErrorKind::dns, ErrorKind::closed,
        ErrorKind::protocol, ErrorKind::cancelled, ErrorKind::network, ErrorKind::timeout}) {
    EXPECT_EQ(judge_no_session({kind, "words"}, {}, "mx").fate, Fate::deferred);
    const auto outcome = judge_no_session({kind, "words"}, refused, "mx");
    EXPECT_EQ(outcome.fate, Fate::deferred);
    EXPECT_EQ(outcome.status.klass, 4);
  }
  EXPECT_EQ(judge_no_session({ErrorKind::tls, "x"}, {}, "mx").status.to_string(), "4.7.5");
  EXPECT_EQ(judge_no_session({ErrorKind::dns, "x"}, {}, "mx").status.to_string(), "4.4.3");
}

}  // namespace
}  // namespace waypost::outbound
