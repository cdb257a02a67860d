#include "waypost/smtp/dot_stuffer.h"

#include <algorithm>

namespace waypost::smtp {
namespace {

void put(std::vector<iovec>& out, std::string_view bytes) {
  if (!bytes.empty()) out.push_back(iovec{const_cast<char*>(bytes.data()), bytes.size()});
}

constexpr std::string_view kDot = ".";
constexpr std::string_view kLf = "\n";
constexpr std::string_view kCrLf = "\r\n";

}  // namespace

// A CR is always sent as it comes; what follows decides whether a LF must be slipped in between.
void DotStuffer::feed(std::string_view bytes, std::vector<iovec>& out) {
  std::size_t start = 0;
  std::size_t i = 0;
  const std::size_t n = bytes.size();
  // Found once and kept: content without any CR must not be searched to its end at each line.
  std::size_t cr = 0;
  std::size_t lf = 0;
  bool searched = false;
  const auto flush = [&](std::size_t end) { put(out, bytes.substr(start, end - start)); };
  while (i < n) {
    if (at_ == At::after_cr) {
      if (bytes[i] == '\n') {
        ++i;
      } else {
        flush(i);
        start = i;
        put(out, kLf);
        ++repaired_;
      }
      at_ = At::line_start;
      continue;
    }
    if (at_ == At::line_start && bytes[i] == '.') {
      flush(i);
      start = i;
      put(out, kDot);
    }
    at_ = At::in_line;
    if (!searched || cr < i) cr = std::min(bytes.find('\r', i), n);
    if (!searched || lf < i) lf = std::min(bytes.find('\n', i), n);
    searched = true;
    if (lf < cr) {  // bare LF
      flush(lf);
      put(out, kCrLf);
      ++repaired_;
      start = i = lf + 1;
      at_ = At::line_start;
    } else if (cr < n) {
      i = cr + 1;
      at_ = At::after_cr;
    } else {
      i = n;
    }
  }
  flush(n);
}

void DotStuffer::finish(std::vector<iovec>& out) {
  if (at_ == At::after_cr) {
    put(out, kLf);
    ++repaired_;
  } else if (at_ == At::in_line) {
    put(out, kCrLf);
  }
  put(out, ".\r\n");
  at_ = At::line_start;
}

}  // namespace waypost::smtp
