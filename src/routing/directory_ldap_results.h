// What an LDAP result code means for us, and what an operator can do about it.
//
// Private to routing. Pure. RFC 4511 appendix A has the codes; Active Directory says more in its
// diagnostic messages.
#pragma once

#include "waypost/base/result.h"

#include <string>
#include <string_view>

namespace waypost::routing {

/// A server's words, fit for a message: one line, not too long, without full stop.
std::string one_line(std::string_view text);
/// `doing`: "bind as CN=...". `diagnostic`: what the server or libldap says; may be empty.
Error error_of(int code, std::string_view doing, std::string_view diagnostic);

}  // namespace waypost::routing
