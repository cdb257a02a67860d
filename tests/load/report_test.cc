#include "load/report.h"

#include "load/svg_plot.h"

#include <gtest/gtest.h>

namespace waypost::load {
namespace {

Report some_report() {
  Report report;
  report.title = "waypost-load <run>";
  report.started = "2025-12-01T00:00:00Z";
  report.run_id = "00000000000000ab";
  report.settings = {{"target", "gw.example:25"}, {"load", "closed loop"}};
  report.seconds = 2;
  report.sender_cpu_seconds = 0.5;
  report.wave_names = {"pilot", "wave & 2"};
  Statistics& s = report.statistics;
  s.messages = 1'010;
  s.accepted = 1'000;
  s.refused = 10;
  s.octets = 10'240'000;
  s.waves.resize(2);
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    s.phase(Phase::total).add(i * 10);
    s.waves[i % 2].total.add(i * 10);
    ++s.waves[i % 2].recipients;
  }
  s.seconds = {{400, 4, 4'096'000, 2'000'000, 9'000}, {600, 6, 6'144'000, 3'000'000, 10'000}};
  s.trouble("RCPT: 550 <no> \"such\" user");
  report.accounting.emplace();
  report.accounting->messages = 1'010;
  report.accounting->recipients = 1'010;
  report.accounting->arrived_once = 999;
  report.accounting->lost = 1;
  report.accounting->wrong = {"1 recipient: lost"};
  report.accounting->examples = {"lost: message 3 to bob@corp.example"};
  report.accounting->delivery.add(1'234);
  return report;
}

TEST(Report, IsTheSameAfterBeingWrittenAndRead) {
  const Report report = some_report();
  const std::string text = to_json(report);
  const auto back = report_from_json(text, "x.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), text);
  EXPECT_EQ(to_text(*back), to_text(report));
  EXPECT_EQ(back->rate(), 500);
}

TEST(Report, RefusesOtherJson) {
  for (const char* text : {"", "{}", "[1]", "{\"format\":1}", "{\"format\":2}"}) {
    const auto report = report_from_json(text, "x.json");
    ASSERT_FALSE(report) << text;
    EXPECT_NE(report.error().message.find("x.json"), std::string::npos);
  }
}

TEST(Report, TextSaysWhatIsWrong) {
  const std::string text = to_text(some_report());
  EXPECT_NE(text.find("WRONG: 1 recipient: lost"), std::string::npos) << text;
  EXPECT_NE(text.find("message 3 to bob@corp.example"), std::string::npos);
  EXPECT_NE(text.find("wave & 2"), std::string::npos);
  EXPECT_NE(text.find("500.0 messages/s"), std::string::npos);
}

TEST(Report, PageIsSelfContainedAndEscaped) {
  const Report report = some_report();
  const std::string page = to_html(report, &report);
  EXPECT_EQ(page.find("http"), std::string::npos) << "nothing from outside";
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<no>"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_NE(page.find("wave &amp; 2"), std::string::npos);
  EXPECT_NE(page.find("99.99 %"), std::string::npos);
  EXPECT_NE(page.find("Throughput over time"), std::string::npos);
  EXPECT_NE(page.find("Compared with"), std::string::npos);
  EXPECT_NE(page.find("total, earlier"), std::string::npos);
}

TEST(Report, PageOfARunThatSentNothingIsWhole) {
  const std::string page = to_html(Report(), nullptr);
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf"), std::string::npos);
}

TEST(Report, ComparisonShowsTheRatio) {
  const Report earlier = some_report();
  Report now = some_report();
  now.seconds = 1;
  const auto rows = compare(now, earlier);
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.front().name, "messages/s");
  EXPECT_DOUBLE_EQ(rows.front().ratio, 2);
  EXPECT_NE(compare_text(now, earlier).find("2.00"), std::string::npos);
}

TEST(RoundSteps, AreRoundAndCoverTheRange) {
  EXPECT_EQ(round_steps(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(round_steps(3, 3, 5).size(), 1u);
  for (const double high : {0.3, 7.0, 99.0, 12'345.0}) {
    const auto steps = round_steps(0, high, 5);
    EXPECT_GE(steps.size(), 3u);
    EXPECT_LE(steps.size(), 12u);
  }
}

}  // namespace
}  // namespace waypost::load
