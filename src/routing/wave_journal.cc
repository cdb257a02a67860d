#include "waypost/routing/waves.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace waypost::routing {
namespace {

class FileWaveJournal final : public WaveJournal {
 public:
  explicit FileWaveJournal(std::string path) : path_(std::move(path)) {}
  ~FileWaveJournal() override {
    if (fd_ >= 0) ::close(fd_);
  }
  FileWaveJournal(const FileWaveJournal&) = delete;
  FileWaveJournal& operator=(const FileWaveJournal&) = delete;

  const std::vector<WaveCommand>& commands() const override { return commands_; }

  Result<> read(const std::function<void(const std::string&)>& complain) {
    errno = 0;
    std::ifstream file(path_, std::ios::binary);
    if (!file) {
      if (errno == ENOENT) return {};
      return trouble("can't be read", errno);
    }
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
      if (file.eof()) {  // no line break: a crash tore it
        complain(path_ + ":" + std::to_string(number) +
                 ": the last line is torn (a crash while it was written); it is left out");
        break;
      }
      whole_octets_ += line.size() + 1;
      if (line.empty()) continue;
      auto command = wave_command_from_json(line);
      if (command)
        commands_.push_back(std::move(*command));
      else
        complain(path_ + ":" + std::to_string(number) + ": " + command.error().message +
                 "; the line is left out");
    }
    if (file.bad()) return trouble("can't be read", errno);
    return {};
  }

  Result<> append(const WaveCommand& command) override {
    if (broken_)
      return fail(ErrorKind::read_only,
                  path_ +
                      ": could not be mended after a failed write; restart the daemon when "
                      "the disk is well again");
    const auto line = to_json(command) + "\n";
    // What could not be read again would be forgotten at the next start.
    if (const auto readable = wave_command_from_json({line.data(), line.size() - 1}); !readable)
      return fail(readable.error());
    if (auto opened = open_file(); !opened) return opened;
    if (auto written = write(line); !written) {
      cut_off();
      return written;
    }
    whole_octets_ += line.size();
    commands_.push_back(command);
    return {};
  }

 private:
  std::unexpected<Error> trouble(const char* what, int code) const {
    return fail(ErrorKind::io, path_ + ": " + what + ": " + describe_errno(code));
  }

  Result<> open_file() {
    if (fd_ >= 0) return {};
    const bool fresh = ::access(path_.c_str(), F_OK) != 0;
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd_ < 0) return trouble("can't be opened", errno);
    if (fresh) {
      if (auto synced = sync_folder(); !synced) {
        ::unlink(path_.c_str());  // so that the next try syncs again
        close_file();
        return synced;
      }
    }
    // The next line must not be glued to what a crash has left behind.
    struct stat info{};
    if (::fstat(fd_, &info) == 0 && static_cast<std::uint64_t>(info.st_size) > whole_octets_ &&
        ::ftruncate(fd_, static_cast<off_t>(whole_octets_)) != 0) {
      const int code = errno;
      close_file();
      return trouble("its torn last line can't be cut off", code);
    }
    return {};
  }

  /// A new name is only safe when its folder is synced.
  Result<> sync_folder() const {
    auto folder = std::filesystem::path(path_).parent_path().string();
    if (folder.empty()) folder = ".";
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return trouble("its folder can't be opened", errno);
    const int code = ::fsync(fd) != 0 ? errno : 0;
    ::close(fd);
    if (code != 0) return trouble("its folder can't be synced", code);
    return {};
  }

  Result<> write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::write(fd_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return trouble("can't be written", errno);
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fdatasync(fd_) != 0) return trouble("can't be synced", errno);
    return {};
  }

  /// What did not happen must not be read after a restart.
  void cut_off() {
    broken_ = ::ftruncate(fd_, static_cast<off_t>(whole_octets_)) != 0 || ::fdatasync(fd_) != 0;
  }

  void close_file() {
    ::close(fd_);
    fd_ = -1;
  }

  std::string path_;
  int fd_ = -1;
  std::uint64_t whole_octets_ = 0;  // up to here the file consists of whole lines
  bool broken_ = false;
  std::vector<WaveCommand> commands_;
};

}  // namespace

Result<std::unique_ptr<WaveJournal>> WaveJournal::open(
    const std::string& path, const std::function<void(const std::string&)>& complain) {
  auto journal = std::make_unique<FileWaveJournal>(path);
  if (auto read = journal->read(complain); !read) return fail(read.error());
  return journal;
}

}  // namespace waypost::routing
