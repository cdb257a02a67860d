// Reads what a server's EHLO reply offers (RFC 5321 §4.1.1.1). Unknown keywords are ignored.
#pragma once

#include "waypost/smtp/client_dialogue.h"

namespace waypost::smtp {

Capabilities read_capabilities(const Reply& ehlo_reply);

}  // namespace waypost::smtp
