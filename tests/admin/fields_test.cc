#include "waypost/admin/fields.h"

#include <boost/json/object.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace waypost::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::array<std::string_view, 2> kVerbs = {"hold", "delete"};

/// The fields of an imagined command, as an action would read them.
struct Read {
  std::string verb, reason, next_hop;
  std::vector<std::string> ids;
  bool dry_run = false;
  std::optional<std::uint64_t> from;
  std::string wrong;
};

Read read(Fields fields) {
  Read out;
  out.verb = fields.word("verb", kVerbs, Need::required);
  out.reason = fields.text("reason");
  out.dry_run = fields.flag("dry_run");
  out.from = fields.count("from", Need::optional, 1000);
  Fields selector = fields.group("selector");
  out.ids = selector.texts("ids");
  out.next_hop = selector.text("next_hop");
  out.wrong = sentence_of(fields.finish());
  return out;
}
Read read(std::string_view body) { return read(Fields::of_body(body)); }

TEST(Fields, WhatIsRightIsRead) {
  const auto got = read(R"({"verb":"delete","reason":"old","dry_run":true,"from":7,)"
                        R"("selector":{"ids":["A","B"],"next_hop":"workmail"}})");
  EXPECT_EQ(got.wrong, "");
  EXPECT_EQ(got.verb, "delete");
  EXPECT_EQ(got.reason, "old");
  EXPECT_TRUE(got.dry_run);
  EXPECT_EQ(got.from, 7u);
  EXPECT_THAT(got.ids, ::testing::ElementsAre("A", "B"));
  EXPECT_EQ(got.next_hop, "workmail");
}

TEST(Fields, AnUnknownFieldIsNamedWithWhatIsNear) {
  EXPECT_THAT(read(R"({"verb":"delete","selecter":{}})").wrong,
              HasSubstr("'selecter' is not known here; did you mean 'selector'?"));
  EXPECT_THAT(read(R"({"verb":"delete","selector":{"next-hop":"x"}})").wrong,
              HasSubstr("'selector.next-hop' is not known here; did you mean 'next_hop'?"));
}

TEST(Fields, AWrongTypeIsNeverADefault) {
  for (const auto* const body :
       {R"({"verb":"hold","dry_run":"true"})", R"({"verb":"hold","dry_run":1})",
        R"({"verb":"hold","dry_run":null})", R"({"verb":"hold","from":"7"})",
        R"({"verb":"hold","from":-1})", R"({"verb":"hold","from":1.0})",
        R"({"verb":"hold","from":1001})", R"({"verb":"hold","reason":5})",
        R"({"verb":"hold","reason":null})", R"({"verb":["hold"]})",
        R"({"verb":"hold","selector":[]})", R"({"verb":"hold","selector":null})",
        R"({"verb":"hold","selector":"all"})", R"({"verb":"hold","selector":{"ids":"A"}})",
        R"({"verb":"hold","selector":{"ids":["A",1]}})",
        R"({"verb":"hold","selector":{"ids":{"0":"A"}}})"})
    EXPECT_NE(read(body).wrong, "") << body;
}

TEST(Fields, NothingIsNotTakenForAnything) {
  EXPECT_THAT(read(R"({"verb":"hold","reason":""})").wrong, HasSubstr("'reason' is empty"));
  EXPECT_THAT(read(R"({"verb":"hold","selector":{"next_hop":""}})").wrong,
              HasSubstr("'selector.next_hop' is empty"));
  EXPECT_THAT(read(R"({"verb":"hold","selector":{"ids":[]}})").wrong,
              HasSubstr("'selector.ids' is an empty list"));
  EXPECT_THAT(read(R"({"verb":"hold","selector":{"ids":[""]}})").wrong,
              HasSubstr("'selector.ids' is empty"));
}

TEST(Fields, WhatIsMissingOrNoWordIsNamed) {
  EXPECT_EQ(read("{}").wrong, "'verb' is missing");
  EXPECT_EQ(read("").wrong, "'verb' is missing");
  EXPECT_THAT(read(R"({"verb":"delte"})").wrong, HasSubstr("did you mean 'delete'?"));
  EXPECT_THAT(read(R"({"verb":"HOLD"})").wrong, HasSubstr("did you mean 'hold'?"));
}

TEST(Fields, WhatIsNoObjectIsRefused) {
  for (const auto* const body : {"[]", "null", "\"hold\"", "{", "{}{}", "{'verb':'hold'}",
                                 "verb=hold", "{\"verb\":\"hold\",}", "\xFF"})
    EXPECT_NE(read(body).wrong, "") << body;
}

TEST(Fields, AFieldThatStandsTwiceIsRefused) {
  EXPECT_THAT(read(R"({"verb":"hold","dry_run":true,"dry_run":false})").wrong,
              HasSubstr("'dry_run' stands twice"));
  EXPECT_THAT(read(R"({"verb":"hold","selector":{"next_hop":"a","next_hop":"b"}})").wrong,
              HasSubstr("'next_hop' stands twice"));
  EXPECT_EQ(read(R"({"verb":"hold","reason":"verb","selector":{"next_hop":"reason"}})").wrong, "");
}

TEST(Fields, ControlCharactersAreNoText) {
  EXPECT_THAT(read(R"({"verb":"hold","reason":"a\r\nb"})").wrong,
              HasSubstr("'reason' has a control"));
}

TEST(Fields, TroublesCarryTheFieldsNames) {
  auto fields = Fields::of_body(R"({"dry_run":"no","x":1})");
  fields.flag("dry_run");
  const auto wrong = fields.finish();
  ASSERT_EQ(wrong.size(), 2u);
  EXPECT_EQ(wrong[0].field, "dry_run");
  EXPECT_EQ(wrong[1].field, "x");
}

TEST(Fields, AQueryIsReadByTheSameQuestions) {
  const auto got =
      read(Fields::of_query("verb=hold&dry_run=true&from=7&ids=A&ids=B&next_hop=a%26b"));
  EXPECT_EQ(got.wrong, "");
  EXPECT_TRUE(got.dry_run);
  EXPECT_EQ(got.from, 7u);
  EXPECT_THAT(got.ids, ::testing::ElementsAre("A", "B"));
  EXPECT_EQ(got.next_hop, "a&b");
}

TEST(Fields, AQueryIsAsStrictAsABody) {
  for (const auto* const query :
       {"verb=hold&dry_run=yes", "verb=hold&dry_run=", "verb=hold&dry_run", "verb=hold&from=7x",
        "verb=hold&from=-1", "verb=hold&from=+7", "verb=hold&verb=delete", "verb=hold&next_hop=",
        "verb=hold&ids=", "verb=hold&nexthop=x", "verb=hold&next_hop=%4", "verb=hold&next_hop=%zz",
        "verb=hold&selector=x", "verb=hold&", "verb=hold&&from=1", "=hold"}) {
    const auto wrong = read(Fields::of_query(query)).wrong;
    if (std::string_view(query) == "verb=hold&") {
      EXPECT_EQ(wrong, "") << "a last '&' says nothing";
    } else {
      EXPECT_NE(wrong, "") << query;
    }
  }
}

TEST(Fields, WhatAClientAsksComesBackUnharmed) {
  const std::string query = query_of({{"verb", "hold"},
                                      {"dry_run", true},
                                      {"from", 7},
                                      {"ids", {"A", "B"}},
                                      {"reason", "50% of a+b@corp.example & \xC3\xBC?"}});
  ASSERT_EQ(query.front(), '?');
  const auto got = read(Fields::of_query(std::string_view(query).substr(1)));
  EXPECT_EQ(got.wrong, "");
  EXPECT_EQ(got.reason, "50% of a+b@corp.example & \xC3\xBC?");
  EXPECT_THAT(got.ids, ::testing::ElementsAre("A", "B"));
  EXPECT_EQ(query_of({}), "");
}

}  // namespace
}  // namespace waypost::admin
