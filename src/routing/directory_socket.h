// A TCP connection whose every wait ends by its Patience.
//
// Private to routing; one thread. libldap's own waits for a name, a connection or half a message
// can't be cut; so this file waits in its place, a tenth of a second at a time. It is the lowest
// layer below libldap and its TLS (see directory_ldap.cc).
#pragma once

#include "routing/directory_wire.h"

#include <sys/types.h>

#include <cstddef>

namespace waypost::routing {

class DirectorySocket {
 public:
  DirectorySocket() = default;
  DirectorySocket(const DirectorySocket&) = delete;
  DirectorySocket& operator=(const DirectorySocket&) = delete;
  ~DirectorySocket() { close(); }

  /// Every address of the server in turn. ErrorKind::dns, network, timeout or cancelled.
  Result<> connect(const DirectoryServer& server, const Patience& patience);
  /// What read() and write() wait for from now on.
  void use(Patience patience) { patience_ = std::move(patience); }
  /// As read(2) and write(2); errno ETIMEDOUT or ECANCELED when patience has ended.
  ssize_t read(void* into, std::size_t size);
  ssize_t write(const void* from, std::size_t size);
  /// Why the last read or write was given up; nullopt: it was not.
  const std::optional<Error>& gave_up() const { return gave_up_; }
  int descriptor() const { return descriptor_; }
  void close();

 private:
  bool patient();
  bool wait(short events);

  int descriptor_ = -1;
  Patience patience_;
  std::optional<Error> gave_up_;
};

}  // namespace waypost::routing
