// The disk as a contract: everything that must be durable goes through it, so that a test can lose,
// tear and fail it. `durable.h` has the ways of writing that are safe on it.
#pragma once

#include "waypost/base/result.h"

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace waypost {

/// One open file. read_at may be called from any thread; the rest from one thread at a time.
class File {
 public:
  virtual ~File() = default;
  virtual Result<> write_at(std::uint64_t offset,
                            std::span<const iovec> from) = 0;  // all or an error
  virtual Result<std::size_t> read_at(std::uint64_t offset,
                                      std::span<char> into) = 0;  // short only at the end
  virtual Result<> sync_data() = 0;                               // fdatasync
  /// Starts and awaits the writing of this range, so that a later sync finds little to do. A hint:
  /// it promises nothing about a crash.
  virtual void write_back(std::uint64_t /*offset*/, std::uint64_t /*octets*/) {}
  /// Drops what the system keeps of this file in memory, so that the next read tells what the disk
  /// has. A hint; what is not synced stays.
  virtual void forget_cached() {}
  virtual Result<> preallocate(std::uint64_t octets) = 0;  // posix_fallocate and size
  virtual Result<std::uint64_t> size() = 0;
  /// What the path leads to under which this was opened; only where the system can say it.
  /// `elsewhere`: to nothing or to another file, as when the folder was moved or something was
  /// mounted over it; `removed`: the file has no name at all any more, and goes with the process.
  enum class Place : std::uint8_t { its_own, elsewhere, removed };
  virtual Place place() { return Place::its_own; }
};

class Disk {
 public:
  virtual ~Disk() = default;
  /// `mode` is that of a file that is made. A link in its place is not followed then.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, bool create,
                                             unsigned mode = 0600) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Result<> make_directory(const std::string& directory) = 0;  // with parents, mode 0700
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<> remove(const std::string& path) = 0;
  virtual Result<> sync_directory(const std::string& directory) = 0;
  virtual Result<std::uint64_t> free_octets(const std::string& directory) = 0;
  /// Takes the exclusive lock of a directory for the life of the returned object.
  virtual Result<std::shared_ptr<void>> lock(const std::string& path) = 0;

  static Disk& system();
};

}  // namespace waypost
