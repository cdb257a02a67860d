#include "waypost/ops/log.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

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

}  // namespace
}  // namespace waypost::ops
