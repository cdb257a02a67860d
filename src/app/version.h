// The version, said once (CMake's project version must agree; tests/app checks it).
#pragma once

#include <string_view>

namespace waypost::app {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace waypost::app
