// The hash of table keys: a few multiplications for the usual local part.
//
// Private to routing. Not keyed: tables come from the operator, and look-ups of hostile addresses
// only read.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace waypost::routing {

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_octets(std::string_view text) {
  constexpr std::uint64_t kOne = 0x9E3779B97F4A7C15ull, kTwo = 0xD6E8FEB86659FD93ull;
  std::uint64_t hash = text.size() * kOne;
  while (text.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word, kTwo);
    text.remove_prefix(8);
  }
  std::uint64_t word = 0;
  if (!text.empty()) std::memcpy(&word, text.data(), text.size());
  return mix(hash ^ word, kOne);
}

inline std::uint32_t key_hash(std::string_view lower_local, std::uint32_t normal_domain) {
  const auto hash = mix(hash_octets(lower_local) + normal_domain, 0xA0761D6478BD642Full);
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash_octets(text); }
};

}  // namespace waypost::routing
