#include "load/queued_mail.h"

#include <gtest/gtest.h>

namespace waypost::load {
namespace {

constexpr std::string_view kSlice =
    R"({"shard":1,"from":512,"messages":[)"
    R"({"queue_id":"0SGFC72PSH40","recipients":3,"settled":1,"open":[)"
    R"({"state":"waiting","address":"Ann@corp.example","target":"ann@org.example"},)"
    R"({"state":"held","address":"bob@corp.example"}]},)"
    R"({"queue_id":"0SGFC72PSH41","recipients":1,"settled":0,"open":[]}]})";

TEST(QueuedMail, HoldsARecipientOfAMessageAndNoOther) {
  QueuedMail mail;
  const auto next = take_slice(kSlice, mail);
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, (QueueCursor{1, 512}));
  EXPECT_TRUE(mail.holds("0SGFC72PSH40", "ann@corp.example"));
  EXPECT_TRUE(mail.holds("0SGFC72PSH40", "BOB@corp.example"));
  EXPECT_FALSE(mail.holds("0SGFC72PSH40", "cy@corp.example")) << "settled already";
  EXPECT_FALSE(mail.holds("0SGFC72PSH42", "ann@corp.example"));
  EXPECT_FALSE(mail.holds("-", "ann@corp.example"));
}

TEST(QueuedMail, TheLastSliceHasNoCursor) {
  QueuedMail mail;
  const auto next = take_slice(R"({"messages":[]})", mail);
  ASSERT_TRUE(next);
  EXPECT_FALSE(*next);
  EXPECT_EQ(mail.messages(), 0u);
}

TEST(QueuedMail, RefusesWhatIsNoAnswer) {
  for (const char* text :
       {"", "{", "[]", "{}", "null", R"({"messages":{}})", R"({"messages":[7]})",
        R"({"messages":[{"queue_id":"A"}]})", R"({"messages":[{"queue_id":7,"open":[]}]})",
        R"({"messages":[{"queue_id":"A","open":{}}]})",
        R"({"messages":[{"queue_id":"A","open":["ann"]}]})",
        R"({"messages":[{"queue_id":"A","open":[{"address":7}]}]})",
        R"({"messages":[],"from":"x","shard":0})", R"({"messages":[],"from":-1,"shard":0})",
        R"({"messages":[],"from":512})"}) {
    QueuedMail mail;
    EXPECT_FALSE(take_slice(text, mail)) << text;
  }
}

TEST(QueuedMail, SaysThatNobodyListens) {
  const auto asked = ask_queued_mail("/nowhere/admin.sock");
  ASSERT_FALSE(asked);
  EXPECT_NE(asked.error().message.find("/nowhere/admin.sock"), std::string::npos)
      << asked.error().message;
}

}  // namespace
}  // namespace waypost::load
