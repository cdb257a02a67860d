// Replies: RFC 5321 §4.2, RFC 2034 / 3463 (enhanced status codes).
//
// Reply is what a peer hears. ReplyParser reads a server's replies from bytes as they come, of any
// legal shape and within limits; what is malformed or overlong is an error value, never a crash.
//
// What servers do with a reply of several lines, and what becomes of it:
// - The enhanced code may stand on any line: the first that agrees with the reply's class counts.
//   It is taken out of the text, because it is shown in front of it; every other word stays.
// - The lines may have different codes, which RFC 5321 §4.2.1 forbids. Of one class: the last line
//   counts, but 421 before all. Of several: the highest class, so that nobody takes a refusal for
//   a yes. A line's own code then stays in its text.
// - A line without a code, behind the first, is text.
#pragma once

#include "waypost/base/result.h"
#include "waypost/mail/status.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::smtp {

struct Reply {
  int code = 0;                 // 200..599; 0: no reply
  mail::EnhancedStatus status;  // absent for greeting, HELO, EHLO, 3xx
  std::string text;             // lines joined by '\n'; printable on output

  bool positive() const { return code >= 200 && code < 400; }
  bool transient() const { return code >= 400 && code < 500; }
  bool permanent() const { return code >= 500; }
  /// Appends the wire form: each line "CODE[- ][status ]text CRLF", lines cut at 510 octets,
  /// control characters dropped.
  void append_to(std::string& out) const;
  /// "550 5.1.1 text": one line for logs.
  std::string to_line() const;
};

class ReplyParser {
 public:
  /// Of longer lines and of more lines only the beginning is kept: their code still counts.
  static constexpr std::size_t kMaxLine = 2048;  // RFC 5321 says 512; be generous
  static constexpr std::size_t kMaxLines = 128;
  static constexpr std::size_t kMaxOctets = 64 * 1024;  // of a whole reply
  /// Consumes bytes from the front of `input`. nullopt: needs more. ErrorKind::protocol when
  /// malformed or endless (the connection is of no use after that). A bare "250" without text and
  /// LF without CR are accepted.
  Result<std::optional<Reply>> feed(std::string_view& input);
  /// True between replies.
  bool idle() const { return line_.empty() && lines_ == 0; }

 private:
  Result<bool> take_line();  // true: the reply is complete
  void note_code(int code);
  void show_codes();
  void find_status();
  std::string line_;
  Reply reply_;
  std::size_t lines_ = 0;
  std::size_t octets_ = 0;  // of this reply
  std::vector<int> codes_;  // of each line; empty while all have the reply's
};

}  // namespace waypost::smtp
