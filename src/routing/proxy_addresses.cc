#include "routing/proxy_addresses.h"

#include "waypost/mail/address.h"

#include "routing/address_text.h"

#include <algorithm>
#include <array>

namespace waypost::routing {
namespace {

// What Exchange knows as address types. Inside a value that is not SMTP only these begin a new
// address: "DDA:" and "Room 5: left" are part of the value.
constexpr std::array<std::string_view, 14> kPrefixes = {"smtp", "x400",  "x500", "eum",    "sip",
                                                        "spo",  "notes", "ms",   "gwise",  "cc",
                                                        "fax",  "mrs",   "mbx",  "airsync"};
constexpr std::size_t kLongestPrefix = 16;

bool is_joint(char c) {
  return c == ';' || c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_prefix_octet(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// "SMTP" of "SMTP:bob@..."; empty: no prefix here.
std::string_view prefix_of(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size() && i <= kLongestPrefix && is_prefix_octet(text[i])) ++i;
  if (i < 2 || i > kLongestPrefix || i >= text.size() || text[i] != ':') return {};
  return text.substr(0, i);
}

bool is_known(std::string_view prefix) {
  const auto lower = mail::ascii_lower(prefix);
  return std::find(kPrefixes.begin(), kPrefixes.end(), lower) != kPrefixes.end();
}

std::string_view token_at(std::string_view text) {
  const auto end = std::find_if(text.begin(), text.end(), is_joint);
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

/// '=' and '/' are legal in local parts, but in an X400 or X500 value they are its own.
bool is_bare_address(std::string_view token) {
  return token.find_first_of("=/") == std::string_view::npos &&
         split_plain_address(token).has_value();
}

/// Where the value that begins at `text` ends: at a joint behind which a new address begins.
std::size_t length_of_structured(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (!is_joint(text[i])) {
      ++i;
      continue;
    }
    const auto joint = i;
    while (i < text.size() && is_joint(text[i])) ++i;
    const auto rest = text.substr(i);
    const auto prefix = prefix_of(rest);
    if (!prefix.empty() ? is_known(prefix) : is_bare_address(token_at(rest))) return joint;
    i += token_at(rest).size();
  }
  return text.size();
}

/// A quoted local part (RFC 5321 §4.1.2) may hold blanks and separators.
std::size_t length_of_simple(std::string_view text) {
  std::size_t i = 0;
  if (text.starts_with('"')) {
    for (i = 1; i < text.size() && text[i] != '"'; ++i)
      if (text[i] == '\\') ++i;
    i = i < text.size() ? i + 1 : 0;
  }
  while (i < text.size() && !is_joint(text[i])) ++i;
  return i;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_joint(text.front())) text.remove_prefix(1);
  while (!text.empty() &&
         (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n'))
    text.remove_suffix(1);
  return text;
}

ProxyAddress classify(std::string_view prefix, std::string_view value) {
  ProxyAddress out{.prefix = prefix, .value = value};
  const auto lower = mail::ascii_lower(prefix);
  if (prefix.empty() || lower == "smtp")
    out.kind = ProxyAddress::Kind::smtp;
  else if (lower == "x500")
    out.kind = ProxyAddress::Kind::x500;
  out.primary = prefix == "SMTP";
  return out;
}

}  // namespace

std::vector<ProxyAddress> split_proxy_addresses(std::string_view cell) {
  std::vector<ProxyAddress> out;
  for (std::size_t at = 0; at < cell.size();) {
    if (is_joint(cell[at])) {
      ++at;
      continue;
    }
    const auto prefix = prefix_of(cell.substr(at));
    if (!prefix.empty()) at += prefix.size() + 1;
    const auto rest = cell.substr(at);
    const auto lower = mail::ascii_lower(prefix);
    // X400, X500, EUM ("1234;phone-context=...") and others hold what joins the list.
    const bool structured = !prefix.empty() && lower != "smtp";
    const auto length = structured ? length_of_structured(rest) : length_of_simple(rest);
    const auto value = trim(rest.substr(0, length));
    if (!value.empty() || !prefix.empty()) out.push_back(classify(prefix, value));
    at += length;
  }
  return out;
}

ProxyAddress one_proxy_address(std::string_view cell) {
  cell = trim(cell);
  const auto prefix = prefix_of(cell);
  if (!prefix.empty()) cell.remove_prefix(prefix.size() + 1);
  return classify(prefix, trim(cell));
}

}  // namespace waypost::routing
