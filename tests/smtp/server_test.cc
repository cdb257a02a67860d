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
    return {250, mail::status::sender_ok, "ok"};
  }
  Reply on_rcpt(const RcptCommand&) override { return {250, mail::status::recipient_ok, "ok"}; }
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
  ServerOptions options;
  ServerDialogue dialogue{options, *this};
};

Reply bye() { return {421, mail::status::system_not_accepting, "closing"}; }

TEST(ServerDialogue, RefusesAtTheGreetingAndCloses) {
  Server s;
  s.dialogue.greet(bye());
  EXPECT_EQ(s.hear("EHLO x\r\n"), Step::close);
  const std::string said = s.said();
  EXPECT_THAT(said, StartsWith("421 "));
  EXPECT_EQ(said.find("250"), std::string::npos);
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
  s.hear("RSET\r\nMAIL FROM:<> AUTH=e+zz\r\n");
  EXPECT_THAT(s.said(), HasSubstr("\r\n501 "));
}

}  // namespace
}  // namespace waypost::smtp
