#include "waypost/smtp/reply.h"

#include "waypost/mail/xtext.h"

#include <algorithm>

namespace waypost::smtp {
namespace {

constexpr std::size_t kMaxReplyLine = 510;  // RFC 5321 §4.5.3.1.5, without CRLF

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

/// Of the character that begins with this octet of valid UTF-8.
std::size_t octets_of(char first) {
  const auto c = static_cast<unsigned char>(first);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/// Without control characters, and no longer than a line may be; never a part of a character.
void append_words(std::string& out, std::size_t line_start, std::string_view words, bool utf8) {
  const bool fits = out.size() - line_start + words.size() <= kMaxReplyLine;
  const auto plain = [](char c) { return is_ascii(c) && !is_control(c); };
  if (fits && std::all_of(words.begin(), words.end(), plain)) {
    out += words;
    return;
  }
  std::string good(words);
  std::erase_if(good, is_control);
  if (!std::all_of(good.begin(), good.end(), is_ascii)) good = mail::printable(good, good.size());
  for (std::size_t i = 0; i < good.size();) {
    const std::size_t length = octets_of(good[i]);
    const bool as_it_is = utf8 || length == 1;
    if (out.size() - line_start + (as_it_is ? length : 1) > kMaxReplyLine) break;
    if (as_it_is) {
      out.append(good, i, length);
    } else {
      out += '?';
    }
    i += length;
  }
}

}  // namespace

void Reply::append_to(std::string& out, bool utf8) const {
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
    append_words(out, start, rest.substr(0, end), utf8);
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
    if (line_.size() + piece.size() > kMaxLine) {
      return fail(ErrorKind::protocol, "the server sent a reply line of more than " +
                                           std::to_string(kMaxLine) + " octets");
    }
    line_.append(piece);
    if (end == std::string_view::npos) {
      input = {};
      break;
    }
    input.remove_prefix(end + 1);
    auto complete = take_line();
    if (!complete) return fail(std::move(complete).error());
    if (*complete) {
      lines_ = 0;
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
  if (!shaped) {
    return fail(ErrorKind::protocol, "the server sent something that is no SMTP reply: '" +
                                         mail::printable(line, 120) + "'");
  }
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (lines_ > 0 && code != reply_.code) {
    return fail(ErrorKind::protocol, "the server changed the code inside one reply, from " +
                                         std::to_string(reply_.code) + " to " +
                                         std::to_string(code));
  }
  if (++lines_ > kMaxLines) {
    return fail(ErrorKind::protocol,
                "the server sent a reply of more than " + std::to_string(kMaxLines) + " lines");
  }
  std::string_view text(line);
  text.remove_prefix(std::min<std::size_t>(4, text.size()));
  // A code of another class than the reply's is text (RFC 2034 §4 wants them to agree).
  std::string_view behind = text;
  const auto status = mail::EnhancedStatus::parse_prefix(behind);
  const bool agrees = status && status->klass == static_cast<unsigned>(code / 100);
  if (agrees) {
    text = behind;
    if (lines_ == 1) reply_.status = *status;
  }
  if (lines_ > 1) reply_.text += '\n';
  reply_.text += mail::printable(text, kMaxLine);
  reply_.code = code;
  return line.size() == 3 || line[3] == ' ';
}

}  // namespace waypost::smtp
