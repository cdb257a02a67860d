// From address text to comparable parts: the quick path for plain addresses and normalisation.
//
// Private to routing. No state, any thread. The quick path takes what nearly every table and every
// RCPT holds, an ASCII dot-atom at a domain, without an allocation; all else goes through
// mail::parse_mailbox, so both accept the same addresses.
#pragma once

#include "waypost/base/result.h"
#include "waypost/mail/address.h"

#include <optional>
#include <string>
#include <string_view>

namespace waypost::routing {

struct AddressView {
  std::string_view local_part;  // the value, without quotes
  std::string_view domain;      // as written
};

/// nullopt: not plain; ask mail::parse_mailbox. The domain is not checked beyond its length.
std::optional<AddressView> split_plain_address(std::string_view text);

/// Appends `text` with ASCII letters in lower case.
void append_lower(std::string& out, std::string_view text);

/// True if append_lower would change nothing.
bool is_lower(std::string_view text);

/// Appends the A-label form in lower case. A trailing dot is dropped. ErrorKind::invalid for what
/// IDNA refuses and for address literals.
Result<> append_normal_domain(std::string& out, std::string_view domain);

}  // namespace waypost::routing
