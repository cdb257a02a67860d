#include "app/printable_output.h"

#include <gtest/gtest.h>

#include <sstream>

namespace waypost::app {
namespace {

TEST(PrintableOutput, EscapesWhateverWayItIsWritten) {
  std::ostringstream out;
  {
    const PrintableOutput filter(out);
    out << "a\xE2\x80\xAE" << 'b' << 7 << std::string("\xC3\xBC\n");
    out << "\xE2" << "\x80" << "\xA8" << std::flush;  // one character in three pieces
    for (const char c : {'\xC3', '\xA9', '\x1B'}) out.put(c);
    out << "\xE2\x80";  // never ends
  }
  EXPECT_EQ(out.str(), "a\\u202eb7\xC3\xBC\n\\u2028\xC3\xA9\\u001b\\ufffd\\ufffd");
}

}  // namespace
}  // namespace waypost::app
