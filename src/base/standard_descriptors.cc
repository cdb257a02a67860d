#include "waypost/base/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace waypost {

DescriptorsAtStart hold_standard_descriptors() {
  DescriptorsAtStart start;
  constexpr int kExitOsError = 71;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (fd == STDOUT_FILENO) start.output_was_open = false;
    // The lowest free number is this one: those below it are open by now. Not O_CLOEXEC, as is
    // usual for these three.
    if (::open("/dev/null", O_RDWR) != fd) ::_exit(kExitOsError);  // nowhere to say why
  }
  return start;
}

}  // namespace waypost
