// What we need from the answer section of a DNS message (RFC 1035 §4.1): MX records and the lowest
// TTL. c-ares' own MX parser drops the TTL. Never trusts its input.
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

/// ErrorKind::dns if the message is malformed.
Result<DnsMxRecords> read_mx_answer(std::span<const unsigned char> message);

}  // namespace waypost::net
