#include "waypost/mail/address.h"
#include "waypost/mail/header.h"
#include "waypost/mail/xtext.h"

#include "mail/text.h"

namespace waypost::mail {
namespace {

constexpr std::size_t kMaxLine = 1024;  // what is kept of one line
constexpr std::size_t kMaxField =
    4096;  // what is kept of one field; "by" stands near the front of Received

bool starts_with_name(std::string_view line, std::string_view name) {
  if (line.size() <= name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    const char lower = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (lower != name[i]) return false;
  }
  std::size_t at = name.size();
  while (at < line.size() && (line[at] == ' ' || line[at] == '\t'))
    ++at;  // obsolete syntax: blank before ':'
  return at < line.size() && line[at] == ':';
}

std::string_view value_of(std::string_view field) {
  field.remove_prefix(field.find(':') + 1);
  while (!field.empty() && (field.front() == ' ' || field.front() == '\t')) field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == '\t' || field.back() == '\r')) {
    field.remove_suffix(1);
  }
  return field;
}

/// True if the value has "by NAME" outside comments (RFC 5321 §4.4).
bool received_by(std::string_view value, std::string_view lower_name) {
  const std::string lower = ascii_lower(value);
  std::size_t depth = 0;
  std::string_view previous;
  std::size_t at = 0;
  while (at < lower.size()) {
    const char c = lower[at];
    if (c == '(') ++depth;
    if (c == ')' && depth > 0) --depth;
    if (depth > 0 || c == ' ' || c == '\t' || c == ')') {
      ++at;
      continue;
    }
    std::size_t end = lower.find_first_of(" \t(;", at);
    if (end == std::string::npos) end = lower.size();
    if (end == at) {
      ++at;
      continue;
    }
    std::string_view word(lower.data() + at, end - at);
    if (word.ends_with('.')) word.remove_suffix(1);  // the root of the DNS, said or not
    if (previous == "by" && word == lower_name) return true;
    previous = word;
    at = end;
  }
  return false;
}

}  // namespace

HeaderScan::HeaderScan(std::string_view own_name) : own_name_(ascii_lower(own_name)) {}

void HeaderScan::feed(std::string_view bytes) {
  while (!done_ && !bytes.empty()) {
    const auto end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() < kMaxLine) line_.append(piece.substr(0, kMaxLine - line_.size()));
    if (end == std::string_view::npos) {
      octets_ += piece.size();
      if (octets_ > kMaxHeaderOctets) done_ = true;
      return;
    }
    octets_ += piece.size() + 1;
    bytes.remove_prefix(end + 1);
    end_of_line();
    line_.clear();
    if (octets_ > kMaxHeaderOctets) done_ = true;
  }
}

void HeaderScan::end_of_line() {
  const bool empty = line_.empty() || line_ == "\r";
  const bool folded = !line_.empty() && (line_.front() == ' ' || line_.front() == '\t');
  if (folded && !empty) {
    if (keep_field_ && field_.size() < kMaxField) {
      if (!field_.empty() && field_.back() == '\r') field_.pop_back();
      field_ += line_;
    }
    return;
  }
  end_of_field();
  if (empty) {
    done_ = true;
    header_octets_ = octets_;
    return;
  }
  const bool received = starts_with_name(line_, "received");
  if (received) ++received_count_;
  keep_field_ = received || (message_id_.empty() && starts_with_name(line_, "message-id"));
  if (keep_field_) field_ = line_;
}

void HeaderScan::end_of_field() {
  if (!keep_field_) return;
  keep_field_ = false;
  const std::string_view value = value_of(field_);
  if (field_.front() == 'r' || field_.front() == 'R') {
    if (received_by(value, own_name_)) ++own_received_count_;
  } else {
    std::string visible(value);
    std::erase_if(visible, [](char c) { return is_control(static_cast<unsigned char>(c)); });
    message_id_ = printable(visible, 998);
  }
  field_.clear();
}

}  // namespace waypost::mail
