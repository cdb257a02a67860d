// A YAML file as a plain tree with places: the only file that sees yaml-cpp is yaml_tree.cc.
//
// Private to config. Anchors and merge keys are expanded, duplicate keys reported; the tree has a
// bounded number of nodes whatever the aliases in the file.
#pragma once

#include "waypost/config/config.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::config {

struct Member;

struct Value {
  enum class Kind : std::uint8_t { null, scalar, list, map } kind = Kind::null;
  Place place;
  std::string text;             // scalar
  std::vector<Value> items;     // list
  std::vector<Member> members;  // map, in the order of the file
  /// "a list", for complaints.
  std::string_view kind_name() const;
};

struct Member {
  std::string key;
  Place place;
  Value value;
};

/// nullopt: it is not YAML; then there is an error among the diagnostics.
std::optional<Value> read_yaml(std::string_view yaml, const std::string& file,
                               std::vector<Diagnostic>& diagnostics);

}  // namespace waypost::config
