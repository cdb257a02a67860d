// Classes of octets and UTF-8, shared by the grammars of this room.
#pragma once

#include "waypost/base/utf8.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace waypost::mail {

inline bool is_alpha(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
inline bool is_control(unsigned char c) { return c < 0x20 || c == 0x7F; }
/// RFC 5322 §3.2.3.
inline constexpr std::array<bool, 256> kAtext = [] {
  std::array<bool, 256> atext{};
  for (unsigned c = 'a'; c <= 'z'; ++c) atext[c] = atext[c - 32] = true;
  for (unsigned c = '0'; c <= '9'; ++c) atext[c] = true;
  for (const char c : std::string_view("!#$%&'*+-/=?^_`{|}~")) {
    atext[static_cast<unsigned char>(c)] = true;
  }
  return atext;
}();
inline bool is_atext(unsigned char c) { return kAtext[c]; }

/// All octets are ' ' to '~'.
inline bool is_printable_ascii(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

/// Length of the character at the front of `text`; 0: none. C1 controls (U+0080..U+009F) count as
/// invalid: terminals obey them.
inline std::size_t utf8_length(std::string_view text) {
  const auto [code, octets] = utf8_front(text);
  return code >= 0x80 && code < 0xA0 ? 0 : octets;
}

}  // namespace waypost::mail
