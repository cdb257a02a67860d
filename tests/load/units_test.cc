#include "load/units.h"

#include <gtest/gtest.h>

namespace waypost::load {
namespace {

using namespace std::chrono_literals;

TEST(Units, Sizes) {
  EXPECT_EQ(parse_size("10240"), 10'240u);
  EXPECT_EQ(parse_size("10KiB"), 10'240u);
  EXPECT_EQ(parse_size("10k"), 10'000u);
  EXPECT_EQ(parse_size("1.5 MiB"), 1'572'864u);
  for (const char* text : {"", "x", "-1", "10XB", "1e99", "nan", "inf"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("250ms"), Duration(250ms));
  EXPECT_EQ(parse_duration("30"), Duration(30s));
  EXPECT_EQ(parse_duration("1.5m"), Duration(90s));
  EXPECT_EQ(parse_duration("2h"), Duration(2h));
  EXPECT_FALSE(parse_duration("5 parsecs"));
}

TEST(Units, AreShownAsPeopleWriteThem) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1'234'567), "1,234,567");
  EXPECT_EQ(show_us(999), "999 us");
  EXPECT_EQ(show_us(1'210), "1.21 ms");
  EXPECT_EQ(show_us(2'500'000), "2.50 s");
  EXPECT_EQ(show_octets(10'240), "10.0 KiB");
  EXPECT_EQ(show_seconds(200), "3 m 20 s");
}

TEST(Random, IsRepeatableAndEven) {
  Random one(5), same(5);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = one.unit();
    EXPECT_EQ(value, same.unit());
    EXPECT_GE(value, 0);
    EXPECT_LT(value, 1);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

}  // namespace
}  // namespace waypost::load
