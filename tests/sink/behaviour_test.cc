#include "sink/behaviour.h"

#include <gtest/gtest.h>

namespace waypost::sink {
namespace {

std::optional<Misdeed> look(Behaviour& behaviour, Stage stage, std::string subject,
                            std::uint64_t octets = 0) {
  const std::vector<std::string> subjects{std::move(subject)};
  return behaviour.look(stage, subjects, octets);
}

TEST(Behaviour, BehavesWithoutRules) {
  Behaviour behaviour;
  EXPECT_FALSE(behaviour.any());
  EXPECT_FALSE(look(behaviour, Stage::rcpt, "bob@x.example"));
}

TEST(Behaviour, RuleRepliesAsOftenAsTold) {
  Behaviour behaviour;
  ASSERT_TRUE(
      behaviour.add("at=rcpt;match=bob@*;reply=454 4.7.0 Throttling failure;skip=1;times=2"));
  EXPECT_FALSE(look(behaviour, Stage::rcpt, "eve@x.example"));
  EXPECT_FALSE(look(behaviour, Stage::mail, "bob@x.example"));
  EXPECT_FALSE(look(behaviour, Stage::rcpt, "bob@x.example"));
  for (int i = 0; i < 2; ++i) {
    const auto misdeed = look(behaviour, Stage::rcpt, "BOB@x.example");
    ASSERT_TRUE(misdeed && misdeed->reply);
    EXPECT_EQ(misdeed->reply->to_line(), "454 4.7.0 Throttling failure");
  }
  EXPECT_FALSE(look(behaviour, Stage::rcpt, "bob@x.example"));
  EXPECT_EQ(
      behaviour.report(),
      "at=rcpt;match=bob@*;reply=454 4.7.0 Throttling failure;skip=1;times=2: seen 4, done 2\n");
}

TEST(Behaviour, FirstRuleWhoseTurnItIsWins) {
  Behaviour behaviour;
  ASSERT_TRUE(behaviour.replace({"at=mail;drop;times=1", "at=mail;delay=250"}));
  EXPECT_TRUE(look(behaviour, Stage::mail, "a@x.example")->drop);
  const auto second = look(behaviour, Stage::mail, "a@x.example");
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->drop);
  EXPECT_EQ(second->delay, std::chrono::milliseconds(250));
}

TEST(Behaviour, OneOfSeveralSubjectsIsEnoughAndCountsOnce) {
  Behaviour behaviour;
  ASSERT_TRUE(behaviour.add("at=end;match=b*;reply=550 5.7.1 no;times=1"));
  const std::vector<std::string> subjects{"a@x", "b@x", "bb@x"};
  EXPECT_TRUE(behaviour.look(Stage::end, subjects));
  EXPECT_FALSE(behaviour.look(Stage::end, subjects));
}

TEST(Behaviour, ContentRulesWaitForTheirOctets) {
  Behaviour behaviour;
  ASSERT_TRUE(behaviour.add("at=content;after=1000;drop"));
  EXPECT_FALSE(look(behaviour, Stage::content, "a@x", 999));
  EXPECT_TRUE(look(behaviour, Stage::content, "a@x", 1000));
}

TEST(Behaviour, RawTextIsUnescaped) {
  Behaviour behaviour;
  ASSERT_TRUE(behaviour.add("at=end;raw=2\\t\\\\x\\0\\r\\n;keep"));
  const auto misdeed = look(behaviour, Stage::end, "a@x");
  ASSERT_TRUE(misdeed);
  EXPECT_EQ(misdeed->raw, std::string("2\t\\x\0\r\n", 7));
  EXPECT_TRUE(misdeed->keep);
}

TEST(Behaviour, ARuleThatIsNotUnderstoodChangesNothing) {
  Behaviour behaviour;
  ASSERT_TRUE(behaviour.add("at=mail;drop"));
  for (const char* wrong : {"at=lunch;drop", "drop", "at=mail;times=few", "at=mail;reply=hello",
                            "at=mail;reply=199 x", "at=mail;sleep=3", "at=mail;delay=-1"}) {
    const auto replaced = behaviour.replace({"at=rcpt;drop", wrong});
    ASSERT_FALSE(replaced) << wrong;
    EXPECT_NE(replaced.error().message.find(wrong), std::string::npos) << replaced.error().message;
  }
  EXPECT_TRUE(look(behaviour, Stage::mail, "a@x"));
  EXPECT_FALSE(look(behaviour, Stage::rcpt, "a@x"));
}

TEST(Glob, MatchesAsPeopleExpect) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("bob@*", "Bob@corp.example"));
  EXPECT_TRUE(glob_matches("*7@*.example", "user17@a.example"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbXbXc"));
  EXPECT_TRUE(glob_matches("user?@x", "user1@x"));
  EXPECT_FALSE(glob_matches("user?@x", "user@x"));
  EXPECT_FALSE(glob_matches("", "x"));
  EXPECT_FALSE(glob_matches("a*b", "acbd"));
}

}  // namespace
}  // namespace waypost::sink
