#include "load/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace waypost::load {
namespace {

using Unit = std::pair<std::string_view, double>;

/// A number and the text behind it.
Result<std::pair<double, std::string_view>> leading_number(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc{} || !std::isfinite(number) || number < 0) {
    return fail(ErrorKind::invalid, "'" + std::string(text) + "' does not begin with a number");
  }
  std::string_view rest(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  return std::pair(number, rest);
}

template <std::size_t N>
Result<double> with_unit(std::string_view text, const std::array<Unit, N>& units,
                         std::string_view known) {
  const auto number = leading_number(text);
  if (!number) return fail(number.error());
  for (const auto& [name, factor] : units) {
    if (name == number->second) return number->first * factor;
  }
  return fail(ErrorKind::invalid, "'" + std::string(text) + "': the unit '" +
                                      std::string(number->second) + "' is not one of " +
                                      std::string(known));
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  static constexpr std::array<Unit, 16> kUnits = {{{"", 1},
                                                   {"B", 1},
                                                   {"k", 1e3},
                                                   {"K", 1e3},
                                                   {"kB", 1e3},
                                                   {"M", 1e6},
                                                   {"MB", 1e6},
                                                   {"G", 1e9},
                                                   {"GB", 1e9},
                                                   {"Ki", 1024},
                                                   {"KiB", 1024},
                                                   {"Mi", 1048576},
                                                   {"MiB", 1048576},
                                                   {"Gi", 1073741824},
                                                   {"GiB", 1073741824},
                                                   {"octets", 1}}};
  const auto value = with_unit(text, kUnits, "B, kB, KiB, MB, MiB, GB, GiB");
  if (!value) return fail(value.error());
  if (*value > 1e15) return fail(ErrorKind::invalid, "'" + std::string(text) + "' is too much");
  return static_cast<std::uint64_t>(*value);
}

Result<Duration> parse_duration(std::string_view text) {
  static constexpr std::array<Unit, 8> kUnits = {{{"", 1e6},
                                                  {"us", 1},
                                                  {"ms", 1e3},
                                                  {"s", 1e6},
                                                  {"m", 60e6},
                                                  {"min", 60e6},
                                                  {"h", 3600e6},
                                                  {"d", 86400e6}}};
  const auto value = with_unit(text, kUnits, "us, ms, s, m, h, d");
  if (!value) return fail(value.error());
  if (*value > 1e15) return fail(ErrorKind::invalid, "'" + std::string(text) + "' is too long");
  return Duration(static_cast<std::int64_t>(*value));
}

Result<double> parse_number(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return fail(number.error());
  if (!number->second.empty()) {
    return fail(ErrorKind::invalid, "'" + std::string(text) + "' is not a number");
  }
  return number->first;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string show_fixed(double number, int decimals) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", decimals, number);
  return buffer;
}

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string show_us(double us) {
  if (us < 1000) return show_fixed(us, 0) + " us";
  if (us < 1e6) return show_fixed(us / 1e3, us < 1e4 ? 2 : 1) + " ms";
  return show_fixed(us / 1e6, 2) + " s";
}

std::string show_octets(double octets) {
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int step = 0;
  while (octets >= 1024 && step < 4) {
    octets /= 1024;
    ++step;
  }
  return show_fixed(octets, step == 0 ? 0 : 1) + " " + kNames[step];
}

std::string show_seconds(double seconds) {
  if (seconds < 100) return show_fixed(seconds, 1) + " s";
  const auto whole = static_cast<long>(seconds);
  if (whole < 3600) return std::to_string(whole / 60) + " m " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " m";
}

std::uint64_t Random::next() {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace waypost::load
