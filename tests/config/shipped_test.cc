// The files that we ship load, hold every key, and show the defaults that the code has.
#include "config/config_fixture.h"

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

namespace waypost::config {
namespace {

/// "#key: value" is a default that is commented out; "# words" are words.
std::string with_defaults_written_out(const std::string& yaml) {
  static const std::regex kDefault("^(\\s*)#([a-z0-9_-]+:.*)$");
  std::istringstream in(yaml);
  std::string line, out;
  while (std::getline(in, line)) out += std::regex_replace(line, kDefault, "$1$2") + "\n";
  return out;
}

/// Places are "next_hops.workmail.mx", descriptions "next_hops.NAME.mx".
std::string described_path(std::string path) {
  path = std::regex_replace(path, std::regex("\\[[0-9]+\\]"), "[]");
  path = std::regex_replace(path, std::regex("^directories\\.ad"), "directories.NAME");
  path = std::regex_replace(path, std::regex("^waves\\.wave-3"), "waves.NAME");
  return std::regex_replace(path, std::regex("^(queue\\.)?next_hops\\.(workmail|exchange)"),
                            "$1next_hops.NAME");
}

Loaded shipped(const std::string& name, bool defaults) {
  const auto text = read_whole(source_file("config/" + name));
  EXPECT_FALSE(text.empty());
  return load_text(defaults ? with_defaults_written_out(text) : text, name, {.check_files = false});
}

TEST(ShippedFiles, LoadWithoutAComplaint) {
  EXPECT_EQ(listed(shipped("minimal.yaml", false).diagnostics), "");
  EXPECT_EQ(listed(shipped("waypost.yaml", false).diagnostics), "");
  EXPECT_EQ(listed(shipped("waypost.yaml", true).diagnostics), "");
}

TEST(ShippedFiles, LoadWithTheFilesThatTheyName) {
  for (const std::string name : {"minimal.yaml", "waypost.yaml"}) {
    const EnteredFolder folder;
    auto text = read_whole(source_file("config/" + name));
    text = std::regex_replace(text, std::regex("/etc/waypost/"), folder.path().string() + "/");
    std::filesystem::create_directory("tls");
    std::filesystem::copy_file(source_file("tests/config/wrong/gw.pem"), "tls/fullchain.pem");
    std::filesystem::copy_file(source_file("tests/config/wrong/gw.key"), "tls/privkey.pem");
    std::filesystem::permissions("tls/privkey.pem", std::filesystem::perms(0600));
    std::filesystem::copy_file(source_file("config/table.example.csv"), "table.csv");
    std::ofstream(name) << text;
    const auto loaded = load_file(name);
    EXPECT_EQ(listed(loaded.diagnostics), "");
    std::vector<routing::Problem> problems;
    const auto router = routing::Router::load(loaded.config.routing, problems);
    ASSERT_TRUE(router) << router.error().message;
  }
}

TEST(ShippedFiles, HoldEveryKey) {
  const auto loaded = shipped("waypost.yaml", true);
  std::set<std::string> there;
  for (const auto& [path, place] : loaded.config.places) there.insert(described_path(path));
  for (const auto& key : known_keys())
    EXPECT_TRUE(there.contains(key.path)) << key.path << " is not in waypost.yaml";
}

/// The value text of "key: value" in the line of each place, without the comment behind it.
std::string value_in_line(const std::vector<std::string>& lines, Place place) {
  if (place.line == 0 || place.line > lines.size()) return "(no line)";
  auto text = lines[place.line - 1].substr(place.column - 1);
  text = text.substr(text.find(':') + 1);
  if (const auto comment = text.find(" #"); comment != std::string::npos) text.resize(comment);
  text = std::regex_replace(text, std::regex("^\\s+|\\s+$"), "");
  return text == "\"\"" ? "" : text;
}

TEST(ShippedFiles, CommentedOutValuesAreTheDefaults) {
  const auto raw = read_whole(source_file("config/waypost.yaml"));
  const auto whole = with_defaults_written_out(raw);
  std::istringstream before(raw), after(whole);
  std::vector<std::string> raw_lines, lines;
  for (std::string line; std::getline(before, line);) raw_lines.push_back(line);
  for (std::string line; std::getline(after, line);) lines.push_back(line);
  const auto loaded = load_text(whole, "waypost.yaml", {.check_files = false});
  std::map<std::string, KeyDescription> known;
  for (auto& key : known_keys()) known[key.path] = key;
  // These have no default, and a directory is not one without them.
  const std::set<std::string> examples = {"directories.NAME.servers", "directories.NAME.bind_dn",
                                          "directories.NAME.password_file",
                                          "directories.NAME.base"};
  std::size_t compared = 0;
  for (const auto& [path, place] : loaded.config.places) {
    const auto key = known.find(described_path(path));
    if (key == known.end() || examples.contains(key->first) || place.line == 0 ||
        raw_lines[place.line - 1] == lines[place.line - 1])
      continue;
    const auto written = value_in_line(lines, place);
    if (key->second.type.starts_with("section of")) {
      // Empty, or with an example below, whose values are compared.
      EXPECT_TRUE(written == "{}" || written.empty()) << path << ": " << written;
    } else {
      EXPECT_EQ(written, key->second.default_value) << path << " in line " << place.line;
    }
    ++compared;
  }
  EXPECT_GT(compared, 75u);
}

TEST(Reference, EveryKeyIsDescribedOnce) {
  std::set<std::string> seen;
  for (const auto& key : known_keys()) {
    EXPECT_TRUE(seen.insert(key.path).second) << key.path;
    EXPECT_FALSE(key.meaning.empty()) << key.path;
    EXPECT_FALSE(key.type.empty()) << key.path;
  }
  EXPECT_GT(seen.size(), 100u);
}

// After a wanted change: WAYPOST_WRITE_GOLDEN=1 config_test --gtest_filter='Reference*'.
TEST(Reference, PageIsUpToDate) {
  const auto path = source_file("docs/configuration.md");
  const std::string begin = "<!-- keys: begin -->\n", end = "<!-- keys: end -->\n";
  auto page = read_whole(path);
  auto first = page.find(begin), last = page.find(end);
  ASSERT_NE(first, std::string::npos);
  ASSERT_NE(last, std::string::npos);
  if (std::getenv("WAYPOST_WRITE_GOLDEN") != nullptr) {
    page = page.substr(0, first + begin.size()) + reference_markdown() + page.substr(last);
    std::ofstream(path, std::ios::binary) << page;
    last = page.find(end);
  }
  EXPECT_EQ(page.substr(first + begin.size(), last - first - begin.size()), reference_markdown());
}

}  // namespace
}  // namespace waypost::config
