#include "smtp/dialog_script.h"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace waypost::smtp::testing {
namespace {

std::string numbered(std::string text, int n) {
  for (auto at = text.find("{n}"); at != std::string::npos; at = text.find("{n}")) {
    text.replace(at, 3, std::to_string(n));
  }
  return text;
}

bool is_outcome(const std::string& text) {
  return text.starts_with("Delivered:") || text.starts_with("Content:") ||
         text.starts_with("Report:");
}

void take_setting(Script& script, const std::string& text) {
  std::istringstream words(text);
  std::string word;
  words >> word;
  if (word == "@hop" || word == "@hop-hide") script.has_hop = true;
  if (word == "@only") words >> script.only;
  if (word == "@listener") {
    while (words >> word) script.listener.push_back(word);
  }
}

}  // namespace

Script read_script(const std::string& path) {
  std::ifstream file(path);
  Script script;
  std::vector<ScriptLine> repeated;
  int times = 0;
  int number = 0;
  for (std::string text; std::getline(file, text);) {
    ++number;
    if (text.empty() || text.front() == '#') continue;
    if (text.front() == '@') {
      take_setting(script, text);
    } else if (is_outcome(text)) {
      script.outcome.push_back({number, text});
    } else if (text.starts_with("<REPEAT ")) {
      times = std::stoi(text.substr(8));
    } else if (text == "<END>") {
      for (int n = 1; n <= times; ++n) {
        for (const auto& line : repeated) {
          script.lines.push_back({line.number, numbered(line.text, n)});
        }
      }
      times = 0;
      repeated.clear();
    } else {
      (times > 0 ? repeated : script.lines).push_back({number, text});
    }
  }
  return script;
}

std::string generated_content(std::size_t octets) {
  std::string text =
      "From: ann@ext.example\r\nTo: bob@corp.example\r\nSubject: " + std::to_string(octets) +
      " octets\r\n\r\n";
  for (int i = 0; text.size() < octets; ++i) {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%07d ", i);
    if (i % 10 == 9) digits[0] = '.';
    text += digits;
    for (int j = 0; j < 62; ++j) text += static_cast<char>(33 + (7 * i + 11 * j) % 94);
    text += "\r\n";
  }
  text.resize(octets - 2);
  if (text.back() == '\r') text.back() = 'x';
  return text + "\r\n";
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r':
        out += '\r';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case '0':
        out += '\0';
        break;
      case 'x':
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
        break;
      default:
        out += text[i];
    }
  }
  return out;
}

std::string dot_stuffed(std::string_view content) {
  std::string out;
  bool at_start = true;
  for (const char c : content) {
    if (at_start && c == '.') out += '.';
    out += c;
    at_start = c == '\n';
  }
  return out;
}

}  // namespace waypost::smtp::testing
