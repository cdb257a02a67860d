// Host names as DNS, SNI and certificates write them: in ASCII, whatever people write.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace waypost::net {

/// "Bücher.example" -> "xn--bcher-kva.example" (IDNA 2008); ASCII stays as it is. Nothing if there
/// is no such name. Address literals are not for this function.
std::optional<std::string> ascii_host_name(std::string_view name);

}  // namespace waypost::net
