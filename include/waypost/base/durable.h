// Durable writing: the only two ways in which Waypost keeps anything on a disk outside of the
// spool's segments.
//
// One rule for both. A failed sync is never retried: the kernel may have dropped what it could not
// write and call the next sync good. From then on nothing can be promised of that file until a
// restart, and usable() says so. A write that failed (a full disk) fails only what was to be
// written: the file reads as before, and the next write may succeed.
//
// One thread at a time, blocking.
#pragma once

#include "waypost/base/disk.h"

#include <functional>
#include <string>
#include <string_view>

namespace waypost {

/// What a file may still promise.
class SyncTrust {
 public:
  /// ErrorKind::read_only after a failed sync.
  Result<> usable(const std::string& path) const;
  Result<> sync(File& file);
  /// A name that came, went or moved is safe only when its folder is synced.
  Result<> sync_folder_of(Disk& disk, const std::string& path);

 private:
  Result<> note(Result<> synced);
  std::string trouble_;  // of the first failed sync
};

/// A file that is only ever replaced as a whole: written beside, synced, renamed, and the folder
/// synced. On an Error the old content stays (after a failed sync of the folder: the old or the
/// new).
class DurableFile {
 public:
  /// REQUIRES: `disk` outlives it.
  DurableFile(Disk& disk, std::string path, unsigned mode = 0600)
      : disk_(disk), path_(std::move(path)), mode_(mode) {}
  const std::string& path() const { return path_; }
  Result<> usable() const { return trust_.usable(path_); }
  enum class Lasting : std::uint8_t {
    yes,
    content_only,  // the folder is not synced: after a power cut the old content may be there again
  };
  Result<> replace(std::string_view content, Lasting lasting = Lasting::yes);

 private:
  Disk& disk_;
  std::string path_;
  unsigned mode_;
  SyncTrust trust_;
};

/// A file of lines. append() returns when its line is on stable storage; each is synced before the
/// next is written, so that only the last can be torn. What a crash or a failed write has left
/// behind the last whole line is covered by the next one (which is filled up with blanks if need
/// be).
class AppendJournal {
 public:
  /// `take` is asked of each line that is not blank; its Error says why the line makes no sense.
  using Take = std::function<Result<>(std::string_view line)>;
  struct Defect {
    std::size_t line = 0;  // from 1
    std::string why;
    bool last = false;  // torn: whoever asked for it was not told that it is done
  };

  /// REQUIRES: `disk` outlives it.
  AppendJournal(Disk& disk, std::string path, unsigned mode = 0600)
      : disk_(disk), path_(std::move(path)), mode_(mode) {}
  const std::string& path() const { return path_; }

  /// Once, before anything else; no file is no lines. A last line without its line break, or one
  /// that makes no sense, is a Defect that the next append covers; one before it stays as it is.
  Result<> read(const Take& take, const std::function<void(const Defect&)>& defect);
  bool exists() const { return file_ != nullptr; }
  Result<> usable() const { return trust_.usable(path_); }
  /// `line` without a line break. On an Error it did not happen: it is not there after a restart
  /// (but perhaps after a power cut, if its sync failed).
  Result<> append(std::string_view line);
  /// What the last append() wrote did not happen after all. REQUIRES: it succeeded, and nothing was
  /// written since. As after an append() that failed.
  void take_back();
  /// Whole lines in place of all that is there; empty: the file is removed. On an Error the old
  /// lines stay in use.
  Result<> rewrite(std::string_view lines);

 private:
  Result<> open_for_append();
  Result<> remove_file();
  void wipe();

  Disk& disk_;
  std::string path_;
  unsigned mode_;
  std::unique_ptr<File> file_;  // null: there is none yet
  std::uint64_t end_ = 0;       // of its last whole line
  std::uint64_t last_ = 0;      // where the last append() began
  bool named_ = false;          // its name is on stable storage
  SyncTrust trust_;
};

/// All of a file. ErrorKind::not_found, io.
Result<std::string> content_of(File& file);

}  // namespace waypost
