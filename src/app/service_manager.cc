#include "app/service_manager.h"

#include <systemd/sd-daemon.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace waypost::app {
namespace {

std::uint64_t monotonic_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

struct Address {
  sockaddr_un name{};
  socklen_t octets = 0;
};

/// NOTIFY_SOCKET, "/a/path" or "@an abstract name"; nullopt: there is nobody to tell.
std::optional<Address> manager() {
  const char* named = std::getenv("NOTIFY_SOCKET");
  const std::string_view text = named == nullptr ? "" : named;
  Address address;
  if (text.size() < 2 || text.size() >= sizeof address.name.sun_path) return std::nullopt;
  if (text.front() != '/' && text.front() != '@') return std::nullopt;
  address.name.sun_family = AF_UNIX;
  std::memcpy(address.name.sun_path, text.data(), text.size());
  const bool abstract = text.front() == '@';
  if (abstract) address.name.sun_path[0] = '\0';
  address.octets =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + (abstract ? 0 : 1));
  return address;
}

/// False: its queue is full, later may do. libsystemd's sd_notify() would wait there for as long as
/// the manager does not read, and with it everything that the main thread answers.
bool send_now(const std::string& state) {
  const auto to = manager();
  if (!to) return true;
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&to->name), to->octets);
  const int error = sent < 0 ? errno : 0;
  ::close(fd);
  return error != EAGAIN && error != EINTR && error != ENOBUFS;
}

/// The newest word on how the service stands, if it could not be sent. A later one takes its place.
std::string unsent;

bool send_unsent() {
  if (!unsent.empty() && send_now(unsent)) unsent.clear();
  return unsent.empty();
}

/// Must arrive: without it the manager would wait for the end of a start or a reload.
void tell_standing(std::string state) {
  unsent = std::move(state);
  send_unsent();
}

/// May be lost: the next one comes soon.
void tell(const std::string& state) {
  if (send_unsent()) send_now(state);
}

}  // namespace

void notify_ready(const std::string& status) { tell_standing("READY=1\nSTATUS=" + status); }
void notify_reloading() {
  tell_standing("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()));
}
void notify_stopping(const std::string& status) { tell_standing("STOPPING=1\nSTATUS=" + status); }
void notify_status(const std::string& status) { tell("STATUS=" + status); }
void notify_alive() { tell("WATCHDOG=1"); }

std::chrono::microseconds watchdog_interval() {
  std::uint64_t limit_us = 0;
  if (::sd_watchdog_enabled(0, &limit_us) <= 0) return std::chrono::microseconds(0);
  return std::chrono::microseconds(limit_us / 2);
}

}  // namespace waypost::app
