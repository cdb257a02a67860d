// Base64 as AUTH needs it (RFC 4954 §4, RFC 4648 §4): strict, no line breaks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace waypost::smtp {

std::optional<std::string> decode_base64(std::string_view encoded);
std::string encode_base64(std::string_view plain);

}  // namespace waypost::smtp
