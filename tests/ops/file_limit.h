// A file that takes no more after so many octets.
#pragma once

#include <sys/resource.h>

#include <csignal>

namespace waypost::ops {

/// A disk that is full after so many octets of one file.
class FileLimit {
 public:
  explicit FileLimit(rlim_t octets) {
    before_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit now{octets, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, before_);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit old_{};
  void (*before_)(int) = SIG_DFL;
};

}  // namespace waypost::ops
