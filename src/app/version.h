// The version and the place of the documents, said once (CMake's project version must agree;
// tests/app checks it).
#pragma once

#include <string_view>

namespace waypost::app {

inline constexpr std::string_view kVersion = "0.1.0";

/// Where `cmake --install --prefix /usr` puts the documents.
#define WAYPOST_DOCS "/usr/share/doc/waypost/docs/"

}  // namespace waypost::app
