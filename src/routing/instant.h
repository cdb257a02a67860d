// Points of time as the wave journal writes them: exact to the microsecond, always UTC.
//
// Private to routing. Pure.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"

#include <string>
#include <string_view>

namespace waypost::routing {

/// "2026-12-01T02:00:00.25Z"; the fraction only if there is one.
std::string exact_time(WallTime at);
/// RFC 3339: date, time with seconds, 'Z' or an offset. Nothing relative, no zone by name.
Result<WallTime> parse_instant(std::string_view text);

}  // namespace waypost::routing
