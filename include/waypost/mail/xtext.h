// xtext (RFC 3461 §4) and the safety of text that came from a wire.
#pragma once

#include "waypost/base/result.h"

#include <string>
#include <string_view>

namespace waypost::mail {

/// ErrorKind::invalid on bad hex, on a raw octet that xtext forbids, or if the *decoded* text has a
/// control character.
Result<std::string> decode_xtext(std::string_view encoded);
/// Encodes everything outside "!".."~" without "+" and "=".
std::string encode_xtext(std::string_view plain);
/// ORCPT: "rfc822;" or "utf-8;" plus encoded address (RFC 3461 §4.2, RFC 6533 §3). Returns
/// "type;address" decoded.
Result<std::string> decode_orcpt(std::string_view parameter, bool smtputf8);
std::string encode_orcpt(std::string_view decoded, bool smtputf8);
/// What stands behind "utf-8;" in ORCPT and in the fields of a report (RFC 6533 §3):
/// utf-8-addr-xtext, which is ASCII, or with `smtputf8` utf-8-addr-unitext. decode_orcpt() gives
/// the address again.
std::string encode_utf8_address(std::string_view address, bool smtputf8);

/// For logs, reports and headers: control characters become '?', invalid UTF-8 becomes '?', cut at
/// `max_octets`.
std::string printable(std::string_view text, std::size_t max_octets = 512);

}  // namespace waypost::mail
