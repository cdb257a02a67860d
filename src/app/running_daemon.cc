#include "app/running_daemon.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace waypost::app {
namespace {

/// "fe:00:1234567", as /proc/locks names a file (proc_locks(5)).
std::string lock_name(const struct stat& file) {
  char text[64];
  std::snprintf(text, sizeof text, "%02x:%02x:%llu", major(file.st_dev), minor(file.st_dev),
                static_cast<unsigned long long>(file.st_ino));
  return text;
}

/// The port of a line of /proc/net/tcp whose socket is one of these and listens.
std::optional<std::uint16_t> listening_port(const std::string& line,
                                            const std::set<std::string>& sockets) {
  std::istringstream words(line);
  std::string slot, local, remote, state, queues, timer, resent, user, timeout, inode;
  words >> slot >> local >> remote >> state >> queues >> timer >> resent >> user >> timeout >>
      inode;
  if (state != "0A" || !sockets.contains(inode)) return std::nullopt;
  const auto colon = local.rfind(':');
  std::uint16_t port = 0;
  if (colon == std::string::npos) return std::nullopt;
  std::from_chars(local.data() + colon + 1, local.data() + local.size(), port, 16);
  return port;
}

}  // namespace

std::optional<pid_t> holder_of_spool(const std::string& directory) {
  struct stat file{};
  if (::stat((directory + "/lock").c_str(), &file) != 0) return std::nullopt;
  const std::string wanted = lock_name(file);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, manner, access, process, name;
    words >> number >> kind >> manner >> access >> process >> name;
    pid_t pid = 0;
    std::from_chars(process.data(), process.data() + process.size(), pid);
    if (kind == "FLOCK" && name == wanted && pid > 0) return pid;
  }
  return std::nullopt;
}

std::optional<std::vector<std::uint16_t>> ports_of(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  std::set<std::string> sockets;
  std::error_code error;
  for (const auto& one : std::filesystem::directory_iterator(folder + "/fd", error)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(one.path(), gone).string();
    if (target.starts_with("socket:[")) sockets.insert(target.substr(8, target.size() - 9));
  }
  if (error) return std::nullopt;
  std::vector<std::uint16_t> ports;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream lines(folder + table);
    for (std::string line; std::getline(lines, line);)
      if (const auto port = listening_port(line, sockets)) ports.push_back(*port);
  }
  return ports;
}

bool somebody_answers_at(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return false;
  std::copy(socket.begin(), socket.end(), address.sun_path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int done = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool answers = done == 0 || errno == EAGAIN;  // its queue is full
  ::close(fd);
  return answers;
}

}  // namespace waypost::app
