// The PROXY protocol header, versions 1 and 2 (haproxy's proxy-protocol.txt), without I/O.
//
// Feed it with exactly the octets that octets_wanted() asks for: nothing behind the header is ever
// read, so that a TLS ClientHello stays in the socket.
#pragma once

#include "waypost/base/result.h"
#include "waypost/net/stream.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::inbound {

class ProxyHeader {
 public:
  static constexpr std::size_t kMaxOctets = 4096;
  /// How many octets may be read now; 0: the header is complete.
  std::size_t octets_wanted() const { return wanted_; }
  /// REQUIRES: bytes.size() <= octets_wanted(). ErrorKind::protocol: no PROXY header, or a broken
  /// one.
  Result<> feed(std::string_view bytes);
  /// The client behind the proxy; address empty for LOCAL and UNKNOWN (the connection's own address
  /// counts).
  const net::Endpoint& source() const { return source_; }

 private:
  Result<> look();
  Result<> read_v1();
  Result<> read_v2();
  std::string octets_;
  std::size_t wanted_ = 12;  // shorter than any header, long enough to tell the versions apart
  net::Endpoint source_;
};

}  // namespace waypost::inbound
