#include "waypost/base/printable.h"

#include <cstdint>

namespace waypost {
namespace {

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

std::size_t hidden_length(std::string_view text) {
  const auto [code, length] = utf8_front(text);
  return length > 1 && is_hidden(code) ? length : 0;
}

std::string escape_of(std::string_view character) {
  return escape_code(utf8_front(character).code);
}

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
