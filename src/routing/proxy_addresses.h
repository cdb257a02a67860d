// EmailAddresses of Exchange: a list of prefixed addresses in one cell, taken apart.
//
// Private to routing. Pure, linear in the cell's length. X400, X500 and EUM addresses hold the
// same blanks, ';' and ',' that join the list, so a new address begins only where a known prefix or
// a bare mail address does.
#pragma once

#include <string_view>
#include <vector>

namespace waypost::routing {

struct ProxyAddress {
  enum class Kind { smtp, x500, other };
  Kind kind = Kind::other;
  bool primary = false;     // "SMTP:" in capitals
  std::string_view prefix;  // as written, without ':'; empty: none
  std::string_view value;   // without prefix and the blanks around
};

/// A bare value (no prefix) is of kind smtp; whether it is a mail address is for the caller to say.
std::vector<ProxyAddress> split_proxy_addresses(std::string_view cell);

/// "SMTP:bob@..." or "bob@...": one address, whatever it holds behind the prefix.
ProxyAddress one_proxy_address(std::string_view cell);

}  // namespace waypost::routing
