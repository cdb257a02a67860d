#include "waypost/base/result.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace waypost {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return "invalid";
    case ErrorKind::not_found:
      return "not found";
    case ErrorKind::timeout:
      return "timeout";
    case ErrorKind::closed:
      return "closed";
    case ErrorKind::network:
      return "network";
    case ErrorKind::tls:
      return "tls";
    case ErrorKind::dns:
      return "dns";
    case ErrorKind::protocol:
      return "protocol";
    case ErrorKind::io:
      return "io";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::exhausted:
      return "exhausted";
    case ErrorKind::read_only:
      return "read-only";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::unsupported:
      return "unsupported";
  }
  return "unknown";
}

std::string describe_errno(int errno_value) {
  return std::generic_category().message(errno_value) + " (errno " + std::to_string(errno_value) +
         (errno_value == EFBIG ? "; a limit of the process, LimitFSIZE= or ulimit -f)" : ")");
}

void invariant_failed(const char* expression, const char* file, int line) {
  // A reader of standard error that stalls must not keep a broken process alive.
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 1000) != 1) std::abort();
  std::fprintf(stderr, "waypost: bug: %s:%d: invariant '%s' does not hold; aborting\n", file, line,
               expression);
  std::abort();
}

}  // namespace waypost
