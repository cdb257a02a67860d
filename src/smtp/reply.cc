#include "waypost/smtp/reply.h"

#include "waypost/mail/xtext.h"

#include <algorithm>

namespace waypost::smtp {
namespace {

constexpr std::size_t kMaxReplyLine = 510;  // RFC 5321 §4.5.3.1.5, without CRLF

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

/// Without control characters, and no longer than a line may be.
void append_words(std::string& out, std::size_t line_start, std::string_view words) {
  const bool fits = out.size() - line_start + words.size() <= kMaxReplyLine;
  if (fits && std::none_of(words.begin(), words.end(), is_control)) {
    out += words;
    return;
  }
  for (const char c : words) {
    if (is_control(c)) continue;
    if (out.size() - line_start == kMaxReplyLine) break;
    out += c;
  }
}

}  // namespace

void Reply::append_to(std::string& out) const {
  std::string_view rest = text;
  for (;;) {
    const auto end = rest.find('\n');
    const bool last = end == std::string_view::npos;
    const std::size_t start = out.size();
    out += std::to_string(code);
    out += last ? ' ' : '-';
    if (status) {
      out += status.to_string();
      out += ' ';
    }
    append_words(out, start, rest.substr(0, end));
    out += "\r\n";
    if (last) return;
    rest.remove_prefix(end + 1);
  }
}

std::string Reply::to_line() const {
  std::string line = std::to_string(code);
  if (status) line += " " + status.to_string();
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    line += ' ';
    line += mail::printable(rest.substr(0, end), 1024);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return line;
}

Result<std::optional<Reply>> ReplyParser::feed(std::string_view& input) {
  while (!input.empty()) {
    const auto end = input.find('\n');
    const std::string_view piece = input.substr(0, end);
    octets_ += piece.size() + 1;
    if (octets_ > kMaxOctets) {
      return fail(ErrorKind::protocol,
                  "the server sent a reply of more than " + std::to_string(kMaxOctets) + " octets");
    }
    line_.append(piece.substr(0, kMaxLine - line_.size()));
    if (end == std::string_view::npos) {
      input = {};
      break;
    }
    input.remove_prefix(end + 1);
    auto complete = take_line();
    if (!complete) return fail(std::move(complete).error());
    if (*complete) {
      lines_ = octets_ = 0;
      return std::exchange(reply_, Reply{});
    }
  }
  return std::optional<Reply>();
}

/// RFC 5321 §4.2.1: "250-text", "250 text", "250".
Result<bool> ReplyParser::take_line() {
  std::string line = std::move(line_);
  line_.clear();
  if (!line.empty() && line.back() == '\r') line.pop_back();
  const bool shaped = line.size() >= 3 && line[0] >= '2' && line[0] <= '5' && is_digit(line[1]) &&
                      is_digit(line[2]) && (line.size() == 3 || line[3] == ' ' || line[3] == '-');
  if (!shaped && lines_ == 0) {
    return fail(ErrorKind::protocol, "the server sent something that is no SMTP reply: '" +
                                         mail::printable(line, 120) + "'");
  }
  // Within a reply a line without a code is a line break in somebody's text.
  const int code =
      shaped ? (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0') : reply_.code;
  note_code(code);
  std::string_view text(line);
  if (shaped) text.remove_prefix(std::min<std::size_t>(4, text.size()));
  if (lines_ < kMaxLines) {
    if (lines_ > 0) reply_.text += '\n';
    reply_.text += mail::printable(text, kMaxLine);
  }
  ++lines_;
  const bool last = shaped && (line.size() == 3 || line[3] == ' ');
  if (last) {
    find_status();
    if (!codes_.empty()) show_codes();
  }
  return last;
}

/// Keeps the code that the reply as a whole has, and each line's own once they differ.
void ReplyParser::note_code(int code) {
  if (lines_ == 0) {
    codes_.clear();
    reply_.code = code;
    return;
  }
  if (codes_.empty() && code == reply_.code) return;
  if (codes_.empty()) codes_.assign(std::min(lines_, kMaxLines), reply_.code);
  if (lines_ < kMaxLines) codes_.push_back(code);
  const bool same_class = code / 100 == reply_.code / 100;
  const bool counts = same_class ? reply_.code != 421 : code > reply_.code;
  if (counts) reply_.code = code;
}

/// Lines that say something else than the reply as a whole keep their code in the text.
void ReplyParser::show_codes() {
  std::string shown;
  std::string_view rest = reply_.text;
  for (std::size_t line = 0; line < codes_.size(); ++line) {
    const auto end = std::min(rest.find('\n'), rest.size());
    if (line > 0) shown += '\n';
    if (codes_[line] != reply_.code) shown += std::to_string(codes_[line]) + ' ';
    shown += rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  reply_.text = std::move(shown);
  codes_.clear();
}

/// RFC 2034 §4 wants the code on every line; servers put it on one, or write "#5.1.1". A code of
/// another class than the reply's is text.
void ReplyParser::find_status() {
  for (std::size_t at = 0; at <= reply_.text.size();) {
    std::string_view line = std::string_view(reply_.text).substr(at);
    line = line.substr(0, line.find('\n'));
    std::string_view behind = line.starts_with('#') ? line.substr(1) : line;
    const auto status = mail::EnhancedStatus::parse_prefix(behind);
    const bool agrees = status && status->klass == static_cast<unsigned>(reply_.code / 100);
    const bool is_it = agrees && (!reply_.status || reply_.status == *status);
    const std::size_t length = is_it ? behind.size() : line.size();
    if (is_it) {
      reply_.status = *status;
      reply_.text.erase(at, line.size() - length);
    }
    at += length + 1;
  }
}

}  // namespace waypost::smtp
