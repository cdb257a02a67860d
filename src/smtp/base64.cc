#include "smtp/base64.h"

#include <cstdint>

namespace waypost::smtp {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::optional<std::string> decode_base64(std::string_view encoded) {
  if (encoded.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && !encoded.empty() && encoded.back() == '=') {
    encoded.remove_suffix(1);
    ++padding;
  }
  std::string plain;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : encoded) {
    const auto value = c == '\0' ? std::string_view::npos : kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      plain += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return plain;
}

std::string encode_base64(std::string_view plain) {
  std::string encoded;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : plain) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      encoded += kAlphabet[bits >> count & 63];
    }
  }
  if (count > 0) encoded += kAlphabet[bits << (6 - count) & 63];
  while (encoded.size() % 4 != 0) encoded += '=';
  return encoded;
}

}  // namespace waypost::smtp
