// One section of the file being read: the schema is written once, as calls on a Section.
//
// Private to config. The same calls read a file, complain about what they don't like, and describe
// themselves (known_keys): a key that is read is documented, and its default is the value that the
// Options hold before. finish() reports keys that nobody asked for.
#pragma once

#include "waypost/config/config.h"

#include "config/yaml_tree.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waypost::config {

/// One reading of one file.
struct Reading {
  std::string file;
  std::string folder;  // relative paths start here; with '/' at the end, or empty
  bool check_files = true, check_table_files = true;
  std::vector<std::string> files;  // that the configuration names, itself included, to be read
  std::vector<Diagnostic> diagnostics;
  std::map<std::string, Place> places;
  std::vector<KeyDescription>* described = nullptr;  // set: describe, don't read

  void error(Place place, std::string message);
  void warning(Place place, std::string message);
};

struct Key {
  std::string_view name;
  std::string_view meaning;
  std::string_view example = {};  // set: the key is required, and this is what to add
};

/// What a file that the configuration names is for: everybody may read it, nobody else may, or it
/// is what the table is read from (so everybody may).
enum class FileUse : std::uint8_t { shared, secret, table };

template <class Number>
struct Bounds {
  Number least = 0;
  Number most = std::numeric_limits<Number>::max();
};

struct TimeBounds {
  Duration least{};
  Duration most = std::chrono::hours(24 * 366);
};

template <class Enum>
using Words = std::span<const std::pair<std::string_view, Enum>>;

class Section {
 public:
  Section(Reading& reading, const Value* value, std::string path, Place place);

  void text(Key key, std::string& out);
  void boolean(Key key, bool& out);
  void duration(Key key, Duration& out, TimeBounds bounds = {});
  void durations(Key key, std::vector<Duration>& out, TimeBounds bounds);
  void size(Key key, std::uint64_t& out, Bounds<std::uint64_t> bounds = {});
  void share(Key key, double& out, double least, double most);
  void texts(Key key, std::string_view type, std::vector<std::string>& out);
  /// A path, made relative to the configuration file.
  void path(Key key, std::string& out);
  /// The same; the word `none` (or nothing) makes it empty.
  void path_or_none(Key key, std::string& out);
  /// A path of a file that must be there and readable.
  void file(Key key, std::string& out, FileUse use);
  /// Files that the table is read from.
  void files(Key key, std::vector<std::string>& out);
  template <class Number>
  void number(Key key, Number& out, Bounds<Number> bounds = {}) {
    std::uint64_t value = out;
    if (number_within(key, value, bounds.least, bounds.most)) out = static_cast<Number>(value);
  }
  template <class Enum>
  void choice(Key key, Enum& out, Words<Enum> words) {
    std::vector<std::string_view> names;
    std::string_view current;
    for (const auto& [word, value] : words) {
      names.push_back(word);
      if (value == out && current.empty()) current = word;
    }
    if (const auto chosen = choose(key, names, current); chosen < words.size())
      out = words[chosen].second;
  }
  /// `read` gets an empty section when the key is absent, so that it can describe itself.
  void section(Key key, const std::function<void(Section&)>& read);
  /// A list of sections. True if the key is there.
  bool sections(Key key, const std::function<void(Section&)>& read);
  /// A map whose keys are names: `read(name, section)`.
  void named_sections(Key key, std::string_view name,
                      const std::function<void(const std::string&, Section&)>& read);
  /// A map of words to words: `read(key, value)`.
  void pairs(Key key, std::string_view type,
             const std::function<void(const std::string&, const std::string&)>& read);

  bool has(std::string_view key) const { return member(key) != nullptr; }
  bool describing() const { return reading_.described != nullptr; }
  Place place() const { return place_; }
  Place place_of(std::string_view key) const;
  Reading& reading() { return reading_; }
  const std::string& path_name() const { return path_; }
  void finish();

 private:
  const Member* member(std::string_view key) const;
  const Member* ask(const Key& key, std::string_view type, std::string default_value);
  const Value* ask_scalar(const Key& key, std::string_view type, std::string default_value);
  const Value* ask_kind(const Key& key, std::string_view type, std::string default_value,
                        Value::Kind kind, std::string_view example);
  bool number_within(const Key& key, std::uint64_t& value, std::uint64_t least, std::uint64_t most);
  std::size_t choose(const Key& key, const std::vector<std::string_view>& words,
                     std::string_view current);
  bool within(const Key& key, Place place, Duration duration, TimeBounds bounds);
  void wrong(const Key& key, const Value& value, std::string_view what);
  std::string resolve(const std::string& path) const;
  void check_file(Place place, const std::string& path, FileUse use, std::string_view what);
  std::string path_of(std::string_view key) const;

  Reading& reading_;
  const Value* value_;  // null when absent or empty
  bool present_;
  std::string path_;
  Place place_;
  std::vector<std::string_view> known_;
};

}  // namespace waypost::config
