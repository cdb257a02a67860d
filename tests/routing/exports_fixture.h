// Exports in one line, and their problems as text.
#pragma once

#include "waypost/routing/exports.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace waypost::routing {

inline std::string sample(const std::string& name) {
  const std::string path = std::string(WAYPOST_SOURCE_DIR) + "/tests/data/" + name;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string lines_of(const std::vector<Problem>& problems) {
  std::string out;
  for (const auto& problem : problems) out += problem.to_string() + "\n";
  return out;
}

inline bool any_error(const std::vector<Problem>& problems) {
  for (const auto& problem : problems)
    if (problem.error) return true;
  return false;
}

inline std::string utf16(std::string_view ascii, bool little, bool bom = true) {
  std::string out;
  if (bom) out += little ? "\xFF\xFE" : "\xFE\xFF";
  for (const char c : ascii) {
    if (little) out += c;
    out += '\0';
    if (!little) out += c;
  }
  return out;
}

}  // namespace waypost::routing
