// What a driver does to a session from outside: refusal at the greeting, shutdown, lost content.
#include "waypost/smtp/server_dialogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace waypost::smtp {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Server : ServerHandler {
  Server() {
    options.own_name = "gw.corp.example";
    options.offer_auth = true;
  }
  Reply on_mail(const MailCommand& command) override {
    null_sender = !command.reverse_path.has_value();
    envid = command.envid;
    return {250, mail::status::sender_ok, "ok"};
  }
  Reply on_rcpt(const RcptCommand& command) override {
    recipients.push_back(command);
    return {250, mail::status::recipient_ok, "ok <" + command.forward_path.to_string() + ">"};
  }
  std::optional<Reply> on_content_start() override { return std::nullopt; }
  void on_content(std::string_view) override {
    if (lose) dialogue.refuse_content({452, mail::status::disk_full, "no room"});
  }
  void on_abandon() override { ++abandoned; }
  Step hear(std::string_view text) {
    const Step step = dialogue.advance(text);
    EXPECT_TRUE(text.empty() || step != Step::need_input);
    return step;
  }
  std::string said() { return std::exchange(dialogue.output(), {}); }
  void open() {
    dialogue.greet();
    hear("EHLO ex1\r\n");
    said();
  }
  bool lose = false;
  bool null_sender = false;
  int abandoned = 0;
  std::string envid;
  std::vector<RcptCommand> recipients;
  ServerOptions options;
  ServerDialogue dialogue{options, *this};
};

Reply bye() { return {421, mail::status::system_not_accepting, "closing"}; }

TEST(ServerDialogue, RefusesAtTheGreetingAndCloses) {
  Server s;
  s.dialogue.greet(bye());
  EXPECT_EQ(s.hear("EHLO x\r\n"), Step::close);
  // RFC 2034 §4: no enhanced code where the greeting stands.
  EXPECT_EQ(s.said(), "421 closing\r\n");
}

TEST(ServerDialogue, SaysEnhancedCodesOnlyWhereTheClientLooksForThem) {
  Server s;
  s.dialogue.greet();
  s.said();
  s.hear("EHLO\r\n");
  EXPECT_EQ(s.said(), "501 this command needs an argument\r\n");
  s.hear("HELO " + std::string(300, 'x') + "\r\n");
  EXPECT_THAT(s.said(), StartsWith("501 the name"));
  s.hear("HELO ex1\r\nNOOP\r\n");
  EXPECT_THAT(s.said(), HasSubstr("\r\n250 ok\r\n"));
  s.dialogue.last_word({421, mail::status::bad_connection, "too slow"});
  EXPECT_EQ(s.said(), "421 too slow\r\n");
  s.hear("EHLO ex1\r\n");
  s.said();
  s.dialogue.last_word({421, mail::status::bad_connection, "too slow"});
  EXPECT_EQ(s.said(), "421 4.4.2 too slow\r\n");
}

TEST(ServerDialogue, RepeatsInAsciiUnlessMailHadSmtputf8) {
  Server s;
  s.open();
  const Reply stored{250, mail::status::queued, "<caf\xC3\xA9@x\xE2\x80\xA8y> queued"};
  s.hear("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 0 LAST\r\n");
  s.said();
  s.dialogue.committed(stored);
  EXPECT_EQ(s.said(), "250 2.6.0 <caf?@x?y> queued\r\n");
  s.hear("MAIL FROM:<a@x> SMTPUTF8\r\nRCPT TO:<j\xC3\xBC@x>\r\nBDAT 0 LAST\r\n");
  EXPECT_THAT(s.said(), HasSubstr("ok <j\xC3\xBC@x>\r\n"));
  s.dialogue.committed(stored);
  EXPECT_THAT(s.said(), StartsWith("250 2.6.0 <caf\xC3\xA9@x"));
  s.dialogue.last_word({421, {}, "j\xC3\xBCrgen"});  // the transaction is over
  EXPECT_EQ(s.said(), "421 j?rgen\r\n");
}

TEST(ServerDialogue, ARecipientInATooLongLineIsRefusedByItself) {
  Server s;
  s.options.max_errors = 2;
  s.options.max_commands_per_message = 30;
  s.open();
  s.hear("MAIL FROM:<a@x>\r\n");
  const std::string rcpt = "RCPT TO:<" + std::string(9000, 'x') + "@x>\r\n";
  for (int i = 0; i < 5; ++i) {
    const std::size_t cut = 2 + static_cast<std::size_t>(i);  // "RC", "RCP" ...
    s.hear(std::string_view(rcpt).substr(0, cut));
    s.hear(std::string_view(rcpt).substr(cut));
  }
  s.said();
  EXPECT_EQ(s.hear("RCPT TO:<b@x>\r\n"), Step::need_input);
  EXPECT_THAT(s.said(), StartsWith("250 "));
  Step step = Step::need_input;
  int asked = 0;
  while (step == Step::need_input && ++asked < 100) step = s.hear(rcpt);
  EXPECT_EQ(step, Step::close) << "guessing has no end";
  EXPECT_LT(asked, 30);
}

TEST(ServerDialogue, OtherLinesThatAreTooLongStayErrors) {
  Server s;
  s.options.max_errors = 2;
  s.open();
  s.hear("MAIL FROM:<a@x>\r\n");
  Step step = Step::need_input;
  for (int i = 0; i < 3; ++i) step = s.hear("RCPTX " + std::string(9000, 'x') + "\r\n");
  EXPECT_EQ(step, Step::close);
}

TEST(ServerDialogue, WhatOnlyReportsNeedIsRepairedOrLeftOut) {
  const std::pair<const char*, const char*> cases[] = {
      {"rfc822;bob@x", "rfc822;bob@x"},
      {"rfc822;bob+2Blist@x", "rfc822;bob+list@x"},
      {"rfc822;bob+list@x", "rfc822;bob+list@x"},
      {"rfc822;bob+list+@x+", "rfc822;bob+list+@x+"},
      {"rfc822;bob+cafe=@x", "rfc822;bob+cafe=@x"},
      {"rfc822;b+2Bc+d@x", "rfc822;b+c+d@x"},
      {"x_400;/G=Bob", "x_400;/G=Bob"},
      {"utf-8;bob+list@x", "utf-8;bob+list@x"},
      {"rfc822;a+0Db@x", ""},
      {"rfc822;a+0D+b@x", ""},
      {"rfc822;a\xC3\xBC@x", ""},
      {"rfc822;", ""},
      {";bob@x", ""},
      {"bob@x", ""},
      {"rf(c;bob@x", ""},
      {"0e==rfc644;bob@x", ""},
  };
  Server s;
  s.open();
  s.hear("MAIL FROM:<a@x>\r\n");
  for (const auto& [wire, kept] : cases) {
    s.hear("RCPT TO:<bob@x> ORCPT=" + std::string(wire) + "\r\n");
    ASSERT_THAT(s.said(), HasSubstr("ok <bob@x>")) << wire;
    EXPECT_EQ(s.recipients.back().orcpt, kept) << wire;
  }
  s.hear("RCPT TO:<bob@x> ORCPT=rfc822;" + std::string(1100, 'b') + "\r\n");
  EXPECT_EQ(s.recipients.back().orcpt, "");
  const std::pair<std::string, std::string> ids[] = {{"QQ+2B1", "QQ+1"},
                                                     {"MTS-Id:+x=1", "MTS-Id:+x=1"},
                                                     {"a+0Ab", ""},
                                                     {"", ""},
                                                     {std::string(101, 'e'), ""}};
  for (const auto& [wire, kept] : ids) {
    s.hear("RSET\r\nMAIL FROM:<a@x> ENVID=" + wire + "\r\n");
    EXPECT_THAT(s.said(), HasSubstr("250 2.1.0 ok")) << wire;
    EXPECT_EQ(s.envid, kept) << wire;
  }
}

TEST(ServerDialogue, MayTalkButNotMail) {
  Server s;
  s.options.no_mail = "the PROXY header names no client";
  s.open();
  s.hear("MAIL FROM:<a@x>\r\nNOOP\r\n");
  EXPECT_EQ(s.said(), "554 5.7.1 the PROXY header names no client\r\n250 2.0.0 ok\r\n");
}

TEST(ServerDialogue, ShutsDownAtOnceWhenNothingIsOpen) {
  Server s;
  s.open();
  s.dialogue.shut_down(bye());
  EXPECT_EQ(s.hear(""), Step::close);
  EXPECT_THAT(s.said(), StartsWith("421 4.3.2 "));
}

TEST(ServerDialogue, ShutsDownBehindTheVerdictOfAnOpenTransaction) {
  Server s;
  s.open();
  s.hear("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
  s.dialogue.shut_down(bye());
  EXPECT_EQ(s.hear(""), Step::need_input);
  EXPECT_EQ(s.hear("BDAT 2 LAST\r\nhi"), Step::commit);
  s.said();
  s.dialogue.committed({250, mail::status::queued, "stored"});
  EXPECT_EQ(s.hear(""), Step::close);
  EXPECT_THAT(s.said(), ::testing::MatchesRegex("250 2.6.0 stored\r\n421 4.3.2 closing\r\n"));
}

TEST(ServerDialogue, SaysThatContentWasLostWhereTheVerdictBelongs) {
  for (const char* content : {"DATA\r\nhi\r\nthere\r\n.\r\n", "BDAT 2\r\nhiBDAT 1 LAST\r\n!"}) {
    Server s;
    s.open();
    s.lose = true;
    EXPECT_EQ(s.hear(std::string("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n") + content),
              Step::need_input);
    EXPECT_THAT(s.said(), HasSubstr("452 4.3.1 no room\r\n"));
    EXPECT_FALSE(s.dialogue.in_transaction());
    EXPECT_EQ(s.abandoned, 1);
    s.lose = false;
    EXPECT_EQ(s.hear("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx"), Step::commit);
  }
}

TEST(ServerDialogue, AMessageInManyUsefulChunksIsNotTooManyCommands) {
  Server s;
  s.options.max_commands_per_message = 20;
  s.open();
  s.hear("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(s.hear("BDAT 1024\r\n" + std::string(1024, 'x')), Step::need_input);
  EXPECT_EQ(s.said().find("421"), std::string::npos);
  Step step = Step::need_input;
  for (int i = 0; i < 20 && step == Step::need_input; ++i) step = s.hear("BDAT 1\r\nx");
  EXPECT_EQ(step, Step::close);
  EXPECT_THAT(s.said(), HasSubstr("421 4.7.0"));
  EXPECT_EQ(s.abandoned, 1);
}

TEST(ServerDialogue, AMessageThatWasNotStoredDoesNotBeginANewCount) {
  Server s;
  s.options.max_commands_per_message = 20;
  s.open();
  Step step = Step::need_input;
  for (int i = 0; i < 20 && step != Step::close; ++i) {
    step = s.hear("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 0 LAST\r\n");
    if (step == Step::commit) s.dialogue.committed({452, mail::status::disk_full, "no room"});
  }
  EXPECT_EQ(step, Step::close);
}

TEST(ServerDialogue, TakesTheNullReversePathWithAnAuthParameter) {
  Server s;
  s.dialogue.assume_tls();
  s.open();
  s.hear("MAIL FROM:<> AUTH=<>\r\n");
  EXPECT_THAT(s.said(), StartsWith("250 2.1.0 "));
  EXPECT_TRUE(s.null_sender);
  s.hear("RSET\r\nMAIL FROM:<> AUTH=e+zz\r\n");  // RFC 4954 §5: we do nothing with it
  EXPECT_THAT(s.said(), HasSubstr("\r\n250 2.1.0 "));
  s.hear("RSET\r\nMAIL FROM:<> AUTH\r\n");
  EXPECT_THAT(s.said(), HasSubstr("\r\n501 "));
}

}  // namespace
}  // namespace waypost::smtp
