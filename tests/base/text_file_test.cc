#include "waypost/base/text_file.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace waypost {
namespace {

class TextFile : public testing::Test {
 protected:
  std::string write(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    return path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_ = testing::TempDir() + "waypost-text-" + std::to_string(::getpid());
};

TEST_F(TextFile, AByteOrderMarkIsNoText) {
  EXPECT_EQ(read_text_file(write("\xEF\xBB\xBF# users\r\nx\r\n")), "# users\r\nx\r\n");
  EXPECT_EQ(read_text_file(write("")), "");
  EXPECT_EQ(first_line_of(write("\xEF\xBB\xBFsecret 1!\r\nmore\r\n")), "secret 1!");
  EXPECT_EQ(first_line_of(write("secret")), "secret");
}

TEST_F(TextFile, WhatCanNotBeReadAsTextIsNamed) {
  for (const char* utf16 : {"\xFF\xFEx", "\xFE\xFFx"}) {
    const auto text = read_text_file(write(utf16));
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().kind, ErrorKind::invalid);
    EXPECT_NE(text.error().message.find(path_ + ": is UTF-16"), std::string::npos);
  }
  for (const char* empty : {"", "\r\nsecret", "\xEF\xBB\xBF\n"}) {
    const auto line = first_line_of(write(empty));
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().kind, ErrorKind::invalid);
    EXPECT_NE(line.error().message.find(path_ + ":1: "), std::string::npos);
  }
  const auto missing = read_text_file("/nowhere/x");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::io);
  EXPECT_NE(missing.error().message.find("/nowhere/x: "), std::string::npos);
  EXPECT_EQ(read_text_file("/tmp").error().kind, ErrorKind::io);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0) << "a pipe: nobody writes, and it must not wait";
  EXPECT_EQ(read_text_file(path_).error().kind, ErrorKind::io);
}

}  // namespace
}  // namespace waypost
