#include "app/check_machine.h"

#include "waypost/base/counted.h"
#include "waypost/net/bound_socket.h"

#include "app/disk_room.h"
#include "app/running_daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace waypost::app {
namespace {

namespace fs = std::filesystem;
using Level = config::Diagnostic::Level;

/// Made by the unit (StateDirectory= and its like) before the daemon starts.
bool is_made_by_unit(const fs::path& folder) {
  return folder == "/run/waypost" || folder == "/var/lib/waypost" || folder == "/var/log/waypost";
}

fs::path folder_of(const std::string& file) {
  const auto folder = fs::path(file).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

class MachineCheck {
 public:
  MachineCheck(const config::Config& config, const CheckedAs& as)
      : config_(config), as_(as), user_(as.user) {}

  MachineReport run() {
    report_.running = holder_of_spool(config_.spool.directory);
    if (report_.running) its_ports_ = ports_of(*report_.running);
    check_spool();
    check_log("log.file", config_.log.path, Level::error);
    check_log("tracking.file", config_.tracking.path,
              config_.tracking_is_asked_for ? Level::error : Level::warning);
    check_admin_socket();
    for (const auto& directory : config_.directories)
      check_folder("directories." + directory.name + ".snapshot", folder_of(directory.snapshot),
                   Makes::folders, Level::error);
    check_ports();
    return std::move(report_);
  }

 private:
  enum class Makes : std::uint8_t { folders, files };  // what the daemon makes by itself

  void find(Level level, const std::string& path, std::string message) {
    const auto place = config::nearest_place(config_.places, path);
    report_.findings.push_back(config::Diagnostic{level, config_.file, place.line, place.column,
                                                  "'" + path + "': " + std::move(message)});
  }

  std::string give(const std::string& what) const {
    return "; let it: chown -R " + user_ + " " + what;
  }

  /// False: something was said, or there is nothing to look into yet.
  bool check_folder(const std::string& path, const fs::path& folder, Makes makes, Level level) {
    struct stat about{};
    if (::stat(folder.c_str(), &about) != 0) return check_absent(path, folder, makes, level, errno);
    if (!S_ISDIR(about.st_mode)) {
      find(level, path, "'" + folder.string() + "' is not a folder; name another one");
      return false;
    }
    if (::access(folder.c_str(), R_OK | W_OK | X_OK) == 0) return true;
    find(level, path,
         errno == EROFS ? "the folder '" + folder.string() +
                              "' is on a disk that is mounted "
                              "read-only"
                        : "the user '" + user_ + "' may not write to the folder '" +
                              folder.string() + "'" + give(folder.string()));
    return false;
  }

  bool check_absent(const std::string& path, const fs::path& folder, Makes makes, Level level,
                    int trouble) {
    if (trouble != ENOENT) {
      find(level, path,
           "the user '" + user_ + "' can't look at the folder '" + folder.string() +
               "': " + describe_errno(trouble));
      return false;
    }
    fs::path above = folder;
    while (!above.empty() && ::access(above.c_str(), F_OK) != 0 && !is_made_by_unit(above) &&
           above != above.parent_path())
      above = above.parent_path();
    if (above.empty()) above = ".";
    if (is_made_by_unit(above) && ::access(above.c_str(), F_OK) != 0) {
      const std::string note = above.string() +
                               " is not there yet: the systemd unit makes it; without that: "
                               "install -d -m 0750 -o " +
                               user_ + " " + above.string();
      if (std::find(report_.notes.begin(), report_.notes.end(), note) == report_.notes.end())
        report_.notes.push_back(note);
    } else if (makes == Makes::files) {
      find(level, path,
           "the folder '" + folder.string() +
               "' does not exist; make it: install -d "
               "-m 0750 -o " +
               user_ + " " + folder.string());
    } else if (::access(above.c_str(), W_OK | X_OK) != 0) {
      find(level, path,
           "the folder '" + folder.string() + "' does not exist, and the user '" + user_ +
               "' may not make it in '" + above.string() + "'; make it: install -d -m 0700 -o " +
               user_ + " " + folder.string());
    }
    return false;
  }

  /// Somebody who ran the daemon as root once has left files that are root's.
  void check_spool() {
    const std::string& folder = config_.spool.directory;
    if (!check_folder("spool.directory", folder, Makes::folders, Level::error)) return;
    std::string first;
    std::uint64_t many = 0;
    std::error_code error;
    for (const auto& one : fs::directory_iterator(folder, error)) {
      if (::access(one.path().c_str(), R_OK | W_OK) == 0) continue;
      if (many++ == 0 || one.path().string() < first) first = one.path().string();
    }
    if (many > 0)
      find(Level::error, "spool.directory",
           "the user '" + user_ + "' may not write to " + counted(many, "file") + " in '" + folder +
               "', such as " + first + " (waypost has run as another user)" + give(folder));
  }

  void check_log(const std::string& path, const std::string& file, Level level) {
    if (file.empty()) return;
    struct stat about{};
    if (::stat(file.c_str(), &about) != 0) {
      check_folder(path, folder_of(file), Makes::files, level);
    } else if (S_ISREG(about.st_mode) && ::access(file.c_str(), W_OK) != 0) {
      find(level, path, "the user '" + user_ + "' may not write to '" + file + "'" + give(file));
    }
  }

  void check_admin_socket() {
    const std::string& socket = config_.admin.socket;
    constexpr std::size_t kLongest = 107;  // sockaddr_un
    if (socket.size() > kLongest)
      find(Level::error, "admin.socket",
           "the path of a socket may have 107 octets, and this one has " +
               std::to_string(socket.size()) + "; choose a shorter one");
    struct stat about{};
    if (::lstat(socket.c_str(), &about) == 0 && !S_ISSOCK(about.st_mode))
      find(Level::error, "admin.socket",
           "'" + socket + "' is there and is no socket; remove it or name another one");
    else if (!report_.running && somebody_answers_at(socket))
      find(Level::error, "admin.socket",
           "another daemon, with another spool, answers at '" + socket +
               "': this one would not start, and commands would be carried out by that one; name "
               "another socket");
    else
      check_folder("admin.socket", folder_of(socket), Makes::files, Level::error);
  }

  /// It is the daemon that runs: a restart gets the port back.
  bool is_held_by_daemon(std::uint16_t port) const {
    if (!report_.running) return false;
    return !its_ports_ ||
           std::find(its_ports_->begin(), its_ports_->end(), port) != its_ports_->end();
  }

  void check_port(const std::string& path, const std::string& address, std::uint16_t port) {
    const auto bound = net::BoundSocket::bind(address, port);
    if (bound) return;
    const bool taken = bound.error().kind == ErrorKind::exhausted;
    if (taken && is_held_by_daemon(port)) return;
    const std::string where = net::Endpoint{address, port}.to_string();
    if (bound.error().kind == ErrorKind::unsupported && port < 1024 && !as_.by_root) {
      report_.notes.push_back("port " + std::to_string(port) +
                              " was not tried: it needs CAP_NET_BIND_SERVICE, which the systemd "
                              "unit gives and this user has not; run check as root to try it");
      return;
    }
    find(Level::error, path, where + ": " + bound.error().message);
  }

  void check_ports() {
    for (std::size_t i = 0; i < config_.inbound.listeners.size(); ++i) {
      const auto& listener = config_.inbound.listeners[i];
      check_port("listeners[" + std::to_string(i) + "].port", listener.address, listener.port);
    }
    if (config_.admin.http_port != 0)
      check_port("admin.http_port", config_.admin.http_address, config_.admin.http_port);
  }

  const config::Config& config_;
  const CheckedAs& as_;
  const std::string& user_;
  MachineReport report_;
  std::optional<std::vector<std::uint16_t>> its_ports_;
};

}  // namespace

MachineReport check_machine(const config::Config& config, const CheckedAs& as) {
  auto report = MachineCheck(config, as).run();
  if (const auto trouble = room_trouble(config.spool); !trouble.empty())
    report.findings.push_back(
        config::Diagnostic{config::Diagnostic::Level::warning, config.file, 0, 0, trouble});
  return report;
}

}  // namespace waypost::app
