// The reference of all keys, told by the reader itself.
#include "config/schema.h"

namespace waypost::config {
namespace {

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

/// "next_hops.NAME.tls" -> "next_hops.NAME"; top-level keys have none.
std::string section_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? std::string() : path.substr(0, dot);
}

bool is_section(const KeyDescription& key) {
  return key.type == "section" || key.type == "section of sections" ||
         key.type == "list of sections";
}

}  // namespace

std::vector<KeyDescription> known_keys() {
  std::vector<KeyDescription> keys;
  Reading reading;
  reading.check_files = false;
  reading.described = &keys;
  Config defaults;
  Section root(reading, nullptr, {}, Place{});
  read_config(root, defaults);
  return keys;
}

std::string reference_markdown() {
  const auto keys = known_keys();
  std::vector<std::string> sections = {std::string()};
  for (const auto& key : keys) {
    const auto section = section_of(key.path);
    if (std::find(sections.begin(), sections.end(), section) == sections.end())
      sections.push_back(section);
  }
  std::string out;
  for (const auto& section : sections) {
    out += section.empty() ? "### Top level\n" : "### `" + section + "`\n";
    for (const auto& key : keys) {
      auto holder = key.path;
      if (key.type == "list of sections") holder += "[]";
      if (key.type == "section of sections") holder += ".NAME";
      if (!section.empty() && holder == section) out += "\n" + key.meaning + "\n";
    }
    out += "\n| key | type | default | meaning |\n|---|---|---|---|\n";
    for (const auto& key : keys) {
      if (section_of(key.path) != section) continue;
      const auto name = key.path.substr(section.empty() ? 0 : section.size() + 1);
      const auto value = key.required                ? std::string("**required**")
                         : is_section(key)           ? std::string()
                         : key.default_value.empty() ? std::string("empty")
                                                     : "`" + key.default_value + "`";
      out += "| `" + name + "` | " + cell(key.type) + " | " + cell(value) + " | " +
             cell(key.meaning) + " |\n";
    }
    out += "\n";
  }
  return out;
}

}  // namespace waypost::config
