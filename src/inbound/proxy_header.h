// The PROXY protocol header, versions 1 and 2 (haproxy's proxy-protocol.txt), without I/O.
//
// Peek at the socket, ask claim() how many of those octets belong to the header, read exactly
// these, feed() them: what stands behind the header (a TLS ClientHello) stays in the socket. What
// can't become a header is an error at the first octet that differs.
#pragma once

#include "waypost/base/result.h"
#include "waypost/net/stream.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::inbound {

class ProxyHeader {
 public:
  /// The longest header of version 2. Client certificates travel in it (PP2_TYPE_SSL).
  static constexpr std::size_t kMaxOctets = 16 + 65'535;
  bool complete() const { return wanted_ == 0; }
  /// How many octets of what waits in the socket belong to the header, at most; 0 only if complete
  /// or if `waiting` is empty.
  std::size_t claim(std::string_view waiting) const;
  /// REQUIRES: bytes.size() <= claim(bytes). ErrorKind::protocol: no PROXY header, or a broken one;
  /// the object is of no use after that.
  Result<> feed(std::string_view bytes);
  /// The client behind the proxy, normalised as net::Endpoint is; address empty for LOCAL, UNKNOWN,
  /// UNSPEC and what is no TCP over IP (the connection's own address counts).
  const net::Endpoint& source() const { return source_; }

 private:
  Result<> look_at_line();
  Result<> look_at_v2();
  Result<> take_rest_of_v2(std::string_view bytes);
  Result<> read_v1();
  Result<> read_v2();
  std::string octets_;       // of version 2 no more than the addresses: TLVs are read and dropped
  std::size_t wanted_ = 12;  // shorter than any header, long enough to tell the versions apart
  bool line_ = false;        // version 1: its end is found, not foreseen
  bool measured_ = false;    // version 2: its length is known
  net::Endpoint source_;
};

}  // namespace waypost::inbound
