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
  const boost::json::value value = to_json(explanation);
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
  const boost::json::value value = to_json(explanation);
  EXPECT_FALSE(value.as_object().contains("target"));
  EXPECT_EQ(value.at("reply").as_string(), "550 5.1.1 not in the table");
}

TEST(Explain, QuestionsNameWhatMakesNoSense) {
  const WallTime now{std::chrono::hours(24 * 365 * 50)};
  const auto ask = [&](std::string_view query, RouteQuestion* question = nullptr) {
    auto fields = admin::Fields::of_query(query);
    auto read = read_question(fields, now);
    if (question != nullptr) *question = std::move(read);
    return admin::sentence_of(fields.finish());
  };
  EXPECT_NE(ask("address=nobody%20at%20all").find("nobody at all"), std::string::npos);
  EXPECT_NE(ask("address=bob@corp.example&at=soon").find("'at'"), std::string::npos);
  EXPECT_NE(ask("address=bob@corp.example&sender=@@").find("'sender'"), std::string::npos);
  EXPECT_NE(ask("address=bob@corp.example&szie=1").find("did you mean 'size'"), std::string::npos);
  EXPECT_NE(ask("at=%2B2h").find("'address' is missing"), std::string::npos);
  RouteQuestion good;
  EXPECT_EQ(ask("address=bob@corp.example&sender=%3C%3E&at=%2B2h", &good), "");
  EXPECT_EQ(good.at, now + std::chrono::hours(2));
  ASSERT_TRUE(good.sender);
  EXPECT_FALSE(*good.sender) << "the null reverse-path";
}

TEST(Explain, LimitsOnSizeAreOursFirstThenTheNextHops) {
  config::Config config;
  auto& hop = config.next_hops.emplace_back();
  hop.name = "workmail";
  hop.max_message_size = 1000;
  config.inbound.limits.message_size = 5000;
  auto& options = config.routing;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"orgname.awsapps.com", "workmail"}};
  std::vector<routing::Problem> problems;
  const auto router = routing::Router::load(options, problems);
  ASSERT_TRUE(router);
  RouteQuestion question;
  question.address = {"bob", "orgname.awsapps.com"};
  const auto fits = [&](std::uint64_t size) {
    question.size = size;
    return explain(question, **router, config).at("size").at("fits").as_bool();
  };
  EXPECT_TRUE(fits(1000));
  EXPECT_FALSE(fits(1001));
  EXPECT_FALSE(fits(5001));
}

}  // namespace
}  // namespace waypost::app
