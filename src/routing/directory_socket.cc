#include "routing/directory_socket.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <system_error>
#include <thread>

namespace waypost::routing {
namespace {

constexpr std::chrono::milliseconds kSlice{100};

/// On a thread of its own: the resolver can't be called back, and may be busy with it when nobody
/// waits for it any more.
struct Lookup {
  std::string host, service;
  addrinfo hints{};
  addrinfo* found = nullptr;
  std::promise<int> code;

  Lookup(const DirectoryServer& server) : host(server.host), service(std::to_string(server.port)) {
    hints.ai_socktype = SOCK_STREAM;
    // A machine with nothing but loopback has no other.
    hints.ai_flags = is_loopback(server) ? 0 : AI_ADDRCONFIG;
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() {
    if (found != nullptr) ::freeaddrinfo(found);
  }
  void run() { code.set_value(::getaddrinfo(host.c_str(), service.c_str(), &hints, &found)); }
};

Result<std::shared_ptr<Lookup>> look_up(const DirectoryServer& server, const Patience& patience) {
  auto lookup = std::make_shared<Lookup>(server);
  auto answer = lookup->code.get_future();
  try {
    std::thread([lookup] { lookup->run(); }).detach();
  } catch (const std::system_error& error) {
    return fail(ErrorKind::dns, std::string("the name can't be looked up: ") + error.what());
  }
  while (answer.wait_for(kSlice) != std::future_status::ready)
    if (auto patient = patience.check(); !patient) return fail(std::move(patient).error());
  if (const int code = answer.get(); code != 0)
    return fail(ErrorKind::dns,
                "the name '" + server.host + "' has no address: " + ::gai_strerror(code));
  return lookup;
}

}  // namespace

void DirectorySocket::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

/// False: errno says why, and gave_up_ if it was our own patience.
bool DirectorySocket::wait(short events) {
  for (;;) {
    if (!patient()) return false;
    pollfd what{.fd = descriptor_, .events = events, .revents = 0};
    const int ready = ::poll(&what, 1, static_cast<int>(kSlice.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

/// Also when octets are there: a peer that drips must not hold us beyond the deadline.
bool DirectorySocket::patient() {
  auto patient = patience_.check();
  if (patient) return true;
  gave_up_ = std::move(patient).error();
  errno = gave_up_->kind == ErrorKind::cancelled ? ECANCELED : ETIMEDOUT;
  return false;
}

ssize_t DirectorySocket::read(void* into, std::size_t size) {
  for (;;) {
    if (!patient()) return -1;
    const ssize_t got = ::recv(descriptor_, into, size, MSG_DONTWAIT);
    if (got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return got;
    if (!wait(POLLIN)) return -1;
  }
}

ssize_t DirectorySocket::write(const void* from, std::size_t size) {
  for (;;) {
    if (!patient()) return -1;
    const ssize_t put = ::send(descriptor_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return put;
    if (!wait(POLLOUT)) return -1;
  }
}

Result<> DirectorySocket::connect(const DirectoryServer& server, const Patience& patience) {
  auto lookup = look_up(server, patience);
  if (!lookup) return fail(std::move(lookup).error());
  use(patience);
  int trouble = EADDRNOTAVAIL;
  for (const auto* at = (*lookup)->found; at != nullptr; at = at->ai_next) {
    close();
    gave_up_.reset();
    descriptor_ = ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor_ < 0) {
      trouble = errno;
      continue;
    }
    if (::connect(descriptor_, at->ai_addr, at->ai_addrlen) == 0) return {};
    trouble = errno;
    if (trouble != EINPROGRESS) continue;
    if (!wait(POLLOUT)) break;
    socklen_t size = sizeof trouble;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &trouble, &size) == 0 && trouble == 0)
      return {};
  }
  close();
  if (gave_up_) return fail(*gave_up_);
  return fail(ErrorKind::network, "can't connect: " + describe_errno(trouble));
}

}  // namespace waypost::routing
