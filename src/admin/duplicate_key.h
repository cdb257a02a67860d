// The key that stands twice in one JSON object: a parser keeps the last and tells nobody.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace waypost::admin {

/// nullopt: none does, or `text` is no JSON.
std::optional<std::string> duplicate_key(std::string_view text);

}  // namespace waypost::admin
