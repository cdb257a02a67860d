// Replies: RFC 5321 §4.2, RFC 2034 / 3463 (enhanced status codes).
//
// Reply is what a peer hears. ReplyParser reads a server's replies from bytes as they come, of any
// legal shape and within limits; what is malformed or overlong is an error value, never a crash.
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
  /// control characters dropped. Without `utf8` each character that is not ASCII becomes '?'.
  void append_to(std::string& out, bool utf8 = false) const;
  /// "550 5.1.1 text": one line for logs.
  std::string to_line() const;
};

class ReplyParser {
 public:
  static constexpr std::size_t kMaxLine = 2048;  // RFC 5321 says 512; be generous
  static constexpr std::size_t kMaxLines = 128;
  /// Consumes bytes from the front of `input`. nullopt: needs more. ErrorKind::protocol when
  /// malformed or too long (the connection is of no use after that). A bare "250" without text and
  /// LF without CR are accepted.
  Result<std::optional<Reply>> feed(std::string_view& input);
  /// True between replies.
  bool idle() const { return line_.empty() && lines_ == 0; }

 private:
  Result<bool> take_line();  // true: the reply is complete
  std::string line_;
  Reply reply_;
  std::size_t lines_ = 0;
};

}  // namespace waypost::smtp
