// What a server's EHLO reply says (RFC 5321 §4.1.1.1), and the commands that depend on it.
#pragma once

#include "waypost/smtp/client_dialogue.h"

#include <string>

namespace waypost::smtp {

/// `reply`: 250 to EHLO. Keywords that we don't know, and parameters that make no sense, are passed
/// over: a server that offers nothing is served, too.
Capabilities read_capabilities(const Reply& reply);

/// "MAIL FROM:<...> ..." with CRLF; parameters only as far as they were offered.
void append_mail(std::string& out, const ClientTransaction& transaction, const Capabilities& offer);
void append_rcpt(std::string& out, const ClientRecipient& recipient,
                 const ClientTransaction& transaction, const Capabilities& offer);

}  // namespace waypost::smtp
