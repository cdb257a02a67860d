// UTF-8, read strictly (RFC 3629 section 4): no overlong form, no surrogate, nothing beyond
// U+10FFFF. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace waypost {

struct Utf8Character {
  std::uint32_t code = 0;
  std::size_t octets = 0;  // 0: there is no well-formed character
};

/// The character at the front.
Utf8Character utf8_front(std::string_view text);

/// Its length; 0: there is none.
inline std::size_t utf8_length(std::string_view text) { return utf8_front(text).octets; }

}  // namespace waypost
