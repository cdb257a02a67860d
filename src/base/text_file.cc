#include "waypost/base/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace waypost {
namespace {

constexpr std::size_t kMostOctets = 16u << 20;

class Descriptor {
 public:
  /// Never waits: a pipe without a writer would hold a daemon's start.
  explicit Descriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> unreadable(const std::string& path, int trouble) {
  return fail(ErrorKind::io, path + ": cannot be read: " + describe_errno(trouble));
}

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
  const Descriptor file(path);
  if (file.get() < 0) return unreadable(path, errno);
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return unreadable(path, errno);
  if (S_ISDIR(about.st_mode)) return fail(ErrorKind::io, path + ": cannot be read: it is a folder");
  if (!S_ISREG(about.st_mode))
    return fail(ErrorKind::io, path + ": cannot be read: it is not a regular file");
  std::string text;
  char block[16'384];
  for (;;) {
    const auto got = ::read(file.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(path, errno);
    if (got == 0) break;
    text.append(block, static_cast<std::size_t>(got));
    if (text.size() > kMostOctets)
      return fail(ErrorKind::invalid, path + ": is larger than 16 MiB; is it the right file?");
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return fail(
        ErrorKind::invalid,
        path + ": is UTF-16 text; save it as UTF-8 (PowerShell: Set-Content -Encoding utf8)");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

Result<std::string> first_line_of(const std::string& path) {
  auto text = read_text_file(path);
  if (!text) return text;
  std::string line = text->substr(0, text->find('\n'));
  if (line.ends_with('\r')) line.pop_back();
  if (line.empty())
    return fail(ErrorKind::invalid, path + ":1: the first line is empty; write the password there");
  return line;
}

}  // namespace waypost
