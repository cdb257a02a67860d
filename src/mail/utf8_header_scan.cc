#include "waypost/mail/utf8_header_scan.h"

#include "waypost/mail/address.h"

#include <algorithm>
#include <optional>

namespace waypost::mail {
namespace {

constexpr std::size_t kMaxField = 8192;      // of a Content-Type; boundaries stand within it
constexpr std::size_t kMaxBoundary = 250;    // RFC 2046 §5.1.1 allows 70
constexpr std::size_t kMostBoundaries = 64;  // multiparts of one message

bool has_eight_bit(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
  return all > 127;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// What stands behind "Content-Type:"; nullopt: another field.
std::optional<std::string_view> content_type(std::string_view line) {
  constexpr std::string_view name = "content-type";
  if (line.size() <= name.size() || ascii_lower(line.substr(0, name.size())) != name)
    return std::nullopt;
  line.remove_prefix(name.size());
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  if (line.empty() || line.front() != ':') return std::nullopt;
  return line.substr(1);
}

/// Takes the next parameter's value, quoted or not, from the front of `text`.
std::string take_value(std::string_view& text) {
  std::string value;
  if (text.empty() || text.front() != '"') {
    const auto end = std::min(text.find_first_of("; \t\r\n"), text.size());
    value = text.substr(0, end);
    text.remove_prefix(end);
    return value;
  }
  text.remove_prefix(1);
  for (; !text.empty() && text.front() != '"'; text.remove_prefix(1)) {
    if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
    value += text.front();
  }
  if (!text.empty()) text.remove_prefix(1);
  return value;
}

/// The boundaries that a Content-Type names; nullopt: it is a multipart whose boundary is not to be
/// made out (none, or in pieces by RFC 2231).
std::optional<std::vector<std::string>> boundaries_of(std::string_view value) {
  std::vector<std::string> found;
  value = trimmed(value);
  if (ascii_lower(value.substr(0, 10)) != "multipart/") return found;
  for (;;) {
    const auto semicolon = value.find(';');
    if (semicolon == std::string_view::npos) break;
    value = trimmed(value.substr(semicolon + 1));
    const auto equals = std::min(value.find('='), value.find(';'));
    if (equals == std::string_view::npos || value[equals] == ';') continue;
    const std::string name = ascii_lower(trimmed(value.substr(0, equals)));
    if (name.starts_with("boundary*")) return std::nullopt;
    value = trimmed(value.substr(equals + 1));
    std::string taken = take_value(value);
    if (name != "boundary") continue;
    while (!taken.empty() && is_blank(taken.back())) taken.pop_back();
    if (taken.empty() || taken.size() > kMaxBoundary) return std::nullopt;
    found.push_back(std::move(taken));
  }
  if (found.empty()) return std::nullopt;
  return found;
}

}  // namespace

void Utf8HeaderScan::feed(std::string_view bytes) {
  while (!found_ && !bytes.empty()) {
    const auto end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (where_ != Where::body && has_eight_bit(piece)) {
      found_ = true;
      return;
    }
    const std::size_t most = where_ == Where::header ? kMaxField : kMaxBoundary + 4;
    if (line_.size() < most) line_.append(piece.substr(0, most - line_.size()));
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    end_of_line();
    line_.clear();
  }
}

void Utf8HeaderScan::end_of_line() {
  if (where_ == Where::unclear) return;
  bool closes = false;
  if (is_delimiter(closes)) {
    if (where_ == Where::header) end_of_field();
    if (where_ != Where::unclear) where_ = closes ? Where::body : Where::header;
    return;
  }
  if (where_ == Where::body) return;
  const bool empty = line_.empty() || line_ == "\r";
  if (!empty && (line_.front() == ' ' || line_.front() == '\t')) {
    if (keep_field_ && field_.size() < kMaxField) field_ += line_;
    return;
  }
  end_of_field();
  if (where_ == Where::unclear) return;
  if (empty) {
    where_ = Where::body;
  } else if (const auto value = content_type(line_)) {
    keep_field_ = true;
    field_ = *value;
  }
}

void Utf8HeaderScan::end_of_field() {
  if (!keep_field_) return;
  keep_field_ = false;
  auto found = boundaries_of(field_);
  if (!found || field_.size() >= kMaxField ||
      boundaries_.size() + found->size() > kMostBoundaries) {
    where_ = Where::unclear;
    return;
  }
  for (std::string& boundary : *found) boundaries_.push_back(std::move(boundary));
}

/// RFC 2046 §5.1.1: it is enough that the line begins with the boundary. `closes`: it is the last
/// one.
bool Utf8HeaderScan::is_delimiter(bool& closes) const {
  if (!line_.starts_with("--")) return false;
  const std::string_view line = std::string_view(line_).substr(2);
  std::size_t longest = 0;
  for (const std::string& boundary : boundaries_) {
    if (line.starts_with(boundary)) longest = std::max(longest, boundary.size());
  }
  closes = longest > 0 && line.substr(longest).starts_with("--");
  return longest > 0;
}

}  // namespace waypost::mail
