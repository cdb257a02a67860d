// Dots on the way out: RFC 5321 §4.5.2, and the repair of bare CR/LF towards a server without
// CHUNKING.
//
// DotStuffer: one per DATA transfer; feed the content in order, gather the slices, then finish().
// The slices point into the input or into static text: no copying. Bare LF and bare CR become CRLF
// (because LF.CRLF inside DATA is how mail is smuggled); repaired() counts them.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace waypost::smtp {

class DotStuffer {
 public:
  /// Appends gather entries for `bytes`; they are valid as long as `bytes` is.
  void feed(std::string_view bytes, std::vector<iovec>& out);
  /// Ends with CRLF.CRLF, adding the first CRLF only if the content did not end in one.
  void finish(std::vector<iovec>& out);
  std::uint64_t repaired() const { return repaired_; }

 private:
  enum class At : std::uint8_t { line_start, in_line, after_cr };
  At at_ = At::line_start;
  std::uint64_t repaired_ = 0;
};

}  // namespace waypost::smtp
