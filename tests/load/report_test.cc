#include "load/report.h"

#include "load/svg_plot.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <utility>
#include <vector>

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
  report.accounting->arrived_each_second = {300, 0, 699};
  report.accounting->faults = {{"throttle <now>", 0.5, 1.5}};
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

/// All matches of `pattern` in `text`, each with its groups.
std::vector<std::smatch> all_of(const std::string& text, const char* pattern) {
  const std::regex wanted(pattern);
  return {std::sregex_iterator(text.begin(), text.end(), wanted), {}};
}

TEST(Report, WordsInChartsKeepTheirSizeAndStayInside) {
  Report report = some_report();
  report.statistics.phase(Phase::verdict).add(45'678'901);
  const std::string page = to_html(report, nullptr);
  EXPECT_EQ(page.find("viewBox"), std::string::npos)
      << "a chart that shrinks takes its words along";
  EXPECT_EQ(page.find("svg{width:100%"), std::string::npos);
  const auto charts =
      all_of(page, "<div class=\"scroll\" tabindex=\"0\"><svg width=\"(\\d+)\" height=\"(\\d+)\"");
  ASSERT_GE(charts.size(), 4u);
  const double width = std::stod(charts.front()[1]);
  const auto words =
      all_of(page, "<text x=\"([\\d.]+)\" y=\"[\\d.]+\" text-anchor=\"(\\w+)\">([^<]*)</text>");
  ASSERT_GT(words.size(), 40u);
  for (const auto& word : words) {
    const double x = std::stod(word[1]), length = 6.5 * static_cast<double>(word[3].length());
    const double left = word[2] == "start" ? x : word[2] == "end" ? x - length : x - length / 2;
    EXPECT_GE(left, 0) << word[3];
    EXPECT_LE(left + length, width) << word[3];
  }
}

TEST(Report, FaultsAndWhatArrivedAreSeen) {
  const std::string page = to_html(some_report(), nullptr);
  const auto marks = all_of(page, "<rect class=\"band\" x=\"([\\d.]+)\"[^>]* width=\"([\\d.]+)\"");
  EXPECT_EQ(marks.size(), 3u) << "in each chart over time";
  for (const auto& mark : marks) EXPECT_GT(std::stod(mark[2]), 100);
  EXPECT_NE(page.find("throttle &lt;now&gt;"), std::string::npos);
  EXPECT_NE(page.find("What arrived over time"), std::string::npos);
}

TEST(Report, WhatIsRefusedAsExpectedIsNoFailure) {
  Report report = some_report();
  Statistics& s = report.statistics;
  s.refused_as_expected = 10;
  for (auto& second : s.seconds) second.refused_as_expected = std::exchange(second.failed, 0);
  const std::string page = to_html(report, nullptr);
  EXPECT_EQ(page.find("<title>failed</title>"), std::string::npos);
  EXPECT_NE(page.find("line s2\" d=\"M76.0 "), std::string::npos);
  EXPECT_NE(page.find("<title>refused as expected</title>"), std::string::npos);
  EXPECT_NE(page.find("<b>0</b><span class=\"mute\">not accepted"), std::string::npos);
  EXPECT_NE(page.find("<b>10</b><span class=\"mute\">refused as expected"), std::string::npos);
}

TEST(Report, TheHeadSaysWhichWaveAndWhenAndWhoHasNothing) {
  Report report = some_report();
  std::string page = to_html(report, nullptr);
  const std::string both = "pilot and wave &amp; 2, Monday, 1 December 2025, 00:00 UTC";
  EXPECT_NE(page.find("<title>" + both + "</title>"), std::string::npos);
  EXPECT_NE(page.find("<h1>" + both + "</h1>"), std::string::npos);
  EXPECT_LT(page.find("<li>lost: message 3 to bob@corp.example</li>"),
            page.find("class=\"tiles\""));
  // Waves of the table that were not sent to are no rows.
  report.statistics.waves.resize(3);
  report.statistics.waves[0] = {};
  report.wave_names = {"pilot", "wave & 2", "-"};
  page = to_html(report, nullptr);
  EXPECT_EQ(page.find("pilot"), std::string::npos);
  EXPECT_NE(page.find("<h1>wave &amp; 2, Monday"), std::string::npos);
  EXPECT_EQ(to_text(report).find("pilot"), std::string::npos);
}

TEST(Report, ReportsOfEarlierVersionsAreRead) {
  const Report report = some_report();
  std::string text = to_json(report);
  for (const char* late : {",\"refused_as_expected\":0}", ",\"arrived_each_second\":[300,0,699]"}) {
    const auto at = text.find(late);
    ASSERT_NE(at, std::string::npos) << late << text;
    text.replace(at, std::string_view(late).size(),
                 std::string_view(late).ends_with('}') ? "}" : "");
  }
  EXPECT_TRUE(report_from_json(text, "x.json"));
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
