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

/// With the values of `config` as defaults.
std::vector<KeyDescription> keys_of(Config config) {
  std::vector<KeyDescription> keys;
  Reading reading;
  reading.check_files = false;
  reading.described = &keys;
  Section root(reading, nullptr, {}, Place{});
  read_config(root, config);
  return keys;
}

/// What a running gateway takes over: these sections, and their keys below.
bool is_reloaded(std::string_view path) {
  constexpr std::string_view kSections[] = {"listeners", "tls",   "admission",   "limits",
                                            "routing",   "waves", "directories", "srs",
                                            "next_hops", "queue", "log",         "tracking"};
  const auto section = path.substr(0, path.find_first_of(".["));
  return std::find(std::begin(kSections), std::end(kSections), section) != std::end(kSections);
}

}  // namespace

std::vector<KeyDescription> known_keys() { return keys_of({}); }

std::vector<std::string> needs_restart(const Config& running, const Config& wanted) {
  const auto before = keys_of(running);
  const auto after = keys_of(wanted);
  std::vector<std::string> changed;
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    if (before[i].default_value != after[i].default_value && !is_reloaded(before[i].path))
      changed.push_back(before[i].path);
  }
  return changed;
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
