// What we need from the answer section of a DNS message (RFC 1035 §4.1): MX and address records and
// the lowest TTL. c-ares' own parsers drop the TTL of MX records, and take an address record that
// is malformed for none at all, which would turn into a bounce. Never trusts its input.
#pragma once

#include "waypost/base/result.h"
#include "waypost/net/resolver.h"

#include <cstdint>
#include <span>
#include <vector>

namespace waypost::net {

struct DnsMxRecords {
  std::vector<MxHost> hosts;
  std::uint32_t ttl_seconds = 0;
};

struct DnsAddressRecords {
  std::vector<std::string> addresses;
  std::uint32_t ttl_seconds = 0;
};

/// ErrorKind::dns if the message is malformed.
Result<DnsMxRecords> read_mx_answer(std::span<const unsigned char> message);
/// A (or AAAA) records at the end of the CNAMEs; none is no error.
Result<DnsAddressRecords> read_address_answer(std::span<const unsigned char> message, bool ipv6);

}  // namespace waypost::net
