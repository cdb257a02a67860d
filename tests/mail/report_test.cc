#include "waypost/mail/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waypost::mail {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Report {
  Report() {
    about.reverse_path = Mailbox{"ann", "ext.example"};
    about.envid = "a b";
    reported.recipient.original = {"bob", "corp.example"};
    reported.recipient.target = {"robert", "secret.example"};
    reported.recipient.orcpt = "rfc822;rob@corp.example";
    reported.outcome = {Fate::failed, status::unknown_mailbox, "550 no such user", true,
                        false,        "mx.t.example"};
  }
  std::string text() const {
    return build_report({ReportAction::failed,
                         about,
                         {reported},
                         "gw.corp.example",
                         "postmaster@corp.example",
                         {},
                         {},
                         original,
                         full,
                         {}});
  }
  Envelope about;
  ReportedRecipient reported;
  std::string original = "Subject: hello\r\n\r\n";
  bool full = false;
};

TEST(Report, SaysWhatRfc3464Asks) {
  const std::string text = Report().text();
  for (const char* line :
       {"Content-Type: multipart/report; report-type=delivery-status;", "To: <ann@ext.example>\r\n",
        "Reporting-MTA: dns; gw.corp.example\r\n", "Original-Envelope-Id: a+20b\r\n",
        "Original-Recipient: rfc822; rob@corp.example\r\n",
        "Final-Recipient: rfc822; bob@corp.example\r\n", "Action: failed\r\n", "Status: 5.1.1\r\n",
        "Remote-MTA: dns; mx.t.example\r\n", "Diagnostic-Code: smtp; 550 no such user\r\n",
        "Content-Type: text/rfc822-headers\r\n", "Auto-Submitted: auto-replied\r\n"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_THAT(text, Not(HasSubstr("secret.example")));
}

TEST(Report, FoldsWithoutChangingTheValue) {
  Report r;
  const std::string local = std::string(60, 'a') + "  b " + std::string(30, 'c');
  r.about.reverse_path->local_part = local;
  std::string text = r.text();
  for (std::size_t at; (at = text.find("\r\n ")) != std::string::npos;) text.erase(at, 2);
  EXPECT_THAT(text, HasSubstr("To: <\"" + local + "\"@ext.example>"));
}

TEST(Report, DeclaresEightBitContentForTheWholeToo) {
  Report r;
  r.full = true;
  r.original = "Subject: x\n\nj\xC3\xBC\n";
  const std::string text = r.text();
  EXPECT_THAT(text.substr(0, text.find("\r\n\r\n")), HasSubstr("Content-Transfer-Encoding: 8bit"));
  EXPECT_THAT(text, HasSubstr("message/rfc822\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\n\r\nj\xC3\xBC\r\n"));
  r.full = false;
  EXPECT_THAT(r.text(), HasSubstr("j??\r\n"));
}

TEST(Report, IsInternationalForUtf8Addresses) {
  Report r;
  r.reported.recipient.original.local_part = "j\xC3\xBC";
  for (const char* part : {"report-type=global-delivery-status", "message/global-delivery-status",
                           "message/global-headers", "Final-Recipient: utf-8; j\xC3\xBC@"})
    EXPECT_THAT(r.text(), HasSubstr(part));
}

TEST(Report, LetsNoReplyWriteFields) {
  Report r;
  r.reported.outcome.reply = "550 x\r\nAction: delivered\r\n\r\n--";
  EXPECT_THAT(r.text(), Not(HasSubstr("\nAction: delivered")));
}

TEST(FailureReport, IsWantedUnlessTheSenderSaidNo) {
  Envelope e;
  Recipient r;
  EXPECT_FALSE(wants_failure_report(e, r));
  e.reverse_path = Mailbox{"a", "b"};
  EXPECT_TRUE(wants_failure_report(e, r));
  r.notify = kNotifyNever;
  EXPECT_FALSE(wants_failure_report(e, r));
  r.notify = kNotifySuccess | kNotifyFailure;
  EXPECT_TRUE(wants_failure_report(e, r));
  r.notify = kNotifyDelay;
  EXPECT_FALSE(wants_failure_report(e, r));
  e.is_report = true;
  r.notify = kNotifyUnset;
  EXPECT_FALSE(wants_failure_report(e, r));
}

}  // namespace
}  // namespace waypost::mail
