#include "waypost/net/bound_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace waypost::net {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;  // 0: the text is no IP address
};

SocketAddress socket_address(const std::string& address, std::uint16_t port) {
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof *v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof *v6;
  }
  return out;
}

std::unexpected<Error> refused(int trouble, std::uint16_t port) {
  const std::string what = describe_errno(trouble);
  switch (trouble) {
    case EADDRINUSE:
      return fail(ErrorKind::exhausted,
                  what +
                      "; another program listens there (see 'ss -ltnp'): stop it, or change the "
                      "port");
    case EACCES:
      return fail(ErrorKind::unsupported,
                  port < 1024 ? what +
                                    "; ports below 1024 need root or CAP_NET_BIND_SERVICE (the "
                                    "systemd unit gives it)"
                              : what);
    case EADDRNOTAVAIL:
      return fail(ErrorKind::network, what + "; this machine has no such address");
    default:
      return fail(ErrorKind::network, what);
  }
}

}  // namespace

Result<BoundSocket> BoundSocket::bind(const std::string& address, std::uint16_t port) {
  const auto to = socket_address(address, port);
  if (to.size == 0) return fail(ErrorKind::network, "not an IP address");
  const bool v6 = to.storage.ss_family == AF_INET6;
  BoundSocket made(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), v6);
  if (made.fd_ < 0) return refused(errno, port);
  const int on = 1;
  if (::setsockopt(made.fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (v6 && ::setsockopt(made.fd_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
      ::bind(made.fd_, reinterpret_cast<const sockaddr*>(&to.storage), to.size) != 0)
    return refused(errno, port);
  return made;
}

BoundSocket::BoundSocket(BoundSocket&& other) noexcept : fd_(other.release()), v6_(other.v6_) {}

BoundSocket& BoundSocket::operator=(BoundSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(v6_, other.v6_);
  return *this;
}

BoundSocket::~BoundSocket() {
  if (fd_ >= 0) ::close(fd_);
}

int BoundSocket::release() { return std::exchange(fd_, -1); }

}  // namespace waypost::net
