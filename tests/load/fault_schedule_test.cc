#include "sink/fault_schedule.h"

#include "sink/behaviour.h"

#include <gtest/gtest.h>

#include <array>
#include <ctime>

namespace waypost::sink {
namespace {

using namespace std::chrono_literals;

const WallTime kStart{std::chrono::seconds(1'764'547'200)};

std::vector<ScheduledFault> parsed(const std::string& text) {
  auto faults = parse_fault_schedule(text, "faults", kStart);
  EXPECT_TRUE(faults) << faults.error().message;
  return faults ? *faults : std::vector<ScheduledFault>();
}

TEST(FaultSchedule, CountsFromTheStart) {
  const auto faults = parsed("# a comment\n\n+30s throttle 5m  # until then\n+1m slow 250ms 10s\n");
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].begin, kStart + 30s);
  EXPECT_EQ(faults[0].end, kStart + 30s + 5min);
  EXPECT_NE(faults[0].rule.find("454 4.7.0"), std::string::npos);
  EXPECT_EQ(faults[1].rule, "at=end;delay=250");
}

TEST(FaultSchedule, FindsTheNextTimeOfTheClock) {
  const auto faults = parsed("02:00 throttle 5m\n23:59:30 drop 10s\n");
  ASSERT_EQ(faults.size(), 2u);
  for (const auto& fault : faults) {
    EXPECT_GE(fault.begin, kStart);
    EXPECT_LT(fault.begin, kStart + std::chrono::hours(25));
  }
  const std::time_t at = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::seconds>(faults[0].begin));
  std::tm parts{};
  ::localtime_r(&at, &parts);
  EXPECT_EQ(parts.tm_hour, 2);
  EXPECT_EQ(parts.tm_min, 0);
}

TEST(FaultSchedule, TakesAnyRuleInQuotes) {
  const auto faults = parsed("+0s rule \"at=rcpt;match=bob@*;reply=451 4.3.0 Not now\" 1s\n");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].rule, "at=rcpt;match=bob@*;reply=451 4.3.0 Not now");
}

TEST(FaultSchedule, SaysWhichLineIsWrong) {
  for (const char* line : {"throttle 5m", "+30s throttle", "25:00 throttle 5m", "+30s explode 5m",
                           "+30s throttle x", "+1s slow 5m", "+1s rule nonsense 5m", "2 drop 1s",
                           "02:00x drop 1s", "+1s throttle 1m 2m"}) {
    const auto faults = parse_fault_schedule(std::string("\n") + line, "faults", kStart);
    ASSERT_FALSE(faults) << line;
    EXPECT_TRUE(faults.error().message.starts_with("faults:2: ")) << faults.error().message;
  }
}

TEST(FaultSchedule, FaultsComeAndGo) {
  const auto faults = parsed("+10s throttle 10s\n+15s full 10s\n");
  std::vector<bool> state(faults.size(), false);
  Behaviour behaviour;
  const std::array<std::string, 1> who = {"bob@org.example"};
  const auto reply_at = [&](Duration since, WallTime& next) {
    next = apply_faults(faults, state, kStart + since, behaviour);
    const auto misdeed = behaviour.look(Stage::rcpt, who);
    return misdeed && misdeed->reply ? misdeed->reply->code : 250;
  };
  WallTime next{};
  EXPECT_EQ(reply_at(0s, next), 250);
  EXPECT_EQ(next, kStart + 10s);
  EXPECT_EQ(reply_at(10s, next), 454);
  EXPECT_EQ(next, kStart + 15s);
  EXPECT_EQ(reply_at(16s, next), 454);
  EXPECT_EQ(next, kStart + 20s);
  EXPECT_EQ(reply_at(20s, next), 452);
  EXPECT_EQ(reply_at(25s, next), 250);
  EXPECT_EQ(next, WallTime::max());
  EXPECT_FALSE(behaviour.any());
}

TEST(FaultSchedule, LeavesOtherRulesAlone) {
  Behaviour behaviour;
  ASSERT_TRUE(behaviour.add("at=end;delay=1"));
  const auto faults = parsed("+0s throttle 1s\n");
  std::vector<bool> state(1, false);
  apply_faults(faults, state, kStart, behaviour);
  apply_faults(faults, state, kStart + 2s, behaviour);
  EXPECT_NE(behaviour.report().find("at=end;delay=1"), std::string::npos);
  EXPECT_EQ(behaviour.report().find("throttl"), std::string::npos);
}

}  // namespace
}  // namespace waypost::sink
