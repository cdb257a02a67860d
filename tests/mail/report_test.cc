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
        "Reporting-MTA: dns; gw.corp.example\r\n", "Original-Envelope-Id: a b\r\n",
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

TEST(Report, IsInternationalForAUtf8Addressee) {
  Report r;
  r.about.reverse_path->local_part = "zo\xC3\xAB";
  r.reported.recipient.original.local_part = "j\xC3\xBC";
  for (const char* part : {"report-type=global-delivery-status", "message/global-delivery-status",
                           "message/global-headers", "Final-Recipient: utf-8; j\xC3\xBC@",
                           "To: <zo\xC3\xAB@ext.example>"})
    EXPECT_THAT(r.text(), HasSubstr(part));
}

bool is_seven_bit(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
}

TEST(Report, IsPlainForAnAsciiAddresseeWhateverItTellsOf) {  // RFC 6533 §3
  Report r;
  r.about.smtputf8 = true;
  r.about.envid = "caf\xC3\xA9";
  r.about.message_id = "<\xC3\xBC@x>";
  r.original = "Subject: \xC3\xBC\r\n\r\n";
  r.reported.recipient.original = {"j\xC3\xBCrgen+x \\y", "corp.example"};
  r.reported.recipient.orcpt = "utf-8;\xF0\x9F\x93\xAC=a@x.example";
  r.reported.outcome.reply = "550 j\xC3\xBCrgen is unknown";
  const std::string text = r.text();
  EXPECT_TRUE(is_seven_bit(text)) << text;
  for (const char* part :
       {"report-type=delivery-status;", "Content-Type: message/delivery-status\r\n",
        "Content-Type: text/rfc822-headers\r\n", "Subject: ??\r\n",
        "Original-Envelope-Id: caf+C3+A9\r\n",
        "Original-Recipient: utf-8; \\x{1F4EC}\\x{3D}a@x.example\r\n",
        "Final-Recipient: utf-8; \"j\\x{FC}rgen\\x{2B}x\\x{20}\\x{5C}\\x{5C}y\"@corp.example\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Transfer-Encoding: quoted-printable",
        "  \"j=C3=BCrgen+x \\\\y\"@corp.example\r\n"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("global")));
}

TEST(Report, EncodesAnAddressThatLooksEncoded) {
  Report r;
  r.reported.recipient.orcpt = "utf-8;\\x{A}@x.example";
  EXPECT_THAT(r.text(), HasSubstr("Original-Recipient: utf-8; \\x{5C}x{A}@x.example\r\n"));
  r.reported.recipient.orcpt = "rfc822;j\xC3\xBC@x.example";
  EXPECT_THAT(r.text(), HasSubstr("Original-Recipient: rfc822; j+C3+BC@x.example\r\n"));
}

TEST(Report, QuotesWhatIsNoDotString) {
  Report r;
  r.about.reverse_path->local_part = "a..b";
  r.reported.recipient.original.local_part = ".lee.";
  const std::string text = r.text();
  EXPECT_THAT(text, HasSubstr("To: <\"a..b\"@ext.example>\r\n"));
  EXPECT_THAT(text, HasSubstr("Final-Recipient: rfc822; \".lee.\"@corp.example\r\n"));
}

TEST(Report, ReturnsAnInternationalMessageByItsName) {
  Report r;
  r.full = r.about.smtputf8 = true;
  r.original = "Subject: j\xC3\xBC\r\n\r\nbody\r\n";
  EXPECT_THAT(r.text(), HasSubstr("Content-Type: message/global\r\n"));
  EXPECT_THAT(r.text(), HasSubstr("report-type=delivery-status;"));
  // RFC 6532 §3.5: encoded, so that it travels without 8BITMIME, too.
  EXPECT_THAT(r.text(), HasSubstr("Subject: j=C3=BC\r\n\r\nbody\r\n"));
  EXPECT_THAT(r.text(), Not(HasSubstr("8bit")));
  EXPECT_THAT(r.text(), Not(HasSubstr("\xC3")));
  r.original = "Subject: x\r\n\r\nj\xC3\xBC\r\n";
  EXPECT_THAT(r.text(), HasSubstr("Content-Type: message/rfc822\r\n"));
}

TEST(Report, ShowsTheEnvelopeIdentifierDecoded) {  // RFC 3461 §6.3 (a)
  Report r;
  r.about.envid = "MTS-Id: [/PRMD=North Site/ADMD= /C=DE/;ex1-260101-7]";
  EXPECT_THAT(r.text(), HasSubstr("Original-Envelope-Id: " + r.about.envid + "\r\n"));
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
