#include "app/times.h"

#include "waypost/routing/waves.h"

#include "app/answers.h"

#include <ctime>

namespace waypost::app {

std::string local_time(WallTime at) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[40];
  const auto size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &parts);
  return {text, size};
}

std::string local_time(std::string_view iso) {
  const auto at = routing::parse_time(iso, WallTime{});
  return at ? local_time(*at) : std::string(iso);
}

std::optional<WallTime> time_of(const boost::json::object& object, std::string_view key) {
  const std::string text = text_of(object, key);
  if (text.empty()) return std::nullopt;
  const auto at = routing::parse_time(text, WallTime{});
  if (!at) return std::nullopt;
  return *at;
}

}  // namespace waypost::app
