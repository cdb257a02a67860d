#include "app/queue_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waypost::app {
namespace {

using ::testing::HasSubstr;

std::string wrong_of_command(std::string_view body, QueueRequest* into = nullptr) {
  auto fields = admin::Fields::of_body(body);
  auto request = read_queue_command(fields, 2);
  if (into != nullptr) *into = std::move(request);
  return admin::sentence_of(fields.finish());
}

std::string wrong_of_question(std::string_view query, QueueRequest* into = nullptr) {
  auto fields = admin::Fields::of_query(query);
  auto request = read_queue_question(fields, 2);
  if (into != nullptr) *into = std::move(request);
  return admin::sentence_of(fields.finish());
}

TEST(QueueRequest, ATypingMistakeNeverMeansEverything) {
  EXPECT_THAT(wrong_of_command(R"({"verb":"delete","dry_run":"true","selecter":{}})"),
              ::testing::AllOf(HasSubstr("'dry_run' must be true or false"),
                               HasSubstr("'selecter' is not known here")));
  EXPECT_THAT(wrong_of_command(R"({"verb":"delete","selecter":{"wave":"w"}})"),
              HasSubstr("did you mean 'selector'?"));
  EXPECT_THAT(wrong_of_command(R"({"verb":"delete","selector":{"Wave":"w"}})"),
              HasSubstr("did you mean 'wave'?"));
}

TEST(QueueRequest, NoSelectionMeansNothing) {
  for (const auto* const body :
       {R"({"verb":"delete"})", R"({"verb":"delete","selector":{}})",
        R"({"verb":"delete","all":false})", R"({"verb":"delete","selector":{},"all":false})"})
    EXPECT_THAT(wrong_of_command(body), HasSubstr("nothing is selected")) << body;
  EXPECT_THAT(wrong_of_question(""), HasSubstr("nothing is selected"));
  QueueRequest request;
  EXPECT_EQ(wrong_of_command(R"({"verb":"delete","all":true})", &request), "");
  EXPECT_TRUE(request.command.selector.everything());
  EXPECT_EQ(wrong_of_question("all=true"), "");
}

TEST(QueueRequest, AllAndASelectionContradictEachOther) {
  EXPECT_THAT(wrong_of_command(R"({"verb":"delete","all":true,"selector":{"wave":"w"}})"),
              HasSubstr("'all' can't stand beside a selection"));
  EXPECT_THAT(wrong_of_question("all=true&wave=w"), HasSubstr("'all'"));
}

TEST(QueueRequest, EveryPartOfASelectionIsReadInBothForms) {
  QueueRequest acting, reading;
  EXPECT_EQ(wrong_of_command(
                R"({"verb":"bounce","dry_run":true,"reason":"r","shard":1,"from":512,"selector":)"
                R"({"ids":["2KQX8B1M4T7D"],"next_hop":"n","sender":"<>","recipient":"b*",)"
                R"("domain":"d","wave":"w","reply":"*full*","state":"waiting","older_us":5,)"
                R"("younger_us":6}})",
                &acting),
            "");
  EXPECT_EQ(wrong_of_question("ids=2KQX8B1M4T7D&next_hop=n&sender=%3C%3E&recipient=b*&domain=d&"
                              "wave=w&reply=*full*&state=waiting&older_us=5&younger_us=6&shard=1&"
                              "from=512",
                              &reading),
            "");
  EXPECT_EQ(acting.command.selector, reading.command.selector);
  EXPECT_EQ(acting.command.selector.ids.size(), 1u);
  EXPECT_EQ(acting.command.selector.state, queue::RecipientState::waiting);
  EXPECT_EQ(acting.command.selector.older_than, Duration(5));
  EXPECT_EQ(acting.command.selector.younger_than, Duration(6));
  EXPECT_TRUE(acting.command.dry_run);
  EXPECT_EQ(acting.cursor.shard, 1u);
  EXPECT_EQ(reading.cursor.from, 512u);
}

TEST(QueueRequest, WhatMakesNoSenseIsRefused) {
  for (const auto* const body :
       {R"({"verb":"hold","selector":{"ids":["nonsense"]}})",
        R"({"verb":"hold","selector":{"state":"sleeping"}})",
        R"({"verb":"hold","selector":{"older_us":0}})",
        R"({"verb":"hold","selector":{"older_us":"2h"}})",
        R"({"verb":"hold","selector":{"wave":["w"]}})",
        R"({"verb":"hold","selector":{"wave":"w"},"shard":2})",
        R"({"verb":"hold","selector":{"wave":"w"},"from":4294967296})",
        R"({"verb":"hold","selector":{"wave":"w"},"by":"root"})",
        R"({"verb":"hold","selector":{"wave":"w"},"next_hop":"workmail"})",
        R"({"verb":"reroute","selector":{"wave":"w"}})",
        R"({"verb":"suspend","selector":{"state":"held"}})",
        R"({"verb":"resume","selector":{"older_us":5}})", R"({"selector":{"wave":"w"}})",
        R"({"verb":"drop","selector":{"wave":"w"}})", "not json", ""})
    EXPECT_NE(wrong_of_command(body), "") << body;
  EXPECT_THAT(wrong_of_command(R"({"verb":"suspend","selector":{"younger_us":5}})"),
              HasSubstr("'selector.younger_us'"));
}

TEST(QueueRequest, AnExportSelectsAsAnActDoes) {
  const auto wrong = [](std::string_view body) {
    auto fields = admin::Fields::of_body(body);
    read_queue_export(fields, 2);
    return admin::sentence_of(fields.finish());
  };
  EXPECT_EQ(wrong(R"({"all":true,"reason":"r"})"), "");
  EXPECT_THAT(wrong(R"({"reason":"r"})"), HasSubstr("nothing is selected"));
  EXPECT_THAT(wrong(R"({"verb":"flush","all":true})"), HasSubstr("'verb' is not known here"));
}

}  // namespace
}  // namespace waypost::app
