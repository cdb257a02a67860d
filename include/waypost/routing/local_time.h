// Times for people: in the clock that hangs on their wall, and how long it is until then.
//
// Pure but for the machine's time zone (TZ, else /etc/localtime); any thread.
#pragma once

#include "waypost/base/clock.h"

#include <string>
#include <string_view>

namespace waypost::routing {

/// The IANA name of this machine's zone; "UTC" if it has none that is known.
std::string local_zone();
/// The zone that a time as parse_time takes it names ("2026-12-01 02:00 Europe/Berlin"), else that
/// of this machine.
std::string zone_in(std::string_view time);
/// "2026-11-28 02:00 Europe/Berlin (01:00 UTC)"; the date of UTC only if it is another.
std::string full_local_time(WallTime at, const std::string& zone);
/// "Sat 28 Nov 02:00"; with the year if it is not that of `now`.
std::string short_local_time(WallTime at, WallTime now, const std::string& zone);
/// "12 h 10 min", "3 d 4 h", "45 s"; never negative.
std::string duration_words(Duration duration);

}  // namespace waypost::routing
