// Addresses: RFC 5321 §4.1.2, RFC 6531 (SMTPUTF8), RFC 5321 §4.1.3 (address literals).
//
// Owns: Mailbox and the parsing of paths. No state, any thread. Parse failures are
// ErrorKind::invalid with a message fit for a 501 reply.
#pragma once

#include "waypost/base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace waypost::mail {

/// Longest local part and domain that we take; Exchange's limit for a whole address is 571 octets.
inline constexpr std::size_t kMaxAddressOctets = 571;
inline constexpr std::size_t kMaxDomainOctets = 255;

/// One mailbox. `local_part` is the value, without quotes and backslashes; to_string() quotes again
/// where needed.
struct Mailbox {
  std::string local_part;
  std::string domain;  // as written; "[192.0.2.1]" for a literal; empty only for "postmaster"

  bool operator==(const Mailbox&) const = default;
  /// The wire form, without angle brackets.
  std::string to_string() const;
  /// True if either part has an octet above 127.
  bool needs_smtputf8() const;
};

/// A reverse-path: nullopt is the null reverse-path "<>".
using ReversePath = std::optional<Mailbox>;
/// "<>" or the address without brackets, for logs.
std::string to_string(const ReversePath& path);

/// Parses a whole string as one mailbox. No control character is ever accepted, quoted or not.
Result<Mailbox> parse_mailbox(std::string_view text, bool allow_utf8 = true);

/// Parses "<...>" at the front of `input` and advances it behind the bracket. Source routes are
/// accepted and dropped (RFC 5321 §3.6.1, appendix C). `<>` gives nullopt. `<postmaster>` without
/// domain is allowed for any letter case.
Result<ReversePath> parse_path(std::string_view& input, bool allow_utf8);

/// ASCII lower case, of ASCII letters only.
std::string ascii_lower(std::string_view text);

}  // namespace waypost::mail
