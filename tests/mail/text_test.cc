#include "waypost/mail/status.h"
#include "waypost/mail/xtext.h"

#include <gtest/gtest.h>

namespace waypost::mail {
namespace {

TEST(Xtext, DecodesAndEncodes) {
  EXPECT_EQ(decode_xtext("a+2Bb+3dc+20d"), "a+b=c d");
  EXPECT_EQ(encode_xtext("a+b=c d\xC3\xA4"), "a+2Bb+3Dc+20d+C3+A4");
  for (const char* bad : {"+", "+2", "+G0", "a=b", "a b", "+0D+0A", "+7F", "+FF", "\xC3\xA4"})
    EXPECT_FALSE(decode_xtext(bad)) << bad;
}

TEST(Orcpt, KnowsUtf8Addresses) {
  EXPECT_EQ(decode_orcpt("rfc822;b+2Bc@x", false), "rfc822;b+c@x");
  EXPECT_EQ(decode_orcpt("utf-8;j\\x{FC}@x", false), "utf-8;j\xC3\xBC@x");
  EXPECT_EQ(encode_orcpt("utf-8;j\xC3\xBC+@x", false), "utf-8;j\\x{FC}\\x{2B}@x");
  EXPECT_EQ(encode_orcpt("utf-8;j\xC3\xBC@x", true), "utf-8;j\xC3\xBC@x");
  for (const char* bad : {"", "rfc822", ";a", "rfc822;", "a b;c", "utf-8;\\x{D800}",
                          "utf-8;\\x{110000}", "utf-8;\\x{}", "utf-8;\\x{41", "utf-8;\\x{A}"})
    EXPECT_FALSE(decode_orcpt(bad, true)) << bad;
}

TEST(Printable, IsSafeAndBounded) {
  EXPECT_EQ(printable("a\r\nb\x7F\xFF"), "a??b??");
  EXPECT_EQ(printable("ab\xC3\xBC", 3), "ab");
}

TEST(EnhancedStatus, ParsesOnlyAWholeCode) {
  std::string_view text = "5.1.10 gone";
  EXPECT_EQ(EnhancedStatus::parse_prefix(text), status::null_mx);
  EXPECT_EQ(text, "gone");
  for (std::string_view bad : {"", "5", "5.1", "5.1.", "3.1.1", "5.1.1x", "5.1.1000", "5.1.1.1"})
    EXPECT_FALSE(EnhancedStatus::parse_prefix(bad)) << bad;
  EXPECT_EQ(EnhancedStatus{}.to_string(), "");
  EXPECT_EQ(status::null_mx.to_string(), "5.1.10");
}

}  // namespace
}  // namespace waypost::mail
