#include "config/scalars.h"

#include <gtest/gtest.h>

namespace waypost::config {
namespace {

using namespace std::chrono_literals;

TEST(Durations, HaveUnits) {
  EXPECT_EQ(parse_duration("30s").value(), 30s);
  EXPECT_EQ(parse_duration("5m").value(), 5min);
  EXPECT_EQ(parse_duration("2 days").value(), 48h);
  EXPECT_EQ(parse_duration("1h 30m").value(), 90min);
  EXPECT_EQ(parse_duration("1h30m").value(), 90min);
  EXPECT_EQ(parse_duration("1.5 hours").value(), 90min);
  EXPECT_EQ(parse_duration("250ms").value(), 250ms);
  EXPECT_EQ(parse_duration("100us").value(), 100us);
  EXPECT_EQ(parse_duration("1 Week").value(), 168h);
  EXPECT_EQ(parse_duration("0").value(), 0s);
}

TEST(Durations, RefuseWhatHasNone) {
  for (const std::string_view bad :
       {"", "30", "s", "-5s", "5 parsecs", "1..5s", "5s!", "99999999999 weeks", "5m x",
        "999999999999999999999999s", "1e9s", "nan s"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Durations, RoundTripThroughText) {
  for (const Duration duration :
       {Duration(0), Duration(1), Duration(1500), Duration(50ms), Duration(30s), Duration(90s),
        Duration(5min), Duration(90min), Duration(24h), Duration(48h), Duration(49h)})
    EXPECT_EQ(parse_duration(format_duration(duration)).value(), duration)
        << format_duration(duration);
  EXPECT_EQ(format_duration(48h), "2 days");
  EXPECT_EQ(format_duration(24h), "24h");
  EXPECT_EQ(format_duration(90s), "90s");
}

TEST(Sizes, TellMegabytesFromMebibytes) {
  EXPECT_EQ(parse_size("40 MB").value(), 40'000'000u);
  EXPECT_EQ(parse_size("40 MiB").value(), 41'943'040u);
  EXPECT_EQ(parse_size("40mib").value(), 41'943'040u);
  EXPECT_EQ(parse_size("1.5 KiB").value(), 1536u);
  EXPECT_EQ(parse_size("2 GB").value(), 2'000'000'000u);
  EXPECT_EQ(parse_size("1 TiB").value(), 1ull << 40);
  EXPECT_EQ(parse_size("512 B").value(), 512u);
  EXPECT_EQ(parse_size("1024").value(), 1024u);
  EXPECT_EQ(parse_size("0").value(), 0u);
}

TEST(Sizes, RefuseAmbiguousAndImpossibleOnes) {
  for (const std::string_view bad :
       {"", "40M", "MB", "-1", "40 MB MB", "1e3", "99999999999 GiB", "12 apples"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Sizes, RoundTripThroughText) {
  for (const std::uint64_t size : {0ull, 1ull, 1000ull, 1024ull, 1536ull, 40ull << 20, 3ull << 30})
    EXPECT_EQ(parse_size(format_size(size)).value(), size) << format_size(size);
}

TEST(Numbers, AreWholeAndMayBeGrouped) {
  EXPECT_EQ(parse_number("20_000").value(), 20'000u);
  EXPECT_EQ(parse_number("0").value(), 0u);
  for (const std::string_view bad : {"", "-1", "1.5", "0x10", "1 000", "99999999999999999999", "_"})
    EXPECT_FALSE(parse_number(bad)) << bad;
}

TEST(Shares, AreFractionsOrPercentages) {
  EXPECT_DOUBLE_EQ(parse_share("0.2").value(), 0.2);
  EXPECT_DOUBLE_EQ(parse_share("20%").value(), 0.2);
  EXPECT_DOUBLE_EQ(parse_share("0").value(), 0);
  for (const std::string_view bad : {"", "x", "-0.1", "20 percent", "1,5"})
    EXPECT_FALSE(parse_share(bad)) << bad;
}

TEST(Booleans, AreWords) {
  EXPECT_TRUE(parse_boolean("true").value());
  EXPECT_TRUE(parse_boolean("Yes").value());
  EXPECT_FALSE(parse_boolean("off").value());
  for (const std::string_view bad : {"", "1", "maybe", "y"})
    EXPECT_FALSE(parse_boolean(bad)) << bad;
}

std::string host_port(std::string_view text) {
  const auto parsed = parse_host_port(text, 25);
  return parsed ? parsed->host + " " + std::to_string(parsed->port) : "error";
}

TEST(HostPort, TakesNamesAndAddresses) {
  EXPECT_EQ(host_port("mail.example"), "mail.example 25");
  EXPECT_EQ(host_port("mail.example:2525"), "mail.example 2525");
  EXPECT_EQ(host_port("192.0.2.1:465"), "192.0.2.1 465");
  EXPECT_EQ(host_port("[2001:db8::1]:26"), "2001:db8::1 26");
  EXPECT_EQ(host_port("[2001:db8::1]"), "2001:db8::1 25");
  EXPECT_EQ(host_port("2001:db8::1"), "2001:db8::1 25");
}

TEST(HostPort, RefusesTheRest) {
  for (const std::string_view bad :
       {"", ":25", "mail:", "mail:0", "mail:65536", "mail:x", "[2001:db8::1", "[x]:25", "a:b:c",
        "[::1]25", "a b", "bob@mail.example", "http://mail.example"})
    EXPECT_EQ(host_port(bad), "error") << bad;
}

}  // namespace
}  // namespace waypost::config
