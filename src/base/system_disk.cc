// Disk on the machine's own file system.
#include "waypost/base/disk.h"

#include <climits>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace waypost {
namespace {

std::unexpected<Error> failed(const char* what, const std::string& path, int error) {
  // EFBIG: the limit that the process has on the size of files (LimitFSIZE=, ulimit -f).
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const auto kind = full              ? ErrorKind::exhausted
                    : error == ENOENT ? ErrorKind::not_found
                                      : ErrorKind::io;
  return fail(kind, std::string(what) + " " + path + ": " + describe_errno(error));
}

class SystemFile final : public File {
 public:
  SystemFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~SystemFile() override { ::close(fd_); }
  SystemFile(const SystemFile&) = delete;
  SystemFile& operator=(const SystemFile&) = delete;

  Result<> write_at(std::uint64_t offset, std::span<const iovec> from) override {
    std::vector<iovec> rest(from.begin(), from.end());
    std::size_t first = 0;
    while (first < rest.size()) {
      const auto count = static_cast<int>(std::min<std::size_t>(rest.size() - first, IOV_MAX));
      const ssize_t n = ::pwritev(fd_, rest.data() + first, count, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("cannot write", path_, errno);
      offset += static_cast<std::uint64_t>(n);
      auto done = static_cast<std::size_t>(n);
      while (first < rest.size() && done >= rest[first].iov_len) done -= rest[first++].iov_len;
      if (first < rest.size() && done > 0) {
        rest[first].iov_base = static_cast<char*>(rest[first].iov_base) + done;
        rest[first].iov_len -= done;
      } else if (n == 0 && first < rest.size()) {
        return failed("cannot write", path_, EIO);
      }
    }
    return {};
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t n =
          ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("cannot read", path_, errno);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }
  Result<> sync_data() override {
    if (::fdatasync(fd_) != 0) return failed("cannot sync", path_, errno);
    return {};
  }
  void write_back(std::uint64_t offset, std::uint64_t octets) override {
    (void)::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(octets),
                            SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  }
  void forget_cached() override { (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }
  Result<> preallocate(std::uint64_t octets) override {
    const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(octets));
    if (error != 0) return failed("cannot allocate space for", path_, error);
    return {};
  }
  Result<std::uint64_t> size() override {
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return failed("cannot stat", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }
  Place place() override {
    struct stat own{};
    struct stat named{};
    if (::fstat(fd_, &own) != 0) return Place::its_own;  // reading and writing will tell
    if (own.st_nlink == 0) return Place::removed;
    if (::stat(path_.c_str(), &named) != 0)
      return errno == ENOENT || errno == ENOTDIR ? Place::elsewhere : Place::its_own;
    const bool same = own.st_dev == named.st_dev && own.st_ino == named.st_ino;
    return same ? Place::its_own : Place::elsewhere;
  }

 private:
  int fd_;
  std::string path_;
};

struct HeldLocks {
  HeldLocks() = default;
  HeldLocks(const HeldLocks&) = delete;
  HeldLocks& operator=(const HeldLocks&) = delete;
  ~HeldLocks() {
    if (file >= 0) ::close(file);
    if (folder >= 0) ::close(folder);
  }
  int file = -1, folder = -1;
};

Result<> lock_descriptor(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK)
    return fail(ErrorKind::io,
                "cannot lock " + path + ": another waypost uses this spool; stop it first");
  // A network file system that locks no folders: the file alone has to do.
  if (errno == EBADF || errno == EOPNOTSUPP || errno == ENOLCK || errno == EINVAL) {
    struct stat info{};
    if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) return {};
  }
  return failed("cannot lock", path, errno);
}

class SystemDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, bool create, unsigned mode) override {
    int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_NOFOLLOW : 0), mode);
    // An operator who may only read can still verify and dump.
    if (fd < 0 && (errno == EACCES || errno == EROFS) && !create) {
      fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) return failed("cannot open", path, errno);
    return std::make_unique<SystemFile>(fd, path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* handle = ::opendir(directory.c_str());
    if (handle == nullptr) return failed("cannot list", directory, errno);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(handle)) {
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    ::closedir(handle);
    std::sort(names.begin(), names.end());
    return names;
  }
  Result<> make_directory(const std::string& directory) override {
    std::error_code error;
    if (directory.empty() || std::filesystem::is_directory(directory, error)) return {};
    const auto parent = std::filesystem::path(directory).parent_path();
    if (auto made = make_directory(parent.string()); !made) return made;
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return failed("cannot create", directory, errno);
    }
    // What is acknowledged below a name is lost with the name.
    return sync_directory(parent.empty() ? "." : parent.string());
  }
  Result<> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failed("cannot rename", from, errno);
    return {};
  }
  Result<> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return failed("cannot remove", path, errno);
    return {};
  }
  Result<> sync_directory(const std::string& directory) override {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("cannot open", directory, errno);
    const int result = ::fsync(fd);
    const int error = errno;
    ::close(fd);
    if (result != 0) return failed("cannot sync", directory, error);
    return {};
  }
  Result<std::uint64_t> free_octets(const std::string& directory) override {
    struct statvfs info{};
    if (::statvfs(directory.c_str(), &info) != 0) return failed("cannot stat", directory, errno);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }
  Result<std::shared_ptr<void>> lock(const std::string& path) override {
    auto held = std::make_shared<HeldLocks>();
    held->file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (held->file < 0) return failed("cannot open", path, errno);
    if (auto locked = lock_descriptor(held->file, path); !locked) return fail(locked.error());
    // Somebody may remove the file, and the next would lock a new one: so the folder too.
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    held->folder =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (held->folder < 0) return failed("cannot open", folder, errno);
    if (auto locked = lock_descriptor(held->folder, path); !locked) return fail(locked.error());
    return std::shared_ptr<void>(std::move(held));
  }
};

}  // namespace

Disk& Disk::system() {
  static SystemDisk disk;
  return disk;
}

}  // namespace waypost
