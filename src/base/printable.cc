#include "waypost/base/printable.h"

#include <cstdint>

namespace waypost {
namespace {

std::uint32_t code_point_of(std::string_view character) {
  const auto octet = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(character[i]));
  };
  if (character.size() == 2) return ((octet(0) & 0x1F) << 6) | (octet(1) & 0x3F);
  return ((octet(0) & 0x0F) << 12) | ((octet(1) & 0x3F) << 6) | (octet(2) & 0x3F);
}

bool is_hidden(std::uint32_t code) {
  return (code >= 0x80 && code <= 0x9F) || code == 0x061C || code == 0x200B || code == 0x200E ||
         code == 0x200F || (code >= 0x2028 && code <= 0x202E) || code == 0x2060 ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

std::string escape_code(std::uint32_t code) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += digits[(code >> shift) & 15];
  return out;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && octet(i) >= low && octet(i) <= high;
  };
  const unsigned first = octet(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

std::size_t hidden_length(std::string_view text) {
  const std::size_t length = utf8_length(text);
  if (length != 2 && length != 3) return 0;
  return is_hidden(code_point_of(text.substr(0, length))) ? length : 0;
}

std::string escape_of(std::string_view character) { return escape_code(code_point_of(character)); }

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += escape_code(0xFFFD);
    } else if (length == 1 && ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F)) {
      out += escape_code(c);
    } else if (hidden_length(text) > 0) {
      out += escape_of(text.substr(0, length));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace waypost
