#include "app/explain.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace waypost::app {
namespace {

TEST(Explain, JsonHasTheWholeDecision) {
  Explanation explanation;
  explanation.decision.verdict = routing::Verdict::rewrite;
  explanation.decision.original = {"bob", "corp.example"};
  explanation.decision.target = {"bob", "orgname.awsapps.com"};
  explanation.decision.next_hop = "workmail";
  explanation.decision.state = routing::EntryState::active;
  explanation.decision.place = {"users.csv", 412};
  explanation.decision.why = "it is in the table";
  explanation.decision.reply = {250, {2, 1, 5}, "OK"};
  explanation.steps = {{"exact entry", "found at users.csv:412"}};
  const auto value = boost::json::parse(to_json(explanation));
  EXPECT_EQ(value.at("address").as_string(), "bob@corp.example");
  EXPECT_EQ(value.at("verdict").as_string(), "rewrite");
  EXPECT_EQ(value.at("target").as_string(), "bob@orgname.awsapps.com");
  EXPECT_EQ(value.at("line").to_number<int>(), 412);
  EXPECT_EQ(value.at("steps").as_array().size(), 1u);
}

TEST(Explain, ARefusalHasNoTarget) {
  Explanation explanation;
  explanation.decision.verdict = routing::Verdict::refuse;
  explanation.decision.original = {"nobody", "corp.example"};
  explanation.decision.reply = {550, {5, 1, 1}, "not in the table"};
  const auto value = boost::json::parse(to_json(explanation));
  EXPECT_FALSE(value.as_object().contains("target"));
  EXPECT_EQ(value.at("reply").as_string(), "550 5.1.1 not in the table");
}

}  // namespace
}  // namespace waypost::app
