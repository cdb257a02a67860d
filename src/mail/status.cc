#include "waypost/mail/status.h"

#include "mail/text.h"

#include <charconv>

namespace waypost::mail {
namespace {

/// One to three digits.
std::optional<std::uint16_t> take_number(std::string_view& text) {
  std::uint16_t value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && digits < 4 && is_digit(static_cast<unsigned char>(text[digits]))) {
    value = static_cast<std::uint16_t>(value * 10 + (text[digits] - '0'));
    ++digits;
  }
  if (digits == 0 || digits > 3) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take_dot(std::string_view& text) {
  if (text.empty() || text.front() != '.') return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string EnhancedStatus::to_string() const {
  if (klass == 0) return {};
  char text[3 * 5 + 2];  // each number has at most five digits
  char* const end = text + sizeof text;
  char* at = std::to_chars(text, end, klass).ptr;
  *at++ = '.';
  at = std::to_chars(at, end, subject).ptr;
  *at++ = '.';
  at = std::to_chars(at, end, detail).ptr;
  return {text, at};
}

std::optional<EnhancedStatus> EnhancedStatus::parse_prefix(std::string_view& text) {
  std::string_view rest = text;
  const auto klass = take_number(rest);
  if (!klass || (*klass != 2 && *klass != 4 && *klass != 5) || !take_dot(rest)) return std::nullopt;
  const auto subject = take_number(rest);
  if (!subject || !take_dot(rest)) return std::nullopt;
  const auto detail = take_number(rest);
  if (!detail) return std::nullopt;
  if (!rest.empty()) {
    if (rest.front() != ' ' && rest.front() != '\t') return std::nullopt;
    rest.remove_prefix(1);
  }
  text = rest;
  return EnhancedStatus{*klass, *subject, *detail};
}

}  // namespace waypost::mail
