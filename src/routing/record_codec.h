// Numbers and texts as they lie in the arena of a table: LEB128, and octets behind their length.
//
// Private to routing. No bounds are checked: only what the table itself has written is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace waypost::routing {

inline constexpr std::size_t kMostNumberOctets = 5;

inline char* put_number(char* out, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<char>(value | 0x80);
  *out++ = static_cast<char>(value);
  return out;
}

inline char* put_text(char* out, std::string_view text) {
  out = put_number(out, static_cast<std::uint32_t>(text.size()));
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

inline std::uint32_t take_number(const char*& at) {
  std::uint32_t value = static_cast<unsigned char>(*at++);
  if (value < 0x80) return value;
  value &= 0x7f;
  for (unsigned shift = 7;; shift += 7) {
    const auto octet = static_cast<unsigned char>(*at++);
    value |= static_cast<std::uint32_t>(octet & 0x7f) << shift;
    if (octet < 0x80) return value;
  }
}

inline std::string_view take_text(const char*& at) {
  const auto length = take_number(at);
  const std::string_view text(at, length);
  at += length;
  return text;
}

}  // namespace waypost::routing
