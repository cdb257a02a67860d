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

/// Accepted by everybody, and the content is out.
void send_all(Client& c, const ClientTransaction& t) {
  c.dialogue.begin(t);
  ASSERT_EQ(c.hear("250 ok\r\n250 ok\r\n250 ok\r\n"), ClientStep::send_content);
  c.said();
  c.dialogue.content_sent();
}

TEST(ClientDialogue, SendsCommandsInOneGoAndContentToWhomHasAccepted) {
  Client c;
  ASSERT_EQ(c.open(), ClientStep::ready);
  EXPECT_EQ(c.dialogue.capabilities().rcpt_max, 100u);
  EXPECT_EQ(c.dialogue.capabilities().mail_max, 5u);
  auto t = two_recipients();
  t.envid = "a b";
  t.ret = mail::Ret::headers;
  t.body = mail::BodyType::eight_bit_mime;
  c.dialogue.begin(t);
  EXPECT_EQ(c.hear(""), ClientStep::need_input);
  EXPECT_EQ(c.said(),
            "MAIL FROM:<ann@ext.example> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=a+20b\r\n"
            "RCPT TO:<bob@t.example> NOTIFY=FAILURE ORCPT=rfc822;b+2Bc@corp.example\r\n"
            "RCPT TO:<carol@t.example>\r\n");
  EXPECT_EQ(c.hear("250 ok\r\n251 will forward\r\n"), ClientStep::need_input);
  EXPECT_EQ(c.said(), "");  // RFC 3030 §2: the last answer counts, too
  EXPECT_EQ(c.hear("550 5.1.1 no\r\n"), ClientStep::send_content);
  EXPECT_EQ(c.said(), "BDAT 500 LAST\r\n");
  c.dialogue.content_sent();
  EXPECT_EQ(c.hear("250 2.0.0 done\r\n"), ClientStep::done);
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

TEST(ClientDialogue, NobodysContentNeverLeaves) {
  for (const char* no : {"250 ok\r\n550 no\r\n450 no\r\n", "451 no\r\n503 no\r\n503 no\r\n",
                         "550 no\r\n250 what\r\n250 so\r\n"}) {
    Client c;
    c.open();
    c.said();
    c.dialogue.begin(two_recipients(10));
    EXPECT_EQ(c.hear(no), ClientStep::done) << no;
    EXPECT_EQ(c.said().find("BDAT"), std::string::npos) << no;
    EXPECT_FALSE(c.dialogue.outcome().content_started) << no;
    EXPECT_EQ(c.dialogue.outcome().content.code, 0) << no;
    c.dialogue.begin(two_recipients(10));
    const bool begun = no != std::string("451 no\r\n503 no\r\n503 no\r\n");
    EXPECT_EQ(c.said().starts_with("RSET\r\nMAIL FROM:"), begun) << no;
  }
}

TEST(ClientDialogue, ContentNeverLeavesBeforeEachAnswerIsKnown) {
  // Whatever becomes of the answers before it: RSET, MAIL, RCPT, RCPT.
  for (const bool chunking : {true, false}) {
    for (int broken = 0; broken < 4; ++broken) {
      for (const char* what : {"nonsense\r\n", "350 what\r\n", "421 bye\r\n", "503 no\r\n"}) {
        Client c;
        c.open(chunking ? kFull : "250-mx\r\n250 PIPELINING\r\n");
        c.dialogue.begin(two_recipients());
        c.said();
        c.hear("250 ok\r\n550 no\r\n550 no\r\n");
        if (!chunking) c.hear("503 no\r\n");
        c.dialogue.begin(two_recipients());
        EXPECT_TRUE(c.said().starts_with("RSET\r\nMAIL FROM:"));
        ClientStep step = ClientStep::need_input;
        for (int at = 0; at < 4 && step == ClientStep::need_input; ++at) {
          EXPECT_FALSE(c.dialogue.outcome().content_started) << broken << what;
          step = c.hear(at == broken ? what : "250 ok\r\n");
        }
        const bool one_recipient_less = broken >= 2 && what == std::string("503 no\r\n");
        if (one_recipient_less) continue;
        EXPECT_FALSE(c.dialogue.outcome().content_started) << chunking << broken << what;
        if (broken > 0) continue;
        EXPECT_EQ(step, ClientStep::failed) << what;
        EXPECT_EQ(c.dialogue.outcome().mail.code, 0) << what;
      }
    }
  }
}

TEST(ClientDialogue, AServerThatRefusesMailAndWantsTheContentGetsNeitherThatNorAnEmptyMessage) {
  Client c;
  c.open("250-mx\r\n250 PIPELINING\r\n");
  c.dialogue.begin(two_recipients());
  c.said();
  EXPECT_EQ(c.hear("550 no\r\n250 ok\r\n250 ok\r\n354 go\r\n"), ClientStep::failed);
  EXPECT_EQ(c.said(), "");
  EXPECT_EQ(c.dialogue.outcome().mail.code, 550);
  EXPECT_FALSE(c.dialogue.hears_quit());
}

TEST(ClientDialogue, TakesUnknownCodesByTheirFirstDigit) {  // RFC 5321 §4.2
  for (const char* greeting : {"200 hi\r\n", "221 hi\r\n", "250 hi\r\n", "299 hi\r\n"}) {
    Client c;
    EXPECT_EQ(c.hear(greeting), ClientStep::need_input) << greeting;
    EXPECT_EQ(c.said(), "EHLO gw.corp.example\r\n") << greeting;
  }
  for (const char* go : {"300 x\r\n", "350 x\r\n", "351 x\r\n", "399 x\r\n"}) {
    Client c;
    c.open("250 mx\r\n");
    c.dialogue.begin(two_recipients());
    c.hear("250 ok\r\n");
    c.hear("250 ok\r\n");
    c.hear("250 ok\r\n");
    EXPECT_EQ(c.hear(go), ClientStep::send_content) << go;
  }
  Client taken;  // "done" where "go on" is expected is neither
  taken.open("250 mx\r\n");
  taken.dialogue.begin(two_recipients());
  for (int i = 0; i < 3; ++i) taken.hear("250 ok\r\n");
  EXPECT_EQ(taken.hear("250 ok\r\n"), ClientStep::failed);
}

TEST(ClientDialogue, KnowsWhenTheServerHearsQuit) {  // RFC 5321 §4.1.1.10
  Client greeting;
  greeting.hear("554 5.7.1 not you\r\n");
  EXPECT_TRUE(greeting.dialogue.hears_quit());
  Client ehlo;
  ehlo.open("451 later\r\n");
  EXPECT_TRUE(ehlo.dialogue.hears_quit());
  ClientOptions options = Client::plain();
  options.want_starttls = options.require_starttls = true;
  Client absent(options);
  absent.open();
  EXPECT_TRUE(absent.dialogue.hears_quit());
  Client injected(options);
  injected.open("250-mx\r\n250 STARTTLS\r\n");
  injected.hear("220 go\r\n250 evil\r\n");
  EXPECT_FALSE(injected.dialogue.hears_quit());  // it expects a handshake
  Client secured(options);
  secured.open("250-mx\r\n250 STARTTLS\r\n");
  secured.hear("220 go\r\n");
  EXPECT_FALSE(secured.dialogue.hears_quit());
  secured.dialogue.tls_started();
  EXPECT_TRUE(secured.dialogue.hears_quit());
  Client content;
  content.open();
  content.dialogue.begin(two_recipients());
  EXPECT_TRUE(content.dialogue.hears_quit());
  content.hear("250 ok\r\n250 ok\r\n250 ok\r\n");
  EXPECT_FALSE(content.dialogue.hears_quit());
  content.dialogue.content_sent();
  EXPECT_TRUE(content.dialogue.hears_quit());
  Client data;
  data.open("250-mx\r\n250 PIPELINING\r\n");
  data.dialogue.begin(two_recipients());
  EXPECT_FALSE(data.dialogue.hears_quit());  // DATA is out: it may be content
  Client gone;
  gone.open();
  gone.dialogue.connection_lost({ErrorKind::closed, "closed"});
  EXPECT_FALSE(gone.dialogue.hears_quit());
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
  EXPECT_EQ(middle.hear("250 ok\r\n421 4.3.2 bye\r\n"), ClientStep::failed);
  EXPECT_EQ(middle.dialogue.outcome().recipients[0].code, 421);
  EXPECT_EQ(middle.dialogue.outcome().recipients[1].code, 0);
  Client verdict;
  verdict.open();
  send_all(verdict, two_recipients());
  EXPECT_EQ(verdict.hear("421 bye\r\n"), ClientStep::done);
  EXPECT_FALSE(verdict.dialogue.reusable());
}

TEST(ClientDialogue, DistrustsAServerThatSpeaksOutOfTurn) {
  Client ready;
  EXPECT_EQ(ready.open(std::string(kFull) + "250 more\r\n"), ClientStep::failed);
  Client done;
  done.open();
  send_all(done, two_recipients());
  EXPECT_EQ(done.hear("250 d\r\n250 e\r\n"), ClientStep::done);
  EXPECT_EQ(done.dialogue.outcome().content.text, "d");
  EXPECT_FALSE(done.dialogue.reusable());
  done.dialogue.begin(two_recipients());
  EXPECT_EQ(done.hear(""), ClientStep::failed);
}

TEST(ClientDialogue, FailsOnMalformedReplies) {
  for (const std::string& text : std::vector<std::string>{
           "hello\r\n", "2x0 a\r\n", "999 a\r\n", "\r\n", "220 " + std::string(70'000, 'x')}) {
    Client c;
    EXPECT_EQ(c.hear(text), ClientStep::failed) << text.substr(0, 40);
    EXPECT_EQ(c.dialogue.failure_reply().code, 0);
  }
}

TEST(ClientDialogue, KeepsRepliesThatCameBeforeTheLoss) {
  Client c;
  c.open();
  c.dialogue.begin(two_recipients());
  c.dialogue.connection_lost({ErrorKind::network, "reset"});
  EXPECT_EQ(c.hear("250 ok\r\n550 no\r\n"), ClientStep::failed);
  EXPECT_EQ(c.dialogue.failure().kind, ErrorKind::network);
  EXPECT_EQ(c.dialogue.outcome().recipients[0].code, 550);
  EXPECT_FALSE(c.dialogue.outcome().content_started);
  Client late;
  late.open();
  send_all(late, two_recipients());
  late.dialogue.connection_lost({ErrorKind::network, "reset"});
  EXPECT_EQ(late.hear(""), ClientStep::failed);
  EXPECT_TRUE(late.dialogue.outcome().content_started);
}

std::string heard(std::string_view text) {
  ReplyParser parser;
  auto reply = parser.feed(text);
  if (!reply) return reply.error().message;
  return *reply ? (*reply)->to_line() : "more";
}

TEST(ReplyParser, TheStatusMayStandOnAnyLineAndNoWordIsLost) {
  EXPECT_EQ(heard("550-Not taken\r\n550-unknown\r\n550 5.1.1 see x\r\n"),
            "550 5.1.1 Not taken unknown see x");
  EXPECT_EQ(heard("552-The mailbox\r\n552 5.2.2 is full\r\n"), "552 5.2.2 The mailbox is full");
  EXPECT_EQ(heard("550-5.7.1 a\r\n550-b\r\n550 5.7.1 c\r\n"), "550 5.7.1 a b c");
  EXPECT_EQ(heard("550-5.7.1 a\r\n550 5.1.1 b\r\n"), "550 5.7.1 a 5.1.1 b");
  EXPECT_EQ(heard("550-4.1.1 a\r\n550 2.0.0 b\r\n"), "550 4.1.1 a 2.0.0 b");
  EXPECT_EQ(heard("550 #5.1.0 Address rejected.\r\n"), "550 5.1.0 Address rejected.");
  EXPECT_EQ(heard("550 5.1.1\r\n"), "550 5.1.1");
  EXPECT_EQ(heard("550\r\n"), "550");
}

TEST(ReplyParser, LinesWithDifferentCodesAreOneReplyWithAllItsWords) {
  // Of one class: the last line; but whoever says 421 closes.
  EXPECT_EQ(heard("250-2.6.0 stored\r\n251 2.6.0 as 7\r\n"), "251 2.6.0 250 stored as 7");
  EXPECT_EQ(heard("554-5.7.1 no\r\n550 by policy\r\n"), "550 5.7.1 554 no by policy");
  EXPECT_EQ(heard("421-4.3.2 bye\r\n450 later\r\n"), "421 4.3.2 bye 450 later");
  // Of several: the highest, on whichever line.
  EXPECT_EQ(heard("220-mx\r\n521 5.7.1 blocked\r\n"), "521 5.7.1 220 mx blocked");
  EXPECT_EQ(heard("550-5.1.1 a\r\n450 4.2.1 b\r\n"), "550 5.1.1 a 450 4.2.1 b");
  EXPECT_EQ(heard("550-no\r\n250 yes\r\n"), "550 no 250 yes");
  EXPECT_EQ(heard("250-yes\r\n450-later\r\n250 yes\r\n"), "450 250 yes later 250 yes");
  // A line without a code is somebody's text.
  EXPECT_EQ(heard("550-a\r\nsee https://x\r\n550 5.1.1 b\r\n"), "550 5.1.1 a see https://x b");
}

TEST(ReplyParser, KeepsTheBeginningOfWhatIsTooLong) {
  EXPECT_EQ(heard("250 " + std::string(5000, 'x') + "\r\n").substr(0, 6), "250 xx");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "250-line\r\n";
  EXPECT_TRUE(heard(many + "250 end\r\n").starts_with("250 line line"));
  EXPECT_TRUE(heard(many + "550 end\r\n").starts_with("550 250 line"));
  for (int i = 0; i < 10'000; ++i) many += "250-line\r\n";
  EXPECT_TRUE(heard(many).starts_with("the server sent a reply of more than 65536 octets"));
}

}  // namespace
}  // namespace waypost::smtp
