#include "waypost/routing/local_time.h"

#include <date/date.h>
#include <date/tz.h>

#include <algorithm>
#include <cstdlib>
#include <exception>

namespace waypost::routing {
namespace {

const date::time_zone* known_zone(const std::string& name) {
  try {
    return date::locate_zone(name);
  } catch (const std::exception&) {
    return nullptr;
  }
}

/// UTC where the zone is not known: never a wrong hour.
std::string in_zone(const char* format, WallTime at, const std::string& zone) {
  const auto minute = std::chrono::floor<std::chrono::minutes>(at);
  const auto* known = zone == "UTC" ? nullptr : known_zone(zone);
  if (known == nullptr) return date::format(format, minute);
  return date::format(format, known->to_local(minute));
}

}  // namespace

std::string local_zone() {
  if (const char* named = std::getenv("TZ"); named != nullptr) {
    std::string name(named);
    if (name.starts_with(':')) name.erase(0, 1);
    if (name.empty()) return "UTC";
    if (known_zone(name) != nullptr) return name;
  }
  try {
    const std::string name = date::current_zone()->name();
    return name == "Etc/UTC" || name == "Etc/UCT" ? "UTC" : name;
  } catch (const std::exception&) {
    return "UTC";
  }
}

std::string zone_in(std::string_view time) {
  const auto blank = time.find_last_of(' ');
  if (blank != std::string_view::npos) {
    const std::string name(time.substr(blank + 1));
    if (name == "UTC" || known_zone(name) != nullptr) return name;
  }
  return local_zone();
}

std::string full_local_time(WallTime at, const std::string& zone) {
  const auto local = in_zone("%Y-%m-%d %H:%M", at, zone);
  const auto utc = in_zone("%Y-%m-%d %H:%M", at, "UTC");
  if (local == utc) return utc + " UTC";
  const bool same_day = local.substr(0, 10) == utc.substr(0, 10);
  return local + " " + zone + " (" + (same_day ? utc.substr(11) : utc) + " UTC)";
}

std::string short_local_time(WallTime at, WallTime now, const std::string& zone) {
  const bool this_year = in_zone("%Y", at, zone) == in_zone("%Y", now, zone);
  return in_zone(this_year ? "%a %d %b %H:%M" : "%d %b %Y %H:%M", at, zone);
}

std::string duration_words(Duration duration) {
  const auto seconds =
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  const auto text = [](std::int64_t more, const char* unit, std::int64_t less, const char* small) {
    auto words = std::to_string(more) + unit;
    if (less > 0) words += " " + std::to_string(less) + small;
    return words;
  };
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return text(seconds / 60, " min", 0, "");
  if (seconds < 24 * 3600) return text(seconds / 3600, " h", seconds % 3600 / 60, " min");
  return text(seconds / (24 * 3600), " d", seconds % (24 * 3600) / 3600, " h");
}

}  // namespace waypost::routing
