#include "smtp/data_decoder.h"

#include <algorithm>
#include <cstring>

namespace waypost::smtp {
namespace {

/// Finds the next CR or LF with one memchr pass over the input for each of the two.
class NewlineFinder {
 public:
  explicit NewlineFinder(std::string_view input) : input_(input) {}
  std::size_t next(std::size_t at) {
    if (cr_ < at || !started_) cr_ = find('\r', at);
    if (lf_ < at || !started_) lf_ = find('\n', at);
    started_ = true;
    return std::min(cr_, lf_);
  }

 private:
  std::size_t find(char c, std::size_t at) const {
    const auto found = input_.find(c, at);
    return found == std::string_view::npos ? input_.size() : found;
  }
  std::string_view input_;
  std::size_t cr_ = 0, lf_ = 0;
  bool started_ = false;
};

}  // namespace

void DataDecoder::emit(std::string_view bytes, ServerHandler& sink, bool deliver) {
  if (bytes.empty()) return;
  octets_ += bytes.size();
  if (deliver) sink.on_content(bytes);
}

bool DataDecoder::feed(std::string_view& input, ServerHandler& sink, bool deliver) {
  NewlineFinder newlines(input);
  const std::size_t n = input.size();
  std::size_t i = 0;
  std::size_t start = 0;  // what lies between start and i is still to be handed on
  const auto flush = [&](std::size_t end) {
    emit(input.substr(start, end - start), sink, deliver);
  };
  while (i < n) {
    const char c = input[i];
    switch (at_) {
      case At::line_start:
        if (c == '.') {
          flush(i);
          start = ++i;
          at_ = At::dot;
          break;
        }
        at_ = At::in_line;
        [[fallthrough]];
      case At::in_line: {
        const std::size_t p = newlines.next(i);
        if (p == n) {
          i = n;
        } else if (input[p] == '\r' && p + 1 < n && input[p + 1] == '\n') {
          i = p + 2;
          at_ = At::line_start;
        } else {
          flush(p);
          start = i = p + 1;
          if (input[p] == '\r' && p + 1 == n) {
            at_ = At::cr;
          } else {
            had_bare_newline_ = true;
            emit_newline(sink, deliver);
          }
        }
        break;
      }
      case At::cr:
        emit_newline(sink, deliver);
        if (c == '\n') {
          start = ++i;
          at_ = At::line_start;
        } else {
          had_bare_newline_ = true;
          at_ = At::in_line;
        }
        break;
      case At::dot:
        if (c == '\r') {
          start = ++i;
          at_ = At::dot_cr;
        } else {
          at_ = At::in_line;
        }
        break;
      case At::dot_cr:
        if (c == '\n') {
          input.remove_prefix(i + 1);
          return true;
        }
        had_bare_newline_ = true;
        emit_newline(sink, deliver);
        at_ = At::in_line;
        break;
    }
  }
  if (start < n) flush(n);
  input = {};
  return false;
}

void BareNewlineScan::feed(std::string_view bytes) {
  if (found_ || bytes.empty()) return;
  if (after_cr_ != (bytes.front() == '\n')) {
    found_ = true;
    return;
  }
  after_cr_ = bytes.back() == '\r';
  // A CR stands before each LF and nowhere else: sixteen octets at a time, without a branch.
  using Octets = signed char __attribute__((vector_size(16)));
  Octets bad{};
  std::size_t at = 1;
  for (; at + sizeof(Octets) <= bytes.size(); at += sizeof(Octets)) {
    Octets here, before;
    std::memcpy(&here, bytes.data() + at, sizeof here);
    std::memcpy(&before, bytes.data() + at - 1, sizeof before);
    bad |= (here == '\n') ^ (before == '\r');
  }
  for (; at < bytes.size(); ++at) {
    bad[0] |= static_cast<signed char>((bytes[at] == '\n') != (bytes[at - 1] == '\r'));
  }
  constexpr Octets none{};
  found_ = std::memcmp(&bad, &none, sizeof bad) != 0;
}

}  // namespace waypost::smtp
