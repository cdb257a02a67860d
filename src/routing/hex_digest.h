// Checksums of what is kept on disk. Private to routing. Pure.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <string>
#include <string_view>

namespace waypost::routing {

/// SHA-256, in 64 hexadecimal digits.
inline std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

}  // namespace waypost::routing
