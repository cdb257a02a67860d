#include "config/scalars.h"

#include "waypost/mail/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace waypost::config {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t kSecond = 1'000'000;
constexpr std::array<Unit, 21> kTimes = {{{"us", 1},
                                          {"ms", 1000},
                                          {"s", kSecond},
                                          {"sec", kSecond},
                                          {"second", kSecond},
                                          {"seconds", kSecond},
                                          {"m", 60 * kSecond},
                                          {"min", 60 * kSecond},
                                          {"mins", 60 * kSecond},
                                          {"minute", 60 * kSecond},
                                          {"minutes", 60 * kSecond},
                                          {"h", 3600 * kSecond},
                                          {"hour", 3600 * kSecond},
                                          {"hours", 3600 * kSecond},
                                          {"d", 86'400 * kSecond},
                                          {"day", 86'400 * kSecond},
                                          {"days", 86'400 * kSecond},
                                          {"w", 7 * 86'400 * kSecond},
                                          {"week", 7 * 86'400 * kSecond},
                                          {"weeks", 7 * 86'400 * kSecond},
                                          {"secs", kSecond}}};
constexpr std::array<Unit, 8> kSizes = {{{"b", 1},
                                         {"kb", 1000},
                                         {"kib", 1024},
                                         {"mb", 1'000'000},
                                         {"mib", 1024 * 1024},
                                         {"gb", 1'000'000'000},
                                         {"gib", 1024ull * 1024 * 1024},
                                         {"tib", 1024ull * 1024 * 1024 * 1024}}};

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
  const auto lower = mail::ascii_lower(name);
  const auto known = std::find_if(units.begin(), units.end(),
                                  [&](const Unit& unit) { return unit.name == lower; });
  return known == units.end() ? nullptr : &*known;
}

/// A number at the front of `text`, with an optional decimal fraction; advances `text`.
bool take_decimal(std::string_view& text, double& value) {
  std::size_t end = 0;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.')) ++end;
  if (end == 0 || end > 20) return false;
  const auto result = std::from_chars(text.data(), text.data() + end, value);
  if (result.ec != std::errc() || result.ptr != text.data() + end) return false;
  text.remove_prefix(end);
  return true;
}

std::string_view take_word(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() &&
         ((text[end] >= 'a' && text[end] <= 'z') || (text[end] >= 'A' && text[end] <= 'Z')))
    ++end;
  const auto word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

constexpr double kMostMicroseconds = 3.2e15;  // a century
constexpr double kMostOctets = 9e15;

}  // namespace

Result<bool> parse_boolean(std::string_view text) {
  const auto word = mail::ascii_lower(text);
  if (word == "true" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "no" || word == "off") return false;
  return fail(ErrorKind::invalid, "must be true or false");
}

Result<std::uint64_t> parse_number(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != '_' && c != '\'') digits += c;
  std::uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc::result_out_of_range)
    return fail(ErrorKind::invalid, "is too large a number");
  if (digits.empty() || result.ec != std::errc() || result.ptr != digits.data() + digits.size())
    return fail(ErrorKind::invalid, "must be a whole number, such as 100");
  return value;
}

Result<double> parse_share(std::string_view text) {
  auto rest = trim(text);
  double value = 0;
  if (!take_decimal(rest, value) || (!rest.empty() && rest != "%"))
    return fail(ErrorKind::invalid, "must be a share such as 0.2 or 20%");
  return rest == "%" ? value / 100 : value;
}

Result<Duration> parse_duration(std::string_view text) {
  auto rest = trim(text);
  if (rest == "0") return Duration::zero();
  const auto wrong = [] {
    return fail(ErrorKind::invalid,
                "must be a time with its unit, such as 30s, 5m, 1h 30m or 2 days");
  };
  if (rest.empty()) return wrong();
  double total = 0;
  while (!rest.empty()) {
    double value = 0;
    if (!take_decimal(rest, value)) return wrong();
    rest = trim(rest);
    const auto* unit = find_unit(kTimes, take_word(rest));
    if (unit == nullptr) return wrong();
    total += value * static_cast<double>(unit->factor);
    if (total > kMostMicroseconds) return fail(ErrorKind::invalid, "is longer than a century");
    rest = trim(rest);
  }
  return Duration(static_cast<Duration::rep>(std::llround(total)));
}

std::string format_duration(Duration duration) {
  const auto us = static_cast<std::uint64_t>(std::max<Duration::rep>(duration.count(), 0));
  if (us == 0) return "0";
  const auto whole = [&](std::uint64_t factor) { return us % factor == 0; };
  if (whole(86'400 * kSecond) && us > 86'400 * kSecond)
    return std::to_string(us / (86'400 * kSecond)) + " days";
  if (whole(3600 * kSecond)) return std::to_string(us / (3600 * kSecond)) + "h";
  if (whole(60 * kSecond)) return std::to_string(us / (60 * kSecond)) + "m";
  if (whole(kSecond)) return std::to_string(us / kSecond) + "s";
  if (whole(1000)) return std::to_string(us / 1000) + "ms";
  return std::to_string(us) + "us";
}

Result<std::uint64_t> parse_size(std::string_view text) {
  auto rest = trim(text);
  double value = 0;
  const auto wrong = [] {
    return fail(
        ErrorKind::invalid,
        "must be a size such as 40 MB (40,000,000 octets) or 40 MiB (40 x 1,048,576 octets)");
  };
  if (!take_decimal(rest, value)) return wrong();
  rest = trim(rest);
  std::uint64_t factor = 1;
  if (!rest.empty()) {
    const auto word = take_word(rest);
    const auto* unit = find_unit(kSizes, word);
    if (unit == nullptr || !rest.empty()) return wrong();
    factor = unit->factor;
  }
  const double octets = value * static_cast<double>(factor);
  if (octets > kMostOctets) return fail(ErrorKind::invalid, "is too large");
  return static_cast<std::uint64_t>(std::llround(octets));
}

std::string format_size(std::uint64_t octets) {
  constexpr std::uint64_t kKi = 1024, kMi = kKi * 1024, kGi = kMi * 1024;
  if (octets == 0) return "0";
  if (octets % kGi == 0) return std::to_string(octets / kGi) + " GiB";
  if (octets % kMi == 0) return std::to_string(octets / kMi) + " MiB";
  if (octets % kKi == 0) return std::to_string(octets / kKi) + " KiB";
  return std::to_string(octets);
}

bool is_ip_address(std::string_view text) {
  const std::string terminated(text);
  unsigned char octets[16];
  return ::inet_pton(AF_INET, terminated.c_str(), octets) == 1 ||
         ::inet_pton(AF_INET6, terminated.c_str(), octets) == 1;
}

Result<outbound::HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  const auto wrong = [](std::string_view why) {
    return fail(
        ErrorKind::invalid,
        std::string(why) + "; write host:port, such as mail.example:25 or [2001:db8::1]:25");
  };
  outbound::HostPort out;
  out.port = default_port;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong("the bracket is not closed");
    out.host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!is_ip_address(out.host)) return wrong("no IP address in the brackets");
  } else if (std::count(text.begin(), text.end(), ':') > 1) {
    if (!is_ip_address(text)) return wrong("more than one ':'");
    out.host = text;
  } else {
    const auto colon = text.find(':');
    out.host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (out.host.empty()) return wrong("the host is missing");
  for (const char c : out.host) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u == 0x7f || c == '@' || c == '/' || c == ',')
      return wrong("'" + out.host.substr(0, 100) + "' is not a host name");
  }
  if (port.empty()) return out;
  const auto number = parse_number(port.substr(1));
  if (port.front() != ':' || !number || *number == 0 || *number > 65'535)
    return wrong("the port must be a number from 1 to 65535");
  out.port = static_cast<std::uint16_t>(*number);
  return out;
}

}  // namespace waypost::config
