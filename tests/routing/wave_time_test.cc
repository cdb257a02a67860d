// Times as operators write them, at changes of clocks too.
#include "waypost/routing/local_time.h"
#include "waypost/routing/waves.h"

#include "routing/instant.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1'796'126'400)};  // 2026-12-01T12:00:00Z

std::string parsed(std::string_view text) {
  const auto at = parse_time(text, kNow);
  return at ? format_time(*at) : at.error().message;
}

TEST(WaveTime, TakesEveryFormThatIsPromised) {
  EXPECT_EQ(parsed("2026-12-01T02:00:00Z"), "2026-12-01T02:00:00Z");
  EXPECT_EQ(parsed("2026-12-01T02:00Z"), "2026-12-01T02:00:00Z");
  EXPECT_EQ(parsed(" 2026-12-01t02:00:00z "), "2026-12-01T02:00:00Z");
  EXPECT_EQ(parsed("2026-12-01T02:00:00+01:00"), "2026-12-01T01:00:00Z");
  EXPECT_EQ(parsed("2026-12-01T02:00:00-0530"), "2026-12-01T07:30:00Z");
  EXPECT_EQ(parsed("2026-12-01 02:00:59.5 UTC"), "2026-12-01T02:00:59Z");
  EXPECT_EQ(parsed("2026-12-01 02:00 UTC"), "2026-12-01T02:00:00Z");
  EXPECT_EQ(parsed("2026-12-01 02:00 Europe/Berlin"), "2026-12-01T01:00:00Z");
  EXPECT_EQ(parsed("2026-07-01 02:00 Europe/Berlin"), "2026-07-01T00:00:00Z");
  EXPECT_EQ(parsed("2026-12-01 02:00 America/New_York"), "2026-12-01T07:00:00Z");
  EXPECT_EQ(parsed("2028-02-29 00:00 UTC"), "2028-02-29T00:00:00Z");
  EXPECT_EQ(parsed("now"), "2026-12-01T12:00:00Z");
  EXPECT_EQ(parsed("+2h"), "2026-12-01T14:00:00Z");
  EXPECT_EQ(parsed("+1d30m5s"), "2026-12-02T12:30:05Z");
}

TEST(WaveTime, NamesWhatAChangeOfClocksLeavesOut) {
  const auto text = parsed("2026-03-29 02:30 Europe/Berlin");
  EXPECT_THAT(text, HasSubstr("clocks in Europe/Berlin leave this time out"));
  EXPECT_THAT(text, HasSubstr("from UTC+01:00 to UTC+02:00 at 2026-03-29T01:00:00Z"));
  EXPECT_EQ(parsed("2026-03-29 01:59:59 Europe/Berlin"), "2026-03-29T00:59:59Z");
  EXPECT_EQ(parsed("2026-03-29 03:00 Europe/Berlin"), "2026-03-29T01:00:00Z");
}

TEST(WaveTime, NamesBothMeaningsOfWhatAChangeOfClocksRepeats) {
  EXPECT_THAT(
      parsed("2026-10-25 02:30 Europe/Berlin"),
      HasSubstr("show this time twice: it is 2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"));
  EXPECT_EQ(parsed("2026-10-25 03:00 Europe/Berlin"), "2026-10-25T02:00:00Z");
  EXPECT_THAT(parsed("2026-11-01 01:30 America/New_York"), HasSubstr("twice"));
}

TEST(WaveTime, RefusesWhatIsNoTimeAndSaysWhy) {
  EXPECT_THAT(parsed(""), HasSubstr("is no time"));
  EXPECT_THAT(parsed("tomorrow"), HasSubstr("'tomorrow' is no time: write it as"));
  EXPECT_THAT(parsed("2026-02-30 02:00"), HasSubstr("no such day"));
  EXPECT_THAT(parsed("2026-12-01 24:00"), HasSubstr("no such time of day"));
  EXPECT_THAT(parsed("2026-12-01 23:59:60"), HasSubstr("no such time of day"));
  EXPECT_THAT(parsed("2026-12-01"), HasSubstr("the time of day is missing"));
  EXPECT_THAT(parsed("1969-12-01 02:00"), HasSubstr("from 1970 to 9999"));
  EXPECT_THAT(parsed("0000-12-01 02:00"), HasSubstr("from 1970 to 9999"));
  EXPECT_THAT(parsed("2026-12-01 02:00 Europe/Berlín"), HasSubstr("no time zone 'Europe/Berl"));
  EXPECT_THAT(parsed("2026-12-01 02:00 ../../etc/passwd"), HasSubstr("no time zone"));
  EXPECT_EQ(parsed("2026-12-01 02:00 UTC   "), "2026-12-01T02:00:00Z");
  EXPECT_THAT(parsed("2026-12-01T02:00:00+25:00"), HasSubstr("offset"));
  EXPECT_THAT(parsed("2026-12-01T02:00:00Zulu"), HasSubstr("behind the Z"));
  EXPECT_THAT(parsed("2026-12-01T02:00:00Europe/Berlin"), HasSubstr("is no time"));
  EXPECT_THAT(parsed("+"), HasSubstr("write it as +2h"));
  EXPECT_THAT(parsed("+2"), HasSubstr("write it as +2h"));
  EXPECT_THAT(parsed("+2w"), HasSubstr("units"));
  EXPECT_THAT(parsed("+999999999d"), HasSubstr("ten years"));
  EXPECT_THAT(parsed("+99999999999999999999h"), HasSubstr("units"));
  EXPECT_EQ(parsed(std::string("a\0\n\x7f", 4)).find('\n'), std::string::npos);
}

TEST(WaveTime, ATimeWithoutAZoneIsNotGuessed) {
  ::setenv("TZ", "Europe/Berlin", 1);
  for (const auto* text : {"2026-12-01 02:00", "2026-12-01T02:00:00", "2026-12-01 02:00   "})
    EXPECT_THAT(parsed(text), HasSubstr("its time zone is missing; write '2026-12-01")) << text;
  EXPECT_THAT(parsed("2026-12-01 02:00"),
              HasSubstr("'2026-12-01 02:00 Europe/Berlin' (this machine's zone) or '2026-12-01 "
                        "02:00 UTC'"));
  ::unsetenv("TZ");
}

TEST(LocalTime, SaysWhatTheClockOnTheWallShows) {
  const WallTime at = kNow + std::chrono::hours(11) + std::chrono::minutes(30);
  EXPECT_EQ(full_local_time(kNow, "Europe/Berlin"), "2026-12-01 13:00 Europe/Berlin (12:00 UTC)");
  EXPECT_EQ(full_local_time(at, "Europe/Berlin"),
            "2026-12-02 00:30 Europe/Berlin (2026-12-01 23:30 UTC)");
  EXPECT_EQ(full_local_time(kNow, "UTC"), "2026-12-01 12:00 UTC");
  EXPECT_EQ(full_local_time(kNow, "No/Where"), "2026-12-01 12:00 UTC");
  EXPECT_EQ(short_local_time(at, kNow, "Europe/Berlin"), "Wed 02 Dec 00:30");
  EXPECT_EQ(short_local_time(at + std::chrono::hours(24 * 60), kNow, "UTC"), "30 Jan 2027 23:30");
  EXPECT_EQ(zone_in("2026-12-01 02:00 Asia/Tokyo"), "Asia/Tokyo");
  ::setenv("TZ", "America/New_York", 1);
  EXPECT_EQ(local_zone(), "America/New_York");
  EXPECT_EQ(zone_in("+2h"), "America/New_York");
  ::unsetenv("TZ");
  EXPECT_EQ(duration_words(std::chrono::minutes(730)), "12 h 10 min");
  EXPECT_EQ(duration_words(std::chrono::hours(76)), "3 d 4 h");
  EXPECT_EQ(duration_words(std::chrono::seconds(45)), "45 s");
  EXPECT_EQ(duration_words(std::chrono::seconds(-5)), "0 s");
}

TEST(WaveTime, TheJournalsFormIsExact) {
  const WallTime at = kNow + Duration(42);
  EXPECT_EQ(exact_time(at), "2026-12-01T12:00:00.000042Z");
  EXPECT_EQ(parse_instant(exact_time(at)), at);
  EXPECT_EQ(exact_time(kNow), "2026-12-01T12:00:00Z");
  EXPECT_EQ(parse_instant("2026-12-01T12:00:00.1234567Z"), kNow + Duration(123'456));
  EXPECT_FALSE(parse_instant("2026-12-01 12:00"));
  EXPECT_FALSE(parse_instant("2026-12-01T12:00:00"));
  EXPECT_FALSE(parse_instant("2026-12-01T12:00:00.Z"));
  EXPECT_FALSE(parse_instant("now"));
}

}  // namespace
}  // namespace waypost::routing
