#include "waypost/base/printable_output.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>
#include <streambuf>

namespace waypost {
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

/// Takes so many octets, and so many more until it is flushed.
class SmallDisk final : public std::streambuf {
 public:
  explicit SmallDisk(std::streamsize room) : room_(room) {}

 protected:
  std::streamsize xsputn(const char*, std::streamsize size) override {
    kept_ += size;
    return size;
  }
  int_type overflow(int_type c) override {
    ++kept_;
    return c;
  }
  int sync() override {
    if (kept_ <= room_) return 0;
    errno = ENOSPC;
    return -1;
  }

 private:
  std::streamsize room_, kept_ = 0;
};

TEST(PrintableOutput, KeepsTheReasonOfTheFirstWriteThatFailed) {
  SmallDisk disk(3);
  std::ostream out(&disk);
  PrintableOutput filter(out);
  EXPECT_FALSE(filter.used());
  out << "abc" << std::flush;
  EXPECT_TRUE(filter.used());
  EXPECT_EQ(filter.finish(), 0);
  out << "d";
  EXPECT_EQ(filter.finish(), ENOSPC) << "told by the last flush";
  errno = 0;
  out << "e" << std::flush;
  EXPECT_EQ(filter.finish(), ENOSPC) << "and not forgotten";
}

TEST(PrintableOutput, WhatDidNotComeOutEndsWith74) {
  const auto ended = [](std::streamsize room, const char* text, DescriptorsAtStart start,
                        int code) {
    SmallDisk disk(room);
    std::ostream out(&disk);
    PrintableOutput filter(out);
    out << text;
    return exit_code_after(filter, start, "waypost", code);
  };
  EXPECT_EQ(ended(9, "text", {}, 0), 0);
  EXPECT_EQ(ended(9, "text", {}, 69), 69);
  EXPECT_EQ(ended(1, "text", {}, 0), 74);
  EXPECT_EQ(ended(1, "text", {}, 1), 74);
  EXPECT_EQ(ended(9, "text", {.output_was_open = false}, 0), 74);
  EXPECT_EQ(ended(9, "", {.output_was_open = false}, 0), 0) << "who prints nothing needs none";
}

}  // namespace
}  // namespace waypost
