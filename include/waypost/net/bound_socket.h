// A TCP port that is ours before anybody listens on it: what the daemon opens its listeners with,
// and `waypost check` tries them with.
//
// Owns the descriptor until release(). Any thread.
#pragma once

#include "waypost/base/result.h"

#include <cstdint>
#include <string>

namespace waypost::net {

class BoundSocket {
 public:
  /// IPv6 sockets are V6ONLY. ErrorKind::exhausted: somebody listens there already; unsupported:
  /// this user may not have it (ports below 1024); network: anything else. The message is the
  /// reason and what to do, without the address.
  static Result<BoundSocket> bind(const std::string& address, std::uint16_t port);

  BoundSocket(BoundSocket&& other) noexcept;
  BoundSocket& operator=(BoundSocket&& other) noexcept;
  BoundSocket(const BoundSocket&) = delete;
  BoundSocket& operator=(const BoundSocket&) = delete;
  ~BoundSocket();

  bool is_v6() const { return v6_; }
  /// The caller closes it.
  int release();

 private:
  BoundSocket(int fd, bool v6) : fd_(fd), v6_(v6) {}
  int fd_;
  bool v6_;
};

}  // namespace waypost::net
