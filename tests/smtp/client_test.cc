// The client's half: a scripted server, and what the dialogue makes of its replies.
#include "waypost/smtp/client_dialogue.h"

#include <gtest/gtest.h>

#include <utility>

namespace waypost::smtp {
namespace {

constexpr std::string_view kFull =
    "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-CHUNKING\r\n250-DSN\r\n"
    "250-8BITMIME\r\n250-SMTPUTF8\r\n250-LIMITS RCPTMAX=100 MAILMAX=5\r\n250 Ok\r\n";

mail::Mailbox box(std::string_view text) { return *mail::parse_mailbox(text); }

struct Client {
  explicit Client(ClientOptions options = plain()) : dialogue(std::move(options)) {}
  static ClientOptions plain() {
    ClientOptions options;
    options.own_name = "gw.corp.example";
    options.want_starttls = options.require_starttls = false;
    return options;
  }
  ClientStep hear(std::string_view text) { return dialogue.advance(text); }
  std::string said() { return std::exchange(dialogue.output(), {}); }
  /// Greeting and EHLO answered.
  ClientStep open(std::string_view ehlo = kFull) {
    hear("220 mx.example ESMTP\r\n");
    said();
    return hear(ehlo);
  }
  ClientDialogue dialogue;
};

ClientTransaction two_recipients(std::uint64_t size = 500) {
  ClientTransaction t;
  t.reverse_path = box("ann@ext.example");
  t.size = size;
  t.recipients = {{box("bob@t.example"), "rfc822;b+c@corp.example", mail::kNotifyFailure},
                  {box("carol@t.example"), "", mail::kNotifyUnset}};
  return t;
}

TEST(ClientDialogue, SendsSmallContentInOneGoWithWhatWasOffered) {
  Client c;
  ASSERT_EQ(c.open(), ClientStep::ready);
  EXPECT_EQ(c.dialogue.capabilities().rcpt_max, 100u);
  EXPECT_EQ(c.dialogue.capabilities().mail_max, 5u);
  auto t = two_recipients();
  t.envid = "a b";
  t.ret = mail::Ret::headers;
  t.body = mail::BodyType::eight_bit_mime;
  c.dialogue.begin(t);
  EXPECT_EQ(c.hear(""), ClientStep::send_content);
  EXPECT_EQ(c.said(),
            "MAIL FROM:<ann@ext.example> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=a+20b\r\n"
            "RCPT TO:<bob@t.example> NOTIFY=FAILURE ORCPT=rfc822;b+2Bc@corp.example\r\n"
            "RCPT TO:<carol@t.example>\r\nBDAT 500 LAST\r\n");
  c.dialogue.content_sent();
  EXPECT_EQ(c.hear("250 ok\r\n251 will forward\r\n550 5.1.1 no\r\n250 2.0.0 done\r\n"),
            ClientStep::done);
  EXPECT_EQ(c.dialogue.outcome().recipients[0].code, 251);
  EXPECT_EQ(c.dialogue.outcome().recipients[1].status, mail::status::unknown_mailbox);
  EXPECT_EQ(c.dialogue.outcome().content.code, 250);
  EXPECT_TRUE(c.dialogue.reusable());
}

TEST(ClientDialogue, GoesStepByStepWithoutPipeliningAndSendsNoParameters) {
  Client c;
  ASSERT_EQ(c.open("250 Ok\r\n"), ClientStep::ready);
  c.dialogue.begin(two_recipients());
  EXPECT_EQ(c.said(), "MAIL FROM:<ann@ext.example>\r\n");
  EXPECT_EQ(c.hear("250 ok\r\n"), ClientStep::need_input);
  EXPECT_EQ(c.said(), "RCPT TO:<bob@t.example>\r\n");
  c.hear("250 ok\r\n");
  EXPECT_EQ(c.said(), "RCPT TO:<carol@t.example>\r\n");
  c.hear("450 later\r\n");
  EXPECT_EQ(c.said(), "DATA\r\n");
  EXPECT_EQ(c.hear("354 go\r\n"), ClientStep::send_content);
  EXPECT_EQ(c.dialogue.content_form(), ContentForm::data);
  c.dialogue.content_sent();
  EXPECT_EQ(c.dialogue.stage(), ClientStage::verdict);
  EXPECT_EQ(c.hear("250 ok\r\n"), ClientStep::done);
}

TEST(ClientDialogue, QuitsAndIsNotReused) {
  for (const bool answered : {true, false}) {
    Client c;
    c.open();
    c.said();
    c.dialogue.quit();
    EXPECT_EQ(c.said(), "QUIT\r\n");
    EXPECT_EQ(c.dialogue.stage(), ClientStage::quit);
    EXPECT_FALSE(c.dialogue.reusable());
    EXPECT_EQ(c.hear(""), ClientStep::need_input);
    if (!answered) c.dialogue.connection_lost({ErrorKind::closed, "closed"});
    EXPECT_EQ(c.hear(answered ? "221 bye\r\n" : ""), ClientStep::done);
  }
}

TEST(ClientDialogue, IgnoresLimitsThatMakeNoSense) {
  for (const char* limits : {"LIMITS", "LIMITS RCPTMAX", "LIMITS RCPTMAX=", "LIMITS RCPTMAX=x",
                             "LIMITS RCPTMAX=-1", "LIMITS OTHER=7", "LIMITS RCPTMAX=0"}) {
    Client c;
    ASSERT_EQ(c.open(std::string("250-mx\r\n250 ") + limits + "\r\n"), ClientStep::ready);
    EXPECT_EQ(c.dialogue.capabilities().rcpt_max, 0u) << limits;
    EXPECT_EQ(c.dialogue.capabilities().mail_max, 0u) << limits;
  }
}

TEST(ClientDialogue, FallsBackToHelo) {
  for (const char* no : {"500 what\r\n", "502 no\r\n", "504 no\r\n", "550 no\r\n"}) {
    Client c;
    EXPECT_EQ(c.open(no), ClientStep::need_input);
    EXPECT_EQ(c.said(), "HELO gw.corp.example\r\n");
    EXPECT_EQ(c.hear("250 mx\r\n"), ClientStep::ready);
    EXPECT_FALSE(c.dialogue.capabilities().esmtp);
  }
}

TEST(ClientDialogue, EndsDataThatNobodyWillGetWithADot) {
  Client c;
  c.open("250-mx\r\n250 PIPELINING\r\n");
  c.dialogue.begin(two_recipients());
  c.said();
  EXPECT_EQ(c.hear("250 ok\r\n550 no\r\n550 no\r\n354 go\r\n"), ClientStep::need_input);
  EXPECT_EQ(c.said(), ".\r\n");
  EXPECT_EQ(c.hear("554 no recipients\r\n"), ClientStep::done);
  EXPECT_FALSE(c.dialogue.outcome().content_started);
  c.dialogue.begin(two_recipients());
  EXPECT_TRUE(c.said().starts_with("RSET\r\nMAIL FROM:"));
}

TEST(ClientDialogue, SkipsLargeContentThatNobodyWillGet) {
  Client c;
  c.open();
  c.dialogue.begin(two_recipients(ClientDialogue::kSpeculativeOctets + 1));
  EXPECT_EQ(c.said().find("BDAT"), std::string::npos);
  EXPECT_EQ(c.hear("250 ok\r\n550 no\r\n450 no\r\n"), ClientStep::done);
  EXPECT_EQ(c.dialogue.outcome().content.code, 0);
}

TEST(ClientDialogue, NeverGoesOnWithoutTheTlsThatIsRequired) {
  ClientOptions options = Client::plain();
  options.want_starttls = options.require_starttls = true;
  Client absent(options);
  EXPECT_EQ(absent.open(), ClientStep::failed);
  EXPECT_EQ(absent.dialogue.failure().kind, ErrorKind::unsupported);
  Client refused(options);
  refused.open("250-mx\r\n250 STARTTLS\r\n");
  EXPECT_EQ(refused.said(), "STARTTLS\r\n");
  EXPECT_EQ(refused.hear("454 4.7.0 not now\r\n"), ClientStep::failed);
  EXPECT_EQ(refused.dialogue.failure_reply().code, 454);
  Client injected(options);
  injected.open("250-mx\r\n250 STARTTLS\r\n");
  EXPECT_EQ(injected.hear("220 go\r\n250 evil\r\n"), ClientStep::failed);
  Client good(options);
  good.open("250-mx\r\n250 STARTTLS\r\n");
  good.said();
  EXPECT_EQ(good.hear("220 go\r\n"), ClientStep::start_tls);
  good.dialogue.tls_started();
  EXPECT_EQ(good.said(), "EHLO gw.corp.example\r\n");
  EXPECT_EQ(good.hear(kFull), ClientStep::ready);
}

TEST(ClientDialogue, AuthenticatesOnlyUnderTls) {
  ClientOptions options = Client::plain();
  options.auth_user = "u";
  options.auth_password = "p";
  Client clear(options);
  EXPECT_EQ(clear.open("250-mx\r\n250 AUTH PLAIN\r\n"), ClientStep::failed);
  options.implicit_tls = true;
  Client plain(options);
  plain.open("250-mx\r\n250 AUTH LOGIN PLAIN\r\n");
  EXPECT_EQ(plain.said(), "AUTH PLAIN AHUAcA==\r\n");
  EXPECT_EQ(plain.hear("235 ok\r\n"), ClientStep::ready);
  Client login(options);
  login.open("250-mx\r\n250 AUTH=LOGIN\r\n");
  EXPECT_EQ(login.said(), "AUTH LOGIN\r\n");
  login.hear("334 VXNlcm5hbWU6\r\n");
  EXPECT_EQ(login.said(), "dQ==\r\n");
  login.hear("334 UGFzc3dvcmQ6\r\n");
  EXPECT_EQ(login.said(), "cA==\r\n");
  EXPECT_EQ(login.hear("535 5.7.8 no\r\n"), ClientStep::failed);
}

TEST(ClientDialogue, TakesA421AtAnyTimeForTheEnd) {
  Client greeting;
  EXPECT_EQ(greeting.hear("421 busy\r\n"), ClientStep::failed);
  EXPECT_EQ(greeting.dialogue.failure_reply().code, 421);
  Client middle;
  middle.open();
  middle.dialogue.begin(two_recipients());
  middle.hear("");
  middle.dialogue.content_sent();
  EXPECT_EQ(middle.hear("250 ok\r\n421 4.3.2 bye\r\n"), ClientStep::failed);
  EXPECT_EQ(middle.dialogue.outcome().recipients[0].code, 421);
  EXPECT_EQ(middle.dialogue.outcome().recipients[1].code, 0);
  Client verdict;
  verdict.open();
  verdict.dialogue.begin(two_recipients());
  verdict.hear("");
  verdict.dialogue.content_sent();
  EXPECT_EQ(verdict.hear("250 ok\r\n250 ok\r\n250 ok\r\n421 bye\r\n"), ClientStep::done);
  EXPECT_FALSE(verdict.dialogue.reusable());
}

TEST(ClientDialogue, DistrustsAServerThatSpeaksOutOfTurn) {
  Client ready;
  EXPECT_EQ(ready.open(std::string(kFull) + "250 more\r\n"), ClientStep::failed);
  Client done;
  done.open();
  done.dialogue.begin(two_recipients());
  done.hear("");
  done.dialogue.content_sent();
  EXPECT_EQ(done.hear("250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n"), ClientStep::done);
  EXPECT_EQ(done.dialogue.outcome().content.text, "d");
  EXPECT_FALSE(done.dialogue.reusable());
  done.dialogue.begin(two_recipients());
  EXPECT_EQ(done.hear(""), ClientStep::failed);
}

TEST(ClientDialogue, FailsOnMalformedReplies) {
  for (const std::string& text :
       std::vector<std::string>{"hello\r\n", "2x0 a\r\n", "250-a\r\n550 b\r\n", "999 a\r\n", "\r\n",
                                "220" + std::string(5000, 'x')}) {
    Client c;
    EXPECT_EQ(c.hear(text), ClientStep::failed) << text.substr(0, 40);
    EXPECT_EQ(c.dialogue.failure_reply().code, 0);
  }
}

TEST(ClientDialogue, KeepsRepliesThatCameBeforeTheLoss) {
  Client c;
  c.open();
  c.dialogue.begin(two_recipients());
  c.hear("");
  c.dialogue.connection_lost({ErrorKind::network, "reset"});
  EXPECT_EQ(c.hear("250 ok\r\n550 no\r\n"), ClientStep::failed);
  EXPECT_EQ(c.dialogue.failure().kind, ErrorKind::network);
  EXPECT_EQ(c.dialogue.outcome().recipients[0].code, 550);
  EXPECT_TRUE(c.dialogue.outcome().content_started);
}

}  // namespace
}  // namespace waypost::smtp
