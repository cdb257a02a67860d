// DNS over c-ares: MX and address look-ups with a cache that honours TTLs.
//
// Resolver: one per shard, that shard's thread only. A contract, so that tests bring their own
// answers. RFC 5321 §5.1 (MX), RFC 7505 (null MX), RFC 2308 (negative answers).
#pragma once

#include "waypost/base/result.h"
#include "waypost/net/task.h"
#include "waypost/net/timers.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace waypost::net {

struct MxHost {
  std::uint16_t preference = 0;
  std::string name;
};
struct MxAnswer {
  std::vector<MxHost> hosts;  // sorted by preference; equal preference shuffled anew at each call
  bool null_mx = false;       // RFC 7505: the domain takes no mail
  bool implicit = false;      // no MX record: the domain itself (RFC 5321 §5.1)
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  /// ErrorKind::not_found: the domain does not exist. ErrorKind::dns: try later.
  /// ErrorKind::timeout.
  virtual Task<Result<MxAnswer>> mx(std::string domain, SteadyTime deadline) = 0;
  /// IPv6 and IPv4 addresses interleaved, IPv6 first (RFC 8305 §4). A literal address is answered
  /// at once.
  virtual Task<Result<std::vector<std::string>>> addresses(std::string host,
                                                           SteadyTime deadline) = 0;
  /// Forgets all cached answers.
  virtual void flush() = 0;
};

struct ResolverOptions {
  std::vector<std::string> servers;  // "127.0.0.1:5353"; empty: /etc/resolv.conf
  Duration query_timeout = std::chrono::seconds(5);
  std::uint32_t tries = 3;
  Duration max_ttl = std::chrono::hours(1);
  Duration negative_ttl = std::chrono::seconds(60);
  bool ipv6 = true;
  bool ipv4 = true;
};

Result<std::unique_ptr<Resolver>> make_resolver(boost::asio::io_context& io, Timers& timers,
                                                ResolverOptions options);

}  // namespace waypost::net
