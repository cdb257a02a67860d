// Durations, sizes and other single values: text to value and back.
//
// Private to config. Pure. Failures are messages fit for a diagnostic.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"
#include "waypost/config/config.h"
#include "waypost/outbound/next_hop.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::config {

Result<bool> parse_boolean(std::string_view text);
Result<std::uint64_t> parse_number(std::string_view text);
Result<double> parse_share(std::string_view text);
std::string format_duration(Duration duration);
/// "40 MB" is 40,000,000 octets, "40 MiB" 41,943,040; a bare number counts octets.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t octets);
/// "mail.example:2525", "192.0.2.1:25", "[2001:db8::1]:25"; without a port `default_port`.
Result<outbound::HostPort> parse_host_port(std::string_view text, std::uint16_t default_port);
/// True for an IPv4 or IPv6 address.
bool is_ip_address(std::string_view text);

}  // namespace waypost::config
