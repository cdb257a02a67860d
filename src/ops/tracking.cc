#include "waypost/ops/tracking.h"

#include "waypost/base/counted.h"
#include "waypost/ops/log.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace waypost::ops {

namespace {

constexpr std::size_t kBufferLimit = 64 * 1024 * 1024;  // beyond it lines are dropped and counted
constexpr std::size_t kWriteAt = 256 * 1024;            // that much is written at once
constexpr std::chrono::milliseconds kGather{50};        // and less after this time

class NoTrackingLog final : public TrackingLog {
 public:
  void write(const TrackingEvent&) override {}
};

/// Shards append under a mutex that is held for one memcpy; the writer thread gathers what comes
/// within a moment, swaps the buffer out and writes: a wake-up and a write per line would cost more
/// than the mail.
class FileTrackingLog final : public TrackingLog {
 public:
  explicit FileTrackingLog(std::shared_ptr<LineFile> file)
      : file_(std::move(file)), on_(file_->fd() >= 0), writer_([this] { run(); }) {}
  ~FileTrackingLog() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_one();
    writer_.join();
  }

  void write(const TrackingEvent& event) override {
    if (!on_.load(std::memory_order_relaxed)) return;
    static thread_local std::string line;  // keeps its room
    line.clear();
    append_json_line(line, event);
    line += '\n';
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (buffer_.size() + line.size() > kBufferLimit) {
        ++dropped_;
        return;
      }
      const std::size_t before = buffer_.size();
      buffer_ += line;
      wake = before == 0 || (before < kWriteAt && buffer_.size() >= kWriteAt);
    }
    if (wake) work_.notify_one();
  }

  void use(std::shared_ptr<LineFile> file) override {
    {
      const std::lock_guard lock(mutex_);
      on_.store(file->fd() >= 0, std::memory_order_relaxed);
      next_ = std::move(file);
    }
    work_.notify_one();
  }

  bool flush(std::chrono::milliseconds at_most) override {
    std::unique_lock lock(mutex_);
    const auto goal = ++flush_wanted_;
    work_.notify_one();
    return flushed_.wait_for(lock, at_most, [&] { return flush_done_ >= goal; });
  }

  std::uint64_t lines_lost() override {
    const std::lock_guard lock(mutex_);
    return lost_at_all_.load(std::memory_order_relaxed) + dropped_;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    std::string lines;
    for (;;) {
      work_.wait(lock, [&] { return urgent() || !buffer_.empty(); });
      work_.wait_for(lock, kGather, [&] { return urgent(); });
      auto next = std::exchange(next_, nullptr);
      const auto goal = flush_wanted_;
      const bool last = stopping_;
      lines.clear();
      lines.swap(buffer_);
      const std::uint64_t dropped = std::exchange(dropped_, 0);
      lock.unlock();
      if (!lines.empty()) write_lines(lines);
      if (dropped > 0) complain("its buffer is full", dropped);
      if (next) {
        file_ = std::move(next);
        within_line_ = false;
      }
      lock.lock();
      flush_done_ = goal;
      flushed_.notify_all();
      if (last && buffer_.empty()) return;
    }
  }

  bool urgent() const {
    return stopping_ || next_ || flush_wanted_ != flush_done_ || buffer_.size() >= kWriteAt;
  }

  void write_lines(std::string& lines) {
    // A disk that was full has taken a part of a line: the next one must not continue it.
    if (within_line_) lines.insert(lines.begin(), '\n');
    write_all(lines);
  }

  void write_all(std::string_view lines) {
    while (!lines.empty() && file_->fd() >= 0) {
      const ssize_t n = ::write(file_->fd(), lines.data(), lines.size());
      if (n > 0) {
        within_line_ = lines[static_cast<std::size_t>(n) - 1] != '\n';
        lines.remove_prefix(static_cast<std::size_t>(n));
      } else if (errno == EAGAIN) {  // a standard stream that somebody else made so
        pollfd out{file_->fd(), POLLOUT, 0};
        ::poll(&out, 1, -1);
      } else if (errno != EINTR) {
        const bool of_before = lines.starts_with('\n');  // the end of a line that is counted
        const auto lost = static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')) -
                          (of_before ? 1 : 0);
        complain(describe_errno(errno), lost);
        return;
      }
    }
  }

  /// Once a minute, with what was lost since.
  void complain(const std::string& reason, std::uint64_t lost) {
    lost_ += lost;
    lost_at_all_.fetch_add(lost, std::memory_order_relaxed);
    const auto now = Clock::system().steady_now();
    if (complained_at_ != SteadyTime{} && now - complained_at_ < std::chrono::minutes(1)) return;
    complained_at_ = now;
    log().error("tracking log {}: {} lost: {}; mail goes on", file_->path(),
                counted(std::exchange(lost_, 0), "line"), reason);
  }

  std::shared_ptr<LineFile> file_;  // writer thread only
  std::atomic<bool> on_;
  bool within_line_ = false;  // the file ends there; writer thread only
  std::uint64_t lost_ = 0;    // that nobody was told of yet; writer thread only
  std::atomic<std::uint64_t> lost_at_all_{0};
  SteadyTime complained_at_{};

  std::mutex mutex_;
  std::condition_variable work_, flushed_;
  std::string buffer_;
  std::uint64_t dropped_ = 0, flush_wanted_ = 0, flush_done_ = 0;
  std::shared_ptr<LineFile> next_;
  bool stopping_ = false;
  std::thread writer_;  // last: it uses everything above
};

}  // namespace

Result<std::shared_ptr<LineFile>> TrackingLog::open_file(const TrackingOptions& options) {
  if (options.path.empty()) return std::make_shared<LineFile>(std::string(), -1);
  return LineFile::open(options.path, "tracking.file");
}

Result<std::unique_ptr<TrackingLog>> TrackingLog::open(const TrackingOptions& options) {
  auto file = open_file(options);
  if (!file) return fail(std::move(file).error());
  return std::make_unique<FileTrackingLog>(std::move(*file));
}

TrackingLog& TrackingLog::none() {
  static NoTrackingLog log;
  return log;
}

}  // namespace waypost::ops
