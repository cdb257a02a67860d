#include "load/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>

namespace waypost::load {

constexpr std::size_t kFlushAt = 256 * 1024;
constexpr std::chrono::milliseconds kFlushEvery{200};

JournalWriter::JournalWriter(int fd, std::string path) : fd_(fd), path_(std::move(path)) {
  buffer_.reserve(kFlushAt + 64 * 1024);
  flusher_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stop, kFlushEvery, [this] { return buffer_.size() >= kFlushAt; });
      }
      write_out();
    }
  });
}

JournalWriter::~JournalWriter() {
  flusher_.request_stop();
  flusher_.join();
  write_out();
  ::close(fd_);
}

Result<std::unique_ptr<JournalWriter>> JournalWriter::open(const std::string& path,
                                                           const std::string& head) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    return fail(ErrorKind::io, path + ": the log can't be opened: " + describe_errno(errno));
  }
  std::unique_ptr<JournalWriter> writer(new JournalWriter(fd, path));
  writer->write(head + "\n");
  writer->flush();
  if (auto good = writer->health(); !good) return fail(std::move(good).error());
  return writer;
}

void JournalWriter::write(std::string_view lines) {
  const std::lock_guard lock(mutex_);
  buffer_ += lines;
  if (buffer_.size() >= kFlushAt) wake_.notify_one();
}

void JournalWriter::flush() { write_out(); }

void JournalWriter::write_out() {
  const std::lock_guard file_lock(file_mutex_);
  {
    const std::lock_guard lock(mutex_);
    writing_.swap(buffer_);
  }
  std::string_view rest = writing_;
  while (!rest.empty()) {
    const auto wrote = ::write(fd_, rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      const int reason = errno;
      const std::lock_guard lock(mutex_);
      if (failed_errno_ == 0) failed_errno_ = reason;
      break;
    }
    rest.remove_prefix(static_cast<std::size_t>(wrote));
  }
  writing_.clear();
}

Result<> JournalWriter::health() const {
  const std::lock_guard lock(mutex_);
  if (failed_errno_ == 0) return {};
  return fail(ErrorKind::io, path_ + ": the log is not complete: " + describe_errno(failed_errno_));
}

void add_field(std::string& line, std::string_view field) {
  line += '\t';
  const std::size_t from = line.size();
  line += field;
  for (std::size_t i = from; i < line.size(); ++i) {
    if (static_cast<unsigned char>(line[i]) < 32) line[i] = '?';
  }
}

void add_field(std::string& line, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  line += '\t';
  line.append(digits, static_cast<std::size_t>(end - digits));
}

}  // namespace waypost::load
