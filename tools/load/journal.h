// Logs of both ends of a run, as text with tabs, one line a message: what verify compares.
//
// JournalWriter: any thread; buffered, in the file at most 200 ms later, or when flush() returns.
// Formats (docs/load.md shows them):
//   sender:  M seq at_us latency_us size digest outcome code queue-id { fate address expected }*
//   sink:    R run seq digest-said digest-found at_us size sender { address }*     a message
//            B run seq { address }*                       a failure report about a message
//            X at_us size { address }*                    mail that is not of any run
//            F at_us name begins|ends                     a fault of its schedule
#pragma once

#include "waypost/base/result.h"

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace waypost::load {

inline constexpr std::string_view kSendMagic = "waypost-load send 1";
inline constexpr std::string_view kSinkMagic = "waypost-load sink 1";

class JournalWriter {
 public:
  /// Overwrites `path`; the first line is `head`. ErrorKind::io names the file.
  static Result<std::unique_ptr<JournalWriter>> open(const std::string& path,
                                                     const std::string& head);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;
  /// `lines` are whole lines.
  void write(std::string_view lines);
  void flush();
  /// The first failed write, if any: the log is not complete then.
  Result<> health() const;

 private:
  JournalWriter(int fd, std::string path);
  void write_out();
  int fd_;
  std::string path_;
  mutable std::mutex mutex_;
  std::string buffer_, writing_;
  std::mutex file_mutex_;
  int failed_errno_ = 0;
  std::condition_variable_any wake_;
  std::jthread flusher_;
};

/// One line of the sender's log while it is put together.
enum class Outcome : char {
  accepted = 'a',        // 250 for the content
  refused = 'r',         // MAIL, every RCPT, or the content was refused
  unacknowledged = 'l',  // the connection was lost behind the first octet of content
  unsent = 'n',          // no content left the sender
};

/// Appends "\t" and the field, with control characters as '?'.
void add_field(std::string& line, std::string_view field);
void add_field(std::string& line, std::uint64_t number);

}  // namespace waypost::load
