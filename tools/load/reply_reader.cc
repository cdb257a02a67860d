#include "load/reply_reader.h"

#include <cstring>

namespace waypost::load {

std::span<char> ReplyReader::room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > 0 && end_ > kBuffer / 2) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return {buffer_.get() + end_, kBuffer - end_};
}

Result<std::optional<ReplyView>> ReplyReader::next() {
  while (begin_ < end_) {
    const char* at = buffer_.get() + begin_;
    const auto* line_end = static_cast<const char*>(std::memchr(at, '\n', end_ - begin_));
    if (line_end == nullptr) {
      if (end_ - begin_ >= kBuffer - 1) {
        return fail(ErrorKind::protocol, "the server's reply line is longer than 16 KiB");
      }
      return std::optional<ReplyView>();
    }
    std::string_view line(at, static_cast<std::size_t>(line_end - at));
    begin_ += line.size() + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto digit = [&](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
    if (line.size() < 3 || !digit(0) || !digit(1) || !digit(2) ||
        (line.size() > 3 && line[3] != ' ' && line[3] != '-')) {
      return fail(ErrorKind::protocol,
                  "the server said '" + std::string(line.substr(0, 80)) + "', which is no reply");
    }
    if (collect_ && !within_) lines_.clear();
    if (collect_) {
      if (line.size() > 4 && lines_.size() < 16 * 1024) lines_ += line.substr(4);
      lines_ += '\n';
    }
    within_ = line.size() > 3 && line[3] == '-';
    if (within_) continue;
    const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    return ReplyView{code, line.size() > 4 ? line.substr(4) : std::string_view()};
  }
  return std::optional<ReplyView>();
}

}  // namespace waypost::load
