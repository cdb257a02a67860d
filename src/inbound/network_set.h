// A set of CIDR networks, IPv4 and IPv6; IPv4-mapped addresses count as IPv4.
//
// Immutable after parse(); any thread. The families are apart: "::/0" admits no IPv4 client.
#pragma once

#include "waypost/base/result.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::inbound {

class NetworkSet {
 public:
  /// "10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.0/104", or a single address. ErrorKind::invalid
  /// names the text.
  static Result<NetworkSet> parse(const std::vector<std::string>& networks);
  /// False for what is no address.
  bool contains(std::string_view address) const;
  bool empty() const { return networks_.empty(); }

 private:
  struct Network {
    std::array<unsigned char, 16> address{};  // IPv4 as ::ffff:a.b.c.d
    unsigned prefix = 0;                      // 0..128; at least 96 for IPv4
    bool v4 = false;
  };
  std::vector<Network> networks_;
};

}  // namespace waypost::inbound
