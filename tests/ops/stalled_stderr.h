// Standard error as a pipe whose reader does not read, while this lives.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

namespace waypost::ops {

class StalledStderr {
 public:
  StalledStderr() : saved_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) == 0) {
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
      ::dup2(ends[1], STDERR_FILENO);
      ::close(ends[1]);
    }
    reader_ = ends[0];
  }
  ~StalledStderr() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    ::close(reader_);
  }
  StalledStderr(const StalledStderr&) = delete;
  StalledStderr& operator=(const StalledStderr&) = delete;
  /// What is in the pipe now.
  std::string read_some() {
    std::string read;
    char octets[4096];
    for (ssize_t n = 0; (n = ::read(reader_, octets, sizeof octets)) > 0;)
      read.append(octets, static_cast<std::size_t>(n));
    return read;
  }

 private:
  int saved_, reader_ = -1;
};

}  // namespace waypost::ops
