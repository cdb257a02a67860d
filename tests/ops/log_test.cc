#include "waypost/ops/log.h"

#include "file_limit.h"
#include "stalled_stderr.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

namespace waypost::ops {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void write_to(const LogOptions& options) {
  auto file = open_log(options);
  ASSERT_TRUE(file) << file.error().message;
  use_log(options, std::move(*file));
}

std::string logged(LogFormat format, spdlog::level::level_enum level) {
  const auto path =
      std::filesystem::temp_directory_path() / ("waypost-log-" + std::to_string(::getpid()));
  write_to({format, level, LogTarget::file, path.string()});
  log().info("next hop {}: \"quoted\"", "workmail");
  log().warn("second");
  EXPECT_TRUE(flush_log(seconds(20)));
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  write_to({});
  std::filesystem::remove(path);
  return text;
}

TEST(Log, JsonLinesAreJson) {
  const std::string text = logged(LogFormat::json, spdlog::level::info);
  const auto first = boost::json::parse(text.substr(0, text.find('\n')));
  EXPECT_EQ(first.at("message").as_string(), "next hop workmail: \"quoted\"");
  EXPECT_EQ(first.at("level").as_string(), "info");
}

TEST(Log, WhatTurnsTextAroundIsShownAsItsNumber) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("waypost-bidi-" + std::to_string(::getpid()) + ".log");
  write_to({LogFormat::text, spdlog::level::info, LogTarget::file, path.string()});
  log().warn("next hop: 554 n\xE2\x80\xAE\xE2\x80\xA8\xE2\x81\xA6 \x1B[31m j\xC3\xBC");
  EXPECT_TRUE(flush_log(seconds(20)));
  write_to({});
  std::ifstream in(path);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  std::filesystem::remove(path);
  EXPECT_NE(text.find("554 n\\u202e\\u2028\\u2066 \\u001b[31m j\xC3\xBC\n"), std::string::npos)
      << text;
}

TEST(Log, TheLevelIsRespected) {
  const std::string text = logged(LogFormat::text, spdlog::level::warn);
  EXPECT_EQ(text.find("workmail"), std::string::npos);
  EXPECT_NE(text.find("warning second"), std::string::npos);
}

TEST(Log, AReplacedFileIsClosed) {
  const auto open_files = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = open_files();
  for (int i = 0; i < 20; ++i) logged(LogFormat::text, spdlog::level::info);
  EXPECT_LE(open_files(), before + 2);  // the last one may be about to be closed
}

TEST(Log, OtherThreadsWriteWhileItIsReplaced) {
  const auto path =
      std::filesystem::temp_directory_path() / ("waypost-log-" + std::to_string(::getpid()));
  std::filesystem::remove(path);
  constexpr int kLines = 2000;
  write_to({LogFormat::text, spdlog::level::info, LogTarget::file, path.string()});
  std::thread writer([] {
    for (int i = 0; i < kLines; ++i) log().info("line {}", i);
  });
  for (int i = 0; i < 20; ++i)
    write_to({LogFormat::text, spdlog::level::info, LogTarget::file, path.string()});
  writer.join();
  EXPECT_TRUE(flush_log(seconds(20)));
  write_to({});
  std::ifstream in(path);
  const auto lines = std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  std::filesystem::remove(path);
  EXPECT_EQ(lines, kLines);
}

TEST(Log, NobodyWaitsForAReaderWhoStallsAndWhatIsDroppedIsCounted) {
  write_to({});
  ASSERT_TRUE(flush_log(seconds(20)));
  const auto before = log_lines_dropped();
  std::string read;
  {
    StalledStderr stalled;
    const std::string line(1000, 'x');
    for (int i = 0; i < 3000; ++i) log().info("{} {}", i, line);  // the pipe holds 64 KiB, we 1 MiB
    EXPECT_FALSE(flush_log(milliseconds(50)));
    EXPECT_GT(log_lines_dropped(), before + 1000);
    while (!flush_log(milliseconds(1))) read += stalled.read_some();
    log().info("once more");
    const auto has_all = [&] {
      read += stalled.read_some();
      return read.find("once more") != std::string::npos &&
             read.find("lines were dropped") != std::string::npos;
    };
    for (int i = 0; i < 2000 && !has_all(); ++i) flush_log(milliseconds(10));
  }
  EXPECT_NE(read.find(" info 0 xxx"), std::string::npos);
  EXPECT_NE(read.find(std::to_string(log_lines_dropped() - before) + " lines were dropped"),
            std::string::npos)
      << read.substr(read.size() - std::min<std::size_t>(read.size(), 2000));
  EXPECT_NE(read.find("once more"), std::string::npos);
}

TEST(Log, AReloadLeavesAPlaceThatStalls) {
  write_to({});
  StalledStderr stalled;
  for (int i = 0; i < 200; ++i) log().info("{}", std::string(1000, 'x'));
  EXPECT_FALSE(flush_log(milliseconds(50)));
  EXPECT_NE(logged(LogFormat::text, spdlog::level::info).find("warning second"), std::string::npos);
}

TEST(Log, ANamedPipeIsRefusedWithoutWaiting) {
  const auto path =
      std::filesystem::temp_directory_path() / ("waypost-pipe-" + std::to_string(::getpid()));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto file =
      open_log({LogFormat::text, spdlog::level::info, LogTarget::file, path.string()});
  std::filesystem::remove(path);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("log.file: "), std::string::npos);
  EXPECT_NE(file.error().message.find("is a named pipe"), std::string::npos);
}

TEST(Log, ALineThatAFullDiskHasCutIsNotContinuedByTheNextOne) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("waypost-cut-" + std::to_string(::getpid()) + ".log");
  std::string elsewhere;
  {
    StalledStderr stalled;
    write_to({LogFormat::json, spdlog::level::info, LogTarget::file, path.string()});
    log().info("before");
    EXPECT_TRUE(flush_log(seconds(20)));
    {
      const FileLimit full(std::filesystem::file_size(path) + 30);
      log().info("does not fit");
      log().info("nor this");
      EXPECT_TRUE(flush_log(seconds(20)));
    }
    log().info("after");
    log().info("and on");
    EXPECT_TRUE(flush_log(seconds(20)));
    elsewhere = stalled.read_some();
    write_to({});
  }
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::filesystem::remove(path);
  ASSERT_EQ(lines.size(), 4u) << "one, the half of one, two";
  for (const std::size_t whole : {0, 2, 3}) EXPECT_NO_THROW(boost::json::parse(lines[whole]));
  EXPECT_NE(lines[2].find("\"after\""), std::string::npos) << lines[2];
  EXPECT_NE(elsewhere.find("can't be written: File too large"), std::string::npos) << elsewhere;
  for (const char* told : {"\n{\"time\"", "\"does not fit\"", "\"nor this\""})
    EXPECT_NE(elsewhere.find(told), std::string::npos) << told << " is not whole in " << elsewhere;
}

TEST(Log, WhatItsFileCanNotTakeGoesToStandardError) {
  std::string read;
  {
    StalledStderr stalled;
    write_to({LogFormat::text, spdlog::level::info, LogTarget::file, "/dev/full"});
    log().info("important");
    EXPECT_TRUE(flush_log(seconds(20)));
    read = stalled.read_some();
    write_to({});
  }
  EXPECT_NE(read.find("/dev/full can't be written"), std::string::npos);
  EXPECT_NE(read.find(" info important"), std::string::npos);
}

}  // namespace
}  // namespace waypost::ops
