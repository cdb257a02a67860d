// A number beside its noun, as people write it: "1 listener", "2 listeners".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost {

/// The word alone; `many` is empty when it is `one` with an s.
inline std::string noun(std::uint64_t count, std::string_view one, std::string_view many = {}) {
  if (count == 1) return std::string(one);
  return many.empty() ? std::string(one) + "s" : std::string(many);
}

/// "1 person", "2 people".
inline std::string counted(std::uint64_t count, std::string_view one, std::string_view many = {}) {
  return std::to_string(count) + " " + noun(count, one, many);
}

}  // namespace waypost
