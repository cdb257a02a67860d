#include "load/journal.h"

#include "load/files.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace waypost::load {
namespace {

TEST(Journal, HoldsEveryLineOfEveryThread) {
  const Folder folder;
  {
    auto journal = JournalWriter::open(folder.path("log"), "head");
    ASSERT_TRUE(journal) << journal.error().message;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&journal] {
        for (int i = 0; i < 10'000; ++i) (*journal)->write("0123456789012345678901234567890123\n");
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_TRUE((*journal)->health());
  }
  const std::string text = folder.read("log");
  EXPECT_EQ(text.size(), 5u + 40'000u * 35u);
  EXPECT_TRUE(text.starts_with("head\n0123"));
}

TEST(Journal, IsInTheFileAfterFlush) {
  const Folder folder;
  auto journal = JournalWriter::open(folder.path("log"), "head");
  ASSERT_TRUE(journal);
  (*journal)->write("line\n");
  (*journal)->flush();
  EXPECT_EQ(folder.read("log"), "head\nline\n");
}

TEST(Journal, SaysWhenItCanNotBeWritten) {
  const auto missing = JournalWriter::open("/nonexistent/log", "head");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/nonexistent/log"), std::string::npos);
  EXPECT_FALSE(JournalWriter::open("/dev/full", "head"));
}

TEST(Journal, FieldsCanNotBreakTheLine) {
  std::string line = "M";
  add_field(line, std::string_view("a\tb\nc"));
  add_field(line, std::uint64_t{42});
  EXPECT_EQ(line, "M\ta?b?c\t42");
}

}  // namespace
}  // namespace waypost::load
