// Where the service log's lines leave the process: a bounded buffer and a thread of its own.
//
// LogOutlet: the one sink of the one logger; any thread. It is never destroyed, and its thread,
// which use() starts, is never joined: at the end of the process it may hang in a write. Private to
// ops.
#pragma once

#include "waypost/ops/line_file.h"

#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace waypost::ops {

class LogOutlet final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// Later lines go to this file (null: standard error), in this form.
  void use(std::shared_ptr<LineFile> file, std::unique_ptr<spdlog::formatter> formatter);
  /// `lines`: whole ones.
  void append(std::string_view lines);
  bool flush_all(std::chrono::milliseconds at_most);
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  /// Lines that go to one place, in order.
  struct Batch {
    std::shared_ptr<LineFile> file;
    std::string lines;
  };
  void run();
  bool write_all(const Batch& batch, std::string_view lines);
  bool write_rest(const Batch& batch, std::string_view lines, std::size_t apart);
  bool is_cut(const Batch& batch) const;
  void note_cut(const Batch& batch, bool cut);
  bool wait_for_room(int fd);
  void lose(std::string_view lines);

  std::mutex mutex_of_lines_;
  std::condition_variable work_, written_;
  std::deque<Batch> batches_;              // the last one takes what comes
  std::size_t octets_ = 0;                 // in all batches and in the one that is being written
  std::uint64_t appended_ = 0, done_ = 0;  // octets since the start
  bool has_thread_ = false;
  std::atomic<bool> moved_on_{false};  // lines for another place wait
  std::atomic<std::uint64_t> dropped_{0};
  // The thread's own:
  std::uint64_t told_ = 0;            // of those dropped
  std::weak_ptr<LineFile> cut_file_;  // its last line has no end
  bool stderr_is_cut_ = false;
};

}  // namespace waypost::ops
