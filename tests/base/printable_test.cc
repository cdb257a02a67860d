#include "waypost/base/printable.h"

#include <gtest/gtest.h>

namespace waypost {
namespace {

TEST(Printable, OrdinaryTextIsUntouched) {
  for (const std::string_view text :
       {"", "452 4.2.2 full", "f\xC3\xBCr \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x93\xA7", "a\tb\r\nc",
        "\xE2\x80\x93 dash, zero-width joiner \xE2\x80\x8D"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, WhatHidesOrTurnsIsEscaped) {
  EXPECT_EQ(printable("a\xE2\x80\xAE"
                      "b"),
            "a\\u202eb");
  EXPECT_EQ(printable("\xE2\x80\xA8\xE2\x80\xA9"), "\\u2028\\u2029");
  EXPECT_EQ(printable("\xE2\x81\xA6x\xE2\x81\xA9"), "\\u2066x\\u2069");
  EXPECT_EQ(printable("\xEF\xBB\xBF\xD8\x9C\xC2\x9B"), "\\ufeff\\u061c\\u009b");
  EXPECT_EQ(printable(std::string_view("\x1B[31m\0\x7F", 7)), "\\u001b[31m\\u0000\\u007f");
}

TEST(Printable, WhatIsNoUtf8IsEscaped) {
  EXPECT_EQ(printable("a\xFF"
                      "b"),
            "a\\ufffdb");
  EXPECT_EQ(printable("\xE2\x80"), "\\ufffd\\ufffd");             // cut short
  EXPECT_EQ(printable("\xC0\xAF"), "\\ufffd\\ufffd");             // overlong
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\ufffd\\ufffd\\ufffd");  // surrogate
}

TEST(Printable, TwiceIsOnce) {
  const std::string once = printable("\xE2\x80\xAE \x1B \xFF");
  EXPECT_EQ(printable(once), once);
}

}  // namespace
}  // namespace waypost
