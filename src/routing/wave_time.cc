// Times as operators write them: RFC 3339, a local time with its zone, or from now on.
#include "waypost/routing/local_time.h"
#include "waypost/routing/waves.h"

#include "routing/instant.h"

#include <date/date.h>
#include <date/tz.h>

#include <cstdio>
#include <stdexcept>

namespace waypost::routing {
namespace {

using LocalTime = date::local_time<std::chrono::microseconds>;

constexpr int kFirstYear = 1970, kLastYear = 9999;
constexpr std::string_view kForms =
    "write it as 2026-12-01T02:00:00Z, '2026-12-01 02:00 Europe/Berlin', now or +2h";

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 60))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + "'";
}

std::unexpected<Error> no_time(std::string_view text, std::string_view why) {
  return fail(ErrorKind::invalid, quoted(text) + " is no time: " + std::string(why));
}

/// Reads forward; `rest` is what is left.
struct Scanner {
  std::string_view rest;

  bool take(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  /// Exactly `digits` of them.
  bool number(std::size_t digits, int& value) {
    if (rest.size() < digits) return false;
    value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (rest[i] < '0' || rest[i] > '9') return false;
      value = value * 10 + (rest[i] - '0');
    }
    rest.remove_prefix(digits);
    return true;
  }
};

/// ".25" behind the seconds.
bool take_fraction(Scanner& scanner, std::chrono::microseconds& fraction) {
  std::size_t digits = 0;
  std::int64_t value = 0;
  for (; !scanner.rest.empty() && scanner.rest.front() >= '0' && scanner.rest.front() <= '9';
       scanner.rest.remove_prefix(1), ++digits)
    if (digits < 6) value = value * 10 + (scanner.rest.front() - '0');
  if (digits == 0) return false;
  for (auto i = digits; i < 6; ++i) value *= 10;
  fraction = std::chrono::microseconds(value);
  return true;
}

/// "2026-12-01" and, behind a 'T' or a blank, "02:00[:00[.25]]".
Result<LocalTime> take_date_and_time(std::string_view whole, Scanner& scanner,
                                     bool seconds_needed) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::chrono::microseconds fraction{0};
  const bool dated = scanner.number(4, year) && scanner.take('-') && scanner.number(2, month) &&
                     scanner.take('-') && scanner.number(2, day);
  if (!dated) return no_time(whole, kForms);
  const auto calendar = date::year(year) / month / day;
  if (!calendar.ok()) return no_time(whole, "there is no such day");
  if (year < kFirstYear || year > kLastYear)
    return no_time(whole, "the year must be from 1970 to 9999");
  const bool separated = scanner.take('T') || scanner.take('t') || scanner.take(' ');
  if (!separated || !scanner.number(2, hour) || !scanner.take(':') || !scanner.number(2, minute))
    return no_time(whole, "the time of day is missing; " + std::string(kForms));
  if (scanner.take(':')) {
    if (!scanner.number(2, second) || (scanner.take('.') && !take_fraction(scanner, fraction)))
      return no_time(whole, kForms);
  } else if (seconds_needed) {
    return no_time(whole, "the seconds are missing");
  }
  // A leap second has no name here: no clock of ours ever shows one.
  if (hour > 23 || minute > 59 || second > 59)
    return no_time(whole, "there is no such time of day");
  return LocalTime(date::local_days(calendar)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second) + fraction;
}

WallTime as_utc(LocalTime local, Duration offset = Duration::zero()) {
  return WallTime(local.time_since_epoch() - offset);
}

/// 'Z' or "+01:00"; nullopt: neither stands here.
Result<std::optional<WallTime>> take_offset(std::string_view whole, Scanner& scanner,
                                            LocalTime local) {
  if (scanner.take('Z') || scanner.take('z')) {
    if (!scanner.rest.empty()) return no_time(whole, "nothing may stand behind the Z");
    return as_utc(local);
  }
  const bool plus = scanner.take('+');
  if (!plus && !scanner.take('-')) return std::nullopt;
  int hours = 0, minutes = 0;
  const bool read = scanner.number(2, hours) && (scanner.take(':') || true) &&
                    scanner.number(2, minutes) && scanner.rest.empty();
  if (!read || hours > 23 || minutes > 59)
    return no_time(whole, "the offset from UTC must be like +01:00");
  const Duration offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return as_utc(local, plus ? offset : -offset);
}

std::string clock_words(std::chrono::seconds offset) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(offset).count();
  char text[16];
  std::snprintf(text, sizeof text, "%c%02d:%02d", minutes < 0 ? '-' : '+',
                static_cast<int>(std::abs(minutes) / 60), static_cast<int>(std::abs(minutes) % 60));
  return text;
}

Result<WallTime> in_zone(std::string_view whole, LocalTime local, std::string_view name) {
  const date::time_zone* zone = nullptr;
  try {
    zone = date::locate_zone(std::string(name));
  } catch (const std::exception&) {
    return no_time(whole, "there is no time zone " + quoted(name) +
                              "; take a name of the IANA list, such as Europe/Berlin (package "
                              "tzdata)");
  }
  try {
    const date::local_info info = zone->get_info(local);
    if (info.result == date::local_info::unique) return as_utc(local, info.first.offset);
    const std::string zone_name(name);
    if (info.result == date::local_info::nonexistent)
      return no_time(whole, "clocks in " + zone_name + " leave this time out (they go from UTC" +
                                clock_words(info.first.offset) + " to UTC" +
                                clock_words(info.second.offset) + " at " +
                                format_time(info.first.end) + "); take a time before or after");
    return no_time(whole, "clocks in " + zone_name + " show this time twice: it is " +
                              format_time(as_utc(local, info.first.offset)) + " or " +
                              format_time(as_utc(local, info.second.offset)) +
                              "; write the one that is meant");
  } catch (const std::exception& trouble) {
    return no_time(whole, "the time zone " + quoted(name) + " can't be read: " + trouble.what());
  }
}

/// "+1h30m" behind its sign.
Result<WallTime> from_now(std::string_view whole, std::string_view rest, WallTime now) {
  constexpr std::int64_t kMost = 3660LL * 24 * 3600;  // ten years
  std::int64_t seconds = 0;
  if (rest.empty()) return no_time(whole, "write it as +2h, +30m or +1d");
  while (!rest.empty()) {
    std::int64_t number = 0;
    std::size_t digits = 0;
    while (digits < rest.size() && digits < 9 && rest[digits] >= '0' && rest[digits] <= '9')
      number = number * 10 + (rest[digits++] - '0');
    if (digits == 0 || digits == rest.size()) return no_time(whole, "write it as +2h, +30m or +1d");
    constexpr std::string_view kUnits = "smhd";
    constexpr std::int64_t kSeconds[] = {1, 60, 3600, 24 * 3600};
    const auto unit = kUnits.find(rest[digits]);
    if (unit == std::string_view::npos)
      return no_time(whole, "the units are s, m, h and d, such as +1h30m");
    seconds += number * kSeconds[unit];
    if (seconds > kMost) return no_time(whole, "this is more than ten years from now");
    rest.remove_prefix(digits + 1);
  }
  return now + std::chrono::seconds(seconds);
}

/// Night shifts have been an hour or two off by what "02:00" was taken for.
std::unexpected<Error> without_zone(std::string_view whole) {
  const std::string time(whole);
  return no_time(whole, "its time zone is missing; write '" + time + " " + local_zone() +
                            "' (this machine's zone) or '" + time + " UTC'");
}

}  // namespace

Result<WallTime> parse_instant(std::string_view text) {
  Scanner scanner{text};
  const auto local = take_date_and_time(text, scanner, true);
  if (!local) return fail(local.error());
  const auto at = take_offset(text, scanner, *local);
  if (!at) return fail(at.error());
  if (!*at) return no_time(text, "it must end in Z or in an offset");
  return **at;
}

Result<WallTime> parse_time(std::string_view text, WallTime now) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return no_time(text, kForms);
  const auto whole = text.substr(first, text.find_last_not_of(" \t") - first + 1);
  if (whole == "now") return now;
  if (whole.front() == '+') return from_now(whole, whole.substr(1), now);
  Scanner scanner{whole};
  const auto local = take_date_and_time(whole, scanner, false);
  if (!local) return fail(local.error());
  if (scanner.rest.empty()) return without_zone(whole);
  if (scanner.rest.front() != ' ') {
    const auto at = take_offset(whole, scanner, *local);
    if (!at) return fail(at.error());
    if (!*at) return no_time(whole, kForms);
    return **at;
  }
  const auto zone = scanner.rest.substr(scanner.rest.find_first_not_of(' '));
  if (zone == "UTC" || zone == "Z") return as_utc(*local);
  return in_zone(whole, *local, zone);
}

std::string format_time(WallTime at) {
  return date::format("%FT%TZ", std::chrono::floor<std::chrono::seconds>(at));
}

std::string exact_time(WallTime at) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(at);
  auto text = format_time(whole);
  const auto fraction = (at - whole).count();
  if (fraction == 0) return text;
  char digits[16];
  std::snprintf(digits, sizeof digits, ".%06d", static_cast<int>(fraction));
  text.insert(text.size() - 1, digits);
  return text;
}

}  // namespace waypost::routing
