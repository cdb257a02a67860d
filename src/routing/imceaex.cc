// Exchange's encapsulation of X500 addresses, as stale Outlook autocomplete entries send it.
#include "waypost/routing/router.h"

namespace waypost::routing {
namespace {

constexpr std::string_view kPrefix = "imceaex-";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

// '_' stands for '/', "+XX" for the character with that code. What is not printable ASCII stays
// encoded: the result goes into a reply.
std::optional<std::string> decode_imceaex(std::string_view local_part) {
  if (local_part.size() <= kPrefix.size() ||
      mail::ascii_lower(local_part.substr(0, kPrefix.size())) != kPrefix)
    return std::nullopt;
  std::string out;
  for (std::size_t i = kPrefix.size(); i < local_part.size(); ++i) {
    const char c = local_part[i];
    if (c == '_') {
      out += '/';
    } else if (c == '+' && i + 2 < local_part.size() && hex_value(local_part[i + 1]) >= 0 &&
               hex_value(local_part[i + 2]) >= 0) {
      const int code = hex_value(local_part[i + 1]) * 16 + hex_value(local_part[i + 2]);
      if (code >= 0x20 && code < 0x7f)
        out += static_cast<char>(code);
      else
        out += local_part.substr(i, 3);
      i += 2;
    } else {
      const auto u = static_cast<unsigned char>(c);
      out += u < 0x20 || u >= 0x7f ? '?' : c;
    }
  }
  return out;
}

}  // namespace waypost::routing
