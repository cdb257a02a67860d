#include "net/host_name.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

namespace waypost::net {

std::optional<std::string> ascii_host_name(std::string_view name) {
  const bool ascii = std::all_of(name.begin(), name.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(name);
  constexpr std::size_t kMost = 1020;  // four octets for each of 255
  if (name.size() > kMost || name.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(name);
  std::uint8_t* result = nullptr;
  const int code = ::idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(terminated.c_str()),
                                    &result, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<std::uint8_t, void (*)(void*)> owner(result, &::idn2_free);
  if (code != IDN2_OK) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(result));
}

}  // namespace waypost::net
