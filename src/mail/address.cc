#include "waypost/mail/address.h"

#include "waypost/base/ascii.h"

#include "mail/text.h"

#include <arpa/inet.h>

namespace waypost::mail {
namespace {

std::unexpected<Error> bad(std::string what) { return fail(ErrorKind::invalid, std::move(what)); }

/// One step over a printable character; 0 if the octet may not stand in an address.
std::size_t character_length(std::string_view text, bool allow_utf8) {
  const auto c = static_cast<unsigned char>(text.front());
  if (is_control(c)) return 0;
  if (c < 0x80) return 1;
  return allow_utf8 ? utf8_length(text) : 0;
}

/// Dot-string (RFC 5321 §4.1.2). Exchange and others send double and trailing dots; the target
/// decides about those.
Result<std::string> take_dot_string(std::string_view& input, bool allow_utf8) {
  std::size_t length = 0;
  while (length < input.size()) {
    const auto c = static_cast<unsigned char>(input[length]);
    if (c == '@' || c == '>') break;
    const std::size_t step = character_length(input.substr(length), allow_utf8);
    if (step == 0 || (step == 1 && c != '.' && !is_atext(c))) {
      return bad("the local part has a character that needs quoting or is not allowed");
    }
    length += step;
  }
  if (length == 0) return bad("the local part is empty");
  std::string local(input.substr(0, length));
  input.remove_prefix(length);
  return local;
}

/// Quoted-string (RFC 5321 §4.1.2): the value, without quotes and backslashes.
Result<std::string> take_quoted_string(std::string_view& input, bool allow_utf8) {
  std::string local;
  input.remove_prefix(1);
  while (!input.empty() && input.front() != '"') {
    if (input.front() == '\\') {
      input.remove_prefix(1);
      if (input.empty()) break;
    }
    const std::size_t step = character_length(input, allow_utf8);
    if (step == 0) return bad("the quoted local part has a character that is not allowed");
    local.append(input.substr(0, step));
    input.remove_prefix(step);
  }
  if (input.empty()) return bad("the quoted local part has no closing quote");
  input.remove_prefix(1);
  if (local.empty()) return bad("the local part is empty");
  return local;
}

/// RFC 5321 §4.1.3. General address literals (other tags) are refused: nobody can deliver there.
bool valid_literal(std::string_view inside) {
  unsigned char buffer[16];
  if (inside.size() > 5 && ascii_lower(inside.substr(0, 5)) == "ipv6:") {
    return ::inet_pton(AF_INET6, std::string(inside.substr(5)).c_str(), buffer) == 1;
  }
  return ::inet_pton(AF_INET, std::string(inside).c_str(), buffer) == 1;
}

Result<std::string> take_literal(std::string_view& input) {
  const auto end = input.find(']');
  if (end == std::string_view::npos) return bad("the address literal has no closing bracket");
  const std::string_view whole = input.substr(0, end + 1);
  if (whole.find('\0') != std::string_view::npos ||
      !valid_literal(whole.substr(1, whole.size() - 2))) {
    return bad("the address literal is not [IPv4] or [IPv6:address]");
  }
  input.remove_prefix(whole.size());
  return std::string(whole);
}

bool valid_label_end(char c) { return c != '-'; }

/// Domain of RFC 5321 §4.1.2 with U-labels (RFC 6531 §3.3) and underscores, which occur in internal
/// names.
Result<std::string> take_domain(std::string_view& input, bool allow_utf8) {
  if (!input.empty() && input.front() == '[') return take_literal(input);
  std::size_t length = 0;
  std::size_t label = 0;
  while (length < input.size()) {
    const auto c = static_cast<unsigned char>(input[length]);
    if (c == '>' || c == ',' || c == ':' || c == ' ') break;
    if (c == '.') {
      if (label == 0 || !valid_label_end(input[length - 1]))
        return bad("the domain has an empty or broken label");
      label = 0;
      ++length;
      continue;
    }
    const std::size_t step =
        c < 0x80 ? (is_alpha(c) || is_digit(c) || c == '_' || (c == '-' && label > 0) ? 1u : 0u)
                 : character_length(input.substr(length), allow_utf8);
    if (step == 0) return bad("the domain has a character that is not allowed");
    label += step;
    length += step;
    if (label > 63 && c < 0x80) return bad("a label of the domain is longer than 63 octets");
  }
  if (length == 0) return bad("the domain is empty");
  std::string_view domain = input.substr(0, length);
  if (domain.back() == '.') domain.remove_suffix(1);  // a rooted name means the same
  if (domain.empty() || domain.back() == '-') return bad("the domain has an empty or broken label");
  if (domain.size() > kMaxDomainOctets) return bad("the domain is longer than 255 octets");
  input.remove_prefix(length);
  return std::string(domain);
}

Result<Mailbox> take_mailbox(std::string_view& input, bool allow_utf8) {
  if (input.empty()) return bad("the address is empty");
  Mailbox mailbox;
  auto local = input.front() == '"' ? take_quoted_string(input, allow_utf8)
                                    : take_dot_string(input, allow_utf8);
  if (!local) return fail(std::move(local).error());
  mailbox.local_part = std::move(*local);
  if (input.empty() || input.front() != '@') {
    if (ascii_lower(mailbox.local_part) == "postmaster") return mailbox;
    return bad("the address has no domain");
  }
  input.remove_prefix(1);
  auto domain = take_domain(input, allow_utf8);
  if (!domain) return fail(std::move(domain).error());
  mailbox.domain = std::move(*domain);
  return mailbox;
}

/// "@a.example,@b.example:" is skipped (RFC 5321 §3.6.1: accepted, ignored, never forwarded).
Result<> skip_source_route(std::string_view& input, bool allow_utf8) {
  while (!input.empty() && input.front() == '@') {
    input.remove_prefix(1);
    auto domain = take_domain(input, allow_utf8);
    if (!domain) return fail(std::move(domain).error());
    if (input.empty()) break;
    const char next = input.front();
    if (next != ',' && next != ':') break;
    input.remove_prefix(1);
    if (next == ':') return {};
    if (input.empty() || input.front() != '@') break;
  }
  return bad("the source route is not @domain,@domain:mailbox");
}

/// Whatever is no Dot-string (RFC 5321 §4.1.2). Exchange and others write double and trailing dots
/// without quotes; what came so goes out in quotes, for a strict server refuses it otherwise.
bool needs_quotes(const std::string& local) {
  if (local.empty() || local.front() == '.' || local.back() == '.') return true;
  for (std::size_t i = 0; i < local.size(); ++i) {
    const char ch = local[i];
    if (ch == '.' && local[i + 1] == '.') return true;
    const auto c = static_cast<unsigned char>(ch);
    if (c < 0x80 && c != '.' && !is_atext(c)) return true;
  }
  return false;
}

}  // namespace

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string Mailbox::to_string() const {
  std::string text;
  text.reserve(local_part.size() + domain.size() + 3);
  if (needs_quotes(local_part)) {
    text += '"';
    for (const char c : local_part) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  } else {
    text += local_part;
  }
  if (!domain.empty()) {
    text += '@';
    text += domain;
  }
  return text;
}

bool Mailbox::needs_smtputf8() const { return !is_ascii(local_part) || !is_ascii(domain); }

std::string to_string(const ReversePath& path) { return path ? path->to_string() : "<>"; }

Result<Mailbox> parse_mailbox(std::string_view text, bool allow_utf8) {
  if (text.size() > kMaxAddressOctets) return bad("the address is longer than 571 octets");
  auto mailbox = take_mailbox(text, allow_utf8);
  if (!mailbox) return mailbox;
  if (!text.empty()) return bad("there is more behind the address");
  return mailbox;
}

Result<ReversePath> parse_path(std::string_view& input, bool allow_utf8) {
  if (input.empty() || input.front() != '<') return bad("the path does not begin with '<'");
  std::string_view rest = input.substr(1);
  if (!rest.empty() && rest.front() == '>') {
    input = rest.substr(1);
    return ReversePath{};
  }
  if (!rest.empty() && rest.front() == '@') {
    if (auto skipped = skip_source_route(rest, allow_utf8); !skipped)
      return fail(std::move(skipped).error());
  }
  const std::size_t before = rest.size();
  auto mailbox = take_mailbox(rest, allow_utf8);
  if (!mailbox) return fail(std::move(mailbox).error());
  if (before - rest.size() > kMaxAddressOctets) return bad("the address is longer than 571 octets");
  if (rest.empty() || rest.front() != '>') return bad("the path does not end with '>'");
  input = rest.substr(1);
  return ReversePath(std::move(*mailbox));
}

}  // namespace waypost::mail
