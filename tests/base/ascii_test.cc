#include "waypost/base/ascii.h"

#include <gtest/gtest.h>

#include <string>

namespace waypost {
namespace {

TEST(IsAscii, SeesOneOctetAtAnyPlaceOfAnyLength) {
  for (std::size_t length = 0; length < 40; ++length) {
    const std::string plain(length, '\x7F');
    EXPECT_TRUE(is_ascii(plain)) << length;
    for (std::size_t at = 0; at < length; ++at) {
      for (const char wide : {'\x80', '\xC3', '\xFF'}) {
        std::string text = plain;
        text[at] = wide;
        EXPECT_FALSE(is_ascii(text)) << length << " at " << at;
      }
    }
  }
}

}  // namespace
}  // namespace waypost
