// The one reader of UTF-8 against RFC 3629's grammar, over every sequence of up to two octets and
// the edges of the longer ones.
#include "waypost/base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace waypost {
namespace {

/// As Unicode table 3-7 writes it: (first, second) ranges, and how many follow.
std::size_t by_the_table(std::string_view text) {
  struct Row {
    unsigned first_low, first_high, second_low, second_high;
    std::size_t octets;
  };
  static constexpr Row rows[] = {
      {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (const auto& row : rows) {
    if (at(0) < row.first_low || at(0) > row.first_high || text.size() < row.octets) continue;
    if (row.octets > 1 && (at(1) < row.second_low || at(1) > row.second_high)) continue;
    bool tail = true;
    for (std::size_t i = 2; i < row.octets; ++i) tail = tail && at(i) >= 0x80 && at(i) <= 0xBF;
    if (tail) return row.octets;
  }
  return 0;
}

TEST(Utf8, LengthsAreThoseOfTheTable) {
  EXPECT_EQ(utf8_length(""), 0u);
  for (unsigned a = 0; a < 256; ++a)
    for (unsigned b = 0; b < 256; ++b)
      for (const char* tail : {"", "\x80", "\x80\x80", "\xBF\xBF", "\x7F\x80", "\x80\xC0", "aa"}) {
        const std::string text = {static_cast<char>(a), static_cast<char>(b)};
        const std::string whole = text + tail;
        ASSERT_EQ(utf8_length(whole), by_the_table(whole)) << a << " " << b;
      }
}

TEST(Utf8, CodesAreRead) {
  const std::vector<std::pair<std::string, std::uint32_t>> known = {{"a", 'a'},
                                                                    {"\xC3\xA4", 0xE4},
                                                                    {"\xE2\x82\xAC", 0x20AC},
                                                                    {"\xEF\xBB\xBF", 0xFEFF},
                                                                    {"\xF0\x9F\x93\xA7", 0x1F4E7},
                                                                    {"\xF4\x8F\xBF\xBF", 0x10FFFF}};
  for (const auto& [text, code] : known) {
    const auto read = utf8_front(text + "rest");
    EXPECT_EQ(read.code, code);
    EXPECT_EQ(read.octets, text.size());
  }
}

}  // namespace
}  // namespace waypost
