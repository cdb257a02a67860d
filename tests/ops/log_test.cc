#include "waypost/ops/log.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

namespace waypost::ops {
namespace {

std::string logged(LogFormat format, spdlog::level::level_enum level) {
  const auto path =
      std::filesystem::temp_directory_path() / ("waypost-log-" + std::to_string(::getpid()));
  configure_log({format, level, LogTarget::file, path.string()});
  log().info("next hop {}: \"quoted\"", "workmail");
  log().warn("second");
  log().flush();
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  configure_log({});
  std::filesystem::remove(path);
  return text;
}

TEST(Log, JsonLinesAreJson) {
  const std::string text = logged(LogFormat::json, spdlog::level::info);
  const auto first = boost::json::parse(text.substr(0, text.find('\n')));
  EXPECT_EQ(first.at("message").as_string(), "next hop workmail: \"quoted\"");
  EXPECT_EQ(first.at("level").as_string(), "info");
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
  EXPECT_EQ(open_files(), before);
}

TEST(Log, OtherThreadsWriteWhileItIsReplaced) {
  const auto path =
      std::filesystem::temp_directory_path() / ("waypost-log-" + std::to_string(::getpid()));
  std::filesystem::remove(path);
  constexpr int kLines = 2000;
  configure_log({LogFormat::text, spdlog::level::info, LogTarget::file, path.string()});
  std::thread writer([] {
    for (int i = 0; i < kLines; ++i) log().info("line {}", i);
  });
  for (int i = 0; i < 20; ++i)
    configure_log({LogFormat::text, spdlog::level::info, LogTarget::file, path.string()});
  writer.join();
  configure_log({});
  std::ifstream in(path);
  const auto lines = std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  std::filesystem::remove(path);
  EXPECT_EQ(lines, kLines);
}

}  // namespace
}  // namespace waypost::ops
