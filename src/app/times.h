// Times: ISO 8601 in UTC for programs (routing::format_time), the local time with its zone for
// people. Private to app.
#pragma once

#include "waypost/base/clock.h"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace waypost::app {

/// "2026-12-01 03:00:00 +0100".
std::string local_time(WallTime at);
/// The same for an ISO time of the admin API; what is none comes back as it is.
std::string local_time(std::string_view iso);
/// nullopt: it is absent, or no time.
std::optional<WallTime> time_of(const boost::json::object& object, std::string_view key);

}  // namespace waypost::app
