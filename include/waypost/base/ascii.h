// Octets below 128. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace waypost {

/// True if no octet is above 127. Eight at once: every recipient's addresses are looked at several
/// times.
inline bool is_ascii(std::string_view text) {
  constexpr std::size_t kStep = sizeof(std::uint64_t);
  std::uint64_t wide = 0;
  const auto look_at = [&](std::size_t at) {
    std::uint64_t octets = 0;
    std::memcpy(&octets, text.data() + at, kStep);
    wide |= octets;
  };
  if (text.size() < kStep) {
    for (const char c : text) wide |= static_cast<unsigned char>(c);
  } else {
    for (std::size_t at = 0; at + kStep < text.size(); at += kStep) look_at(at);
    look_at(text.size() - kStep);  // some of it twice
  }
  return (wide & 0x8080'8080'8080'8080) == 0;
}

}  // namespace waypost
