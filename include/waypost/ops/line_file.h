// Where the service log and the tracking log are appended to.
//
// LineFile owns one open descriptor. Opening never waits for a reader or a hung disk: special files
// other than terminals and the null device's kin are refused, and everything has a deadline.
// Writing is for the threads of the logs alone, for it may wait.
#pragma once

#include "waypost/base/result.h"

#include <memory>
#include <string>
#include <string_view>

namespace waypost::ops {

class LineFile {
 public:
  /// `setting`: the key of the configuration, for the advice in an error. ErrorKind::invalid: that
  /// kind of file is refused; io, timeout: this one can't be had now. "/dev/stderr" and
  /// "/dev/stdout", also behind symbolic links, are what the process has there, whatever it is.
  static Result<std::shared_ptr<LineFile>> open(const std::string& path, std::string_view setting);
  /// What open() would refuse about the path for its kind, without opening or making it.
  static Result<> examine(const std::string& path, std::string_view setting);

  LineFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }

 private:
  const std::string path_;
  const int fd_;
};

}  // namespace waypost::ops
