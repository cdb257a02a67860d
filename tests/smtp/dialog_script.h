// A conversation of tests/dialogs as data: the file's lines, with <REPEAT> unrolled.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::smtp::testing {

struct ScriptLine {
  int number = 0;  // in the file
  std::string text;
};

struct Script {
  std::vector<std::string> listener;  // words of @listener
  bool has_hop = false;
  std::string only;                 // "memory", "daemon" or empty
  std::vector<ScriptLine> lines;    // the conversation
  std::vector<ScriptLine> outcome;  // Delivered, Content
};

Script read_script(const std::string& path);
/// content(N) of tests/dialogs/README.md.
std::string generated_content(std::size_t octets);
/// \r \n \t \0 \\ \xHH.
std::string unescape(std::string_view text);
std::string dot_stuffed(std::string_view content);

}  // namespace waypost::smtp::testing
