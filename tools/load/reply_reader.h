// Takes replies from a buffer, as cheaply as a load generator needs it.
//
// One per connection. The text of a reply stays valid until the next room() or next().
#pragma once

#include "waypost/base/result.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace waypost::load {

struct ReplyView {
  int code = 0;
  std::string_view last_line;  // behind the code, without CRLF
  bool positive() const { return code >= 200 && code < 400; }
};

class ReplyReader {
 public:
  static constexpr std::size_t kBuffer = 16 * 1024;
  ReplyReader() : buffer_(new char[kBuffer]) {}
  void restart() { begin_ = end_ = 0; }
  /// Where to read to; at least one octet unless a single line fills the whole buffer.
  std::span<char> room();
  void filled(std::size_t octets) { end_ += octets; }
  /// The next whole reply; nullopt: more must arrive. ErrorKind::protocol: not SMTP.
  Result<std::optional<ReplyView>> next();
  /// All lines of the last multi-line reply, joined by '\n' (only if collect() is on: for EHLO).
  void collect(bool on) { collect_ = on; }
  const std::string& lines() const { return lines_; }

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  bool collect_ = false, within_ = false;
  std::string lines_;
};

}  // namespace waypost::load
