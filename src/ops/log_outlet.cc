#include "ops/log_outlet.h"

#include "waypost/base/ascii.h"
#include "waypost/base/clock.h"
#include "waypost/base/counted.h"
#include "waypost/base/printable.h"
#include "waypost/ops/log.h"

#include <climits>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace waypost::ops {
namespace {

constexpr std::size_t kBufferLimit = 1024 * 1024;
constexpr std::chrono::milliseconds kLook{100};  // while there is no room to write
constexpr std::chrono::seconds kOldPlace{1};     // lines for a place that is left have so long
constexpr std::size_t kPiece = PIPE_BUF;         // a pipe with room takes that without waiting

std::uint64_t count_lines(std::string_view lines) {
  return static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
}

/// Whole lines where they fit: another writer's may come in between.
std::string_view next_piece(std::string_view lines) {
  if (lines.size() <= kPiece) return lines;
  const auto end = lines.substr(0, kPiece).rfind('\n');
  return lines.substr(0, end == std::string_view::npos ? kPiece : end + 1);
}

}  // namespace

void LogOutlet::use(std::shared_ptr<LineFile> file, std::unique_ptr<spdlog::formatter> formatter) {
  // Together, under the sink's own lock: no line in the old form goes to the new place.
  const std::lock_guard sink_lock(mutex_);
  formatter_ = std::move(formatter);
  const std::lock_guard lock(mutex_of_lines_);
  if (batches_.empty() || batches_.back().file != file) {
    moved_on_.store(!batches_.empty(), std::memory_order_relaxed);
    batches_.push_back({std::move(file), {}});  // the thread closes the one before
  }
  if (!has_thread_) {
    has_thread_ = true;
    std::thread([this] { run(); }).detach();
  }
  work_.notify_one();
}

void LogOutlet::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t formatted;
  formatter_->format(message, formatted);
  const std::string_view line(formatted.data(), formatted.size());
  // What turns text around or breaks lines for whoever looks at it; in JSON it is escaped already.
  is_ascii(line) ? append(line) : append(printable(line));
}

void LogOutlet::append(std::string_view lines) {
  const std::lock_guard lock(mutex_of_lines_);
  if (!has_thread_) {  // a subcommand: its standard error is its own affair
    while (!lines.empty()) {
      const ssize_t n = ::write(STDERR_FILENO, lines.data(), lines.size());
      if (n <= 0 && errno != EINTR) return;
      lines.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    }
    return;
  }
  if (octets_ + lines.size() > kBufferLimit) {
    dropped_.fetch_add(count_lines(lines), std::memory_order_relaxed);
    return;
  }
  octets_ += lines.size();
  appended_ += lines.size();
  batches_.back().lines += lines;
  work_.notify_one();
}

bool LogOutlet::flush_all(std::chrono::milliseconds at_most) {
  std::unique_lock lock(mutex_of_lines_);
  const auto goal = appended_;
  return written_.wait_for(lock, at_most, [&] { return done_ >= goal; });
}

void LogOutlet::run() {
  std::unique_lock lock(mutex_of_lines_);
  for (;;) {
    work_.wait(lock, [&] { return batches_.size() > 1 || !batches_.front().lines.empty(); });
    Batch batch{batches_.front().file, std::exchange(batches_.front().lines, {})};
    if (batches_.size() > 1) batches_.pop_front();
    moved_on_.store(batches_.size() > 1 || batches_.front().file != batch.file,
                    std::memory_order_relaxed);
    lock.unlock();
    const bool whole = write_all(batch, batch.lines);
    const std::uint64_t dropped = dropped_.load(std::memory_order_relaxed);
    if (whole && dropped > told_ && !batch.lines.empty()) {
      ops::log().error(
          "service log: {} dropped, because what reads it was too slow or its "
          "disk did not answer; mail went on",
          counted(dropped - std::exchange(told_, dropped), "line was", "lines were"));
    }
    batch.file.reset();  // closed here, if it was the last of its place, for closing may wait, too
    lock.lock();
    octets_ -= batch.lines.size();
    done_ += batch.lines.size();
    written_.notify_all();
  }
}

/// False if some were lost.
bool LogOutlet::write_all(const Batch& batch, std::string_view lines) {
  if (lines.empty() || !is_cut(batch)) return write_rest(batch, lines, 0);
  // A disk that was full has taken a part of a line: the next one must not continue it.
  const std::string apart = '\n' + std::string(lines);
  return write_rest(batch, apart, 1);
}

bool LogOutlet::is_cut(const Batch& batch) const {
  return batch.file ? cut_file_.lock() == batch.file : stderr_is_cut_;
}

void LogOutlet::note_cut(const Batch& batch, bool cut) {
  if (!batch.file) {
    stderr_is_cut_ = cut;
  } else if (cut) {
    cut_file_ = batch.file;
  } else if (is_cut(batch)) {
    cut_file_.reset();
  }
}

/// `apart`: so many octets in front are of no line.
bool LogOutlet::write_rest(const Batch& batch, std::string_view lines, std::size_t apart) {
  const int fd = batch.file ? batch.file->fd() : STDERR_FILENO;
  const std::string_view all = lines;
  while (!lines.empty()) {
    const std::string_view piece = next_piece(lines);
    if (!wait_for_room(fd)) {
      lose(lines);
      return false;
    }
    const ssize_t n = ::write(fd, piece.data(), piece.size());
    if (n > 0) {
      lines.remove_prefix(static_cast<std::size_t>(n));
      note_cut(batch, *(lines.data() - 1) != '\n');
      continue;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (!batch.file) {
      lose(lines);
      return false;
    }
    const std::string why = describe_errno(errno);
    // The line that is cut is given whole.
    const std::size_t done = all.size() - lines.size();
    const std::size_t end = done == 0 ? all.npos : all.rfind('\n', done - 1);
    lines = all.substr(std::max(apart, end == all.npos ? 0 : end + 1));
    const Batch rest{nullptr, "log.file: " + batch.file->path() + " can't be written: " + why +
                                  "; lines go to standard error\n" + std::string(lines)};
    return write_all(rest, rest.lines);
  }
  return true;
}

/// Looked at again and again, so that a reader who stalls does not keep lines from another place
/// for long. A regular file always has room, and may hang in its write.
bool LogOutlet::wait_for_room(int fd) {
  const SteadyTime begin = Clock::system().steady_now();
  for (;;) {
    pollfd out{fd, POLLOUT, 0};
    const int ready = ::poll(&out, 1, static_cast<int>(kLook.count()));
    if (ready != 0 && !(ready < 0 && errno == EINTR)) return true;  // or write() says what is wrong
    if (moved_on_.load(std::memory_order_relaxed) &&
        Clock::system().steady_now() - begin > kOldPlace)
      return false;
  }
}

void LogOutlet::lose(std::string_view lines) {
  dropped_.fetch_add(count_lines(lines), std::memory_order_relaxed);
}

}  // namespace waypost::ops
