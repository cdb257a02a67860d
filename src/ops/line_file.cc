#include "waypost/ops/line_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace waypost::ops {
namespace {

constexpr std::chrono::seconds kPatience{3};
constexpr unsigned kMemoryDevices = 1;  // major number of /dev/null, /dev/zero, /dev/full
constexpr int kMostLinks = 8;

/// open(2) and stat(2) hang when their disk does; then nobody waits for the answer any more.
template <class Answer>
std::optional<Answer> within(std::chrono::milliseconds patience, std::function<Answer()> ask) {
  auto promise = std::make_shared<std::promise<Answer>>();
  auto coming = promise->get_future();
  try {
    std::thread([promise, ask] { promise->set_value(ask()); }).detach();
  } catch (const std::system_error&) {  // no thread to be had
    return std::nullopt;
  }
  if (coming.wait_for(patience) != std::future_status::ready) return std::nullopt;
  return coming.get();
}

/// The descriptor that a path stands for; -1: it is a file like others. A pipe or socket that
/// stands there can't be opened by its name, or only as another one.
int standard_stream(std::string path) {
  for (int links = 0; links < kMostLinks; ++links) {
    for (const char* folder : {"/dev/fd/", "/proc/self/fd/"}) {
      if (path == folder + std::to_string(STDOUT_FILENO)) return STDOUT_FILENO;
      if (path == folder + std::to_string(STDERR_FILENO)) return STDERR_FILENO;
    }
    if (path == "/dev/stdout") return STDOUT_FILENO;
    if (path == "/dev/stderr") return STDERR_FILENO;
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error) return -1;
    path = (std::filesystem::path(path).parent_path() / target).lexically_normal().string();
  }
  return -1;
}

/// What kind of thing it is, if that is no place for lines; empty: it is one. `terminal`: what
/// isatty() says, or true if it can't be asked.
std::string unfit(const struct stat& file, bool terminal) {
  if (S_ISFIFO(file.st_mode)) return "a named pipe, and writing would wait for whoever reads it";
  if (S_ISSOCK(file.st_mode)) return "a socket";
  if (S_ISDIR(file.st_mode)) return "a directory";
  if (S_ISBLK(file.st_mode)) return "a block device";
  if (S_ISCHR(file.st_mode) && major(file.st_rdev) != kMemoryDevices && !terminal)
    return "a device that is no terminal";
  return {};
}

std::string words(const std::string& path, std::string_view setting, const std::string& what,
                  const char* advice) {
  return std::string(setting) + ": " + path + " " + what + "; " + advice;
}

std::unexpected<Error> refused(const std::string& path, std::string_view setting,
                               const std::string& kind) {
  return fail(ErrorKind::invalid,
              words(path, setting, "is " + kind,
                    "name a regular file, a terminal, /dev/stderr or /dev/null"));
}

std::unexpected<Error> hangs(const std::string& path, std::string_view setting) {
  return fail(ErrorKind::timeout, words(path, setting, "can't be opened: its disk does not answer",
                                        "look at the disk, or name a file on another one"));
}

Result<> examine_now(const std::string& path, std::string_view setting) {
  struct stat file{};
  if (standard_stream(path) >= 0 || ::stat(path.c_str(), &file) != 0) return {};
  if (const auto kind = unfit(file, true); !kind.empty()) return refused(path, setting, kind);
  return {};
}

Result<std::shared_ptr<LineFile>> open_now(const std::string& path, std::string_view setting) {
  const int stream = standard_stream(path);
  if (stream >= 0) {
    const int copy = ::fcntl(stream, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy >= 0) return std::make_shared<LineFile>(path, copy);
  }
  if (auto fit = examine_now(path, setting); !fit) return fail(std::move(fit).error());
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
  if (fd < 0)
    return fail(ErrorKind::io,
                words(path, setting, "can't be opened: " + describe_errno(errno),
                      "create its directory and let Waypost's user write there, or name another "
                      "file"));
  auto opened = std::make_shared<LineFile>(path, fd);
  struct stat file{};
  if (::fstat(fd, &file) != 0)
    return fail(ErrorKind::io, words(path, setting, "can't be looked at: " + describe_errno(errno),
                                     "name another file"));
  if (const auto kind = unfit(file, ::isatty(fd) == 1); !kind.empty())
    return refused(path, setting, kind);
  ::fcntl(fd, F_SETFL, O_APPEND);  // the thread that writes may wait
  return opened;
}

}  // namespace

LineFile::~LineFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> LineFile::examine(const std::string& path, std::string_view setting) {
  const std::string key(setting);
  const auto answer = within<Result<>>(kPatience, [path, key] { return examine_now(path, key); });
  return answer ? *answer : hangs(path, setting);
}

Result<std::shared_ptr<LineFile>> LineFile::open(const std::string& path,
                                                 std::string_view setting) {
  const std::string key(setting);
  const auto answer = within<Result<std::shared_ptr<LineFile>>>(
      kPatience, [path, key] { return open_now(path, key); });
  return answer ? *answer : hangs(path, setting);
}

}  // namespace waypost::ops
