#include "waypost/base/durable.h"

#include <utility>

namespace waypost {
namespace {

Result<> write_at(File& file, std::uint64_t offset, std::string_view bytes) {
  const iovec all{const_cast<char*>(bytes.data()), bytes.size()};
  return file.write_at(offset, {&all, 1});
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A new file with this content in the place of `path`, synced; its folder is not.
Result<std::unique_ptr<File>> put_in_place(Disk& disk, const std::string& path, unsigned mode,
                                           std::string_view content, SyncTrust& trust) {
  const std::string beside = path + ".new";
  static_cast<void>(disk.remove(beside));  // a crash may have left one
  auto opened = disk.open(beside, true, mode);
  if (!opened) return opened;
  auto done = write_at(**opened, 0, content);
  if (done) done = trust.sync(**opened);
  if (done) done = disk.rename(beside, path);
  if (!done) {
    static_cast<void>(disk.remove(beside));
    return fail(std::move(done).error());
  }
  return opened;
}

constexpr std::string_view kReplaced =
    ": the file was replaced, moved, removed or cut while the gateway runs: what is written now "
    "would not be found after a restart; put the right file in its place, then restart the gateway";

/// Whoever reads the file by its name finds these octets there, and nothing behind them: the name
/// may lead to another file by now, such as one from a copy.
bool is_by_name(Disk& disk, const std::string& path, std::uint64_t at, std::string_view bytes) {
  const auto named = disk.open(path, false);
  if (!named) return false;
  const auto size = (*named)->size();
  if (!size || *size != at + bytes.size()) return false;
  std::string there(bytes.size(), '\0');
  const auto got = (*named)->read_at(at, {there.data(), there.size()});
  return got && *got == there.size() && there == bytes;
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

Result<> SyncTrust::usable(const std::string& path) const {
  if (trouble_.empty()) return {};
  return fail(ErrorKind::read_only, path + ": nothing more is written there: " + trouble_ +
                                        "; nobody can say what the disk has: mend it and restart "
                                        "the gateway");
}

Result<> SyncTrust::note(Result<> synced) {
  if (!synced && trouble_.empty()) trouble_ = synced.error().message;
  return synced;
}

Result<> SyncTrust::sync(File& file) { return note(file.sync_data()); }

Result<> SyncTrust::sync_folder_of(Disk& disk, const std::string& path) {
  return note(disk.sync_directory(folder_of(path)));
}

Result<> DurableFile::replace(std::string_view content, Lasting lasting) {
  if (auto can = usable(); !can) return can;
  if (auto put = put_in_place(disk_, path_, mode_, content, trust_); !put)
    return fail(std::move(put).error());
  return lasting == Lasting::yes ? trust_.sync_folder_of(disk_, path_) : Result<>{};
}

Result<> AppendJournal::read(const Take& take, const std::function<void(const Defect&)>& defect) {
  auto opened = disk_.open(path_, false);
  if (!opened && opened.error().kind == ErrorKind::not_found) return {};
  if (!opened) return fail(std::move(opened).error());
  // A killed process may have left lines that only the system's memory has; what is told of them
  // now must not go with the power. If it fails the lines are read all the same, but none is added.
  static_cast<void>(trust_.sync(**opened));
  // If a sync had failed before, this one says nothing of what that left: the system takes it for
  // written. What was refused then must not be found now and be gone later.
  (*opened)->forget_cached();
  const auto text = content_of(**opened);
  if (!text) return fail(text.error());
  std::size_t number = 1;
  std::size_t begin = 0;
  for (auto end = text->find('\n'); end != std::string::npos; end = text->find('\n', begin)) {
    const std::string_view line = std::string_view(*text).substr(begin, end - begin);
    begin = end + 1;
    if (!blank(line)) {
      const auto taken = take(line);
      const bool last = blank(std::string_view(*text).substr(begin));
      if (!taken) defect({number, taken.error().message, last});
      if (taken || !last) end_ = begin;
    }
    ++number;
  }
  if (!blank(std::string_view(*text).substr(begin)))
    defect({number, "it has no end: a crash tore it while it was written", true});
  file_ = std::move(*opened);
  return {};
}

Result<> AppendJournal::open_for_append() {
  if (file_ != nullptr) return {};
  auto opened = disk_.open(path_, true, mode_);
  if (!opened) return fail(std::move(opened).error());
  file_ = std::move(*opened);
  end_ = 0;
  named_ = false;
  return {};
}

Result<> AppendJournal::append(std::string_view line) {
  if (auto can = usable(); !can) return can;
  if (auto opened = open_for_append(); !opened) return opened;
  const auto size = file_->size();
  if (!size) return fail(size.error());
  if (*size < end_) return fail(ErrorKind::io, path_ + std::string(kReplaced));
  std::string bytes(line);
  // A torn line must not stick to the next.
  if (end_ + bytes.size() + 1 < *size) bytes.resize(*size - end_ - 1, ' ');
  bytes += '\n';
  auto done = write_at(*file_, end_, bytes);
  if (done) done = trust_.sync(*file_);
  if (done && !named_) {
    done = trust_.sync_folder_of(disk_, path_);
    named_ = done.has_value();
  }
  if (done && !is_by_name(disk_, path_, end_, bytes)) {
    done = fail(ErrorKind::io, path_ + std::string(kReplaced));
    wipe();
    static_cast<void>(trust_.sync(*file_));  // should the file come back, the line must not
    return done;
  }
  if (!done) {
    // Whoever asked is told that it did not happen, so a restart should not find it.
    wipe();
    return done;
  }
  last_ = std::exchange(end_, end_ + bytes.size());
  return {};
}

void AppendJournal::take_back() {
  end_ = last_;
  wipe();
  static_cast<void>(trust_.sync(*file_));  // else a power cut may bring it back
}

/// What stands behind the last whole line becomes blank, without an end of line: one would cut the
/// next line in two if a crash tore that. If this fails too, the next line covers it, and until
/// then it reads as torn.
void AppendJournal::wipe() {
  const auto size = file_->size();
  if (!size || *size <= end_) return;
  const std::string blanks(*size - end_, ' ');
  static_cast<void>(write_at(*file_, end_, blanks));
}

Result<> AppendJournal::rewrite(std::string_view lines) {
  if (auto can = usable(); !can) return can;
  if (lines.empty()) return remove_file();
  auto fresh = put_in_place(disk_, path_, mode_, lines, trust_);
  if (!fresh) return fail(std::move(fresh).error());
  file_ = std::move(*fresh);
  end_ = lines.size();
  auto synced = trust_.sync_folder_of(disk_, path_);
  named_ = synced.has_value();
  return synced;
}

Result<> AppendJournal::remove_file() {
  if (file_ == nullptr) return {};
  if (auto removed = disk_.remove(path_); !removed) return removed;
  file_ = nullptr;
  end_ = 0;
  return trust_.sync_folder_of(disk_, path_);
}

Result<std::string> content_of(File& file) {
  const auto size = file.size();
  if (!size) return fail(size.error());
  std::string text(*size, '\0');
  const auto got = file.read_at(0, {text.data(), text.size()});
  if (!got) return fail(got.error());
  text.resize(*got);
  return text;
}

}  // namespace waypost
