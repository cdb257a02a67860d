// CIDR networks, and how much of the public Internet they let in.
//
// Private to config. Pure.
#pragma once

#include "waypost/base/result.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::config {

struct Network {
  bool v6 = false;
  unsigned prefix = 0;                      // bits
  std::array<unsigned char, 16> address{};  // IPv4 in the first four octets
  std::string to_string() const;
};

/// "10.0.0.0/8", "2001:db8::/32" or a single address. Octets behind the prefix must be zero: a
/// network that is written wrongly is often one that means something else.
Result<Network> parse_network(std::string_view text);

/// What the union of the networks covers, private, loopback, link-local and shared space left out.
struct PublicSpace {
  double v4_addresses = 0;  // of 2^32
  double v6_slash_48s = 0;  // sites, of 2^48
  bool nearly_everybody()
      const;          // a 256th of IPv4 or a /20 of IPv6, or more: not one's own network
  bool wide() const;  // more than a /16 or a /32: worth a question
};
PublicSpace public_space(const std::vector<Network>& networks);

}  // namespace waypost::config
