// Whether an envelope, or one of its recipients, is what an operator means.
#pragma once

#include "waypost/mail/envelope.h"
#include "waypost/queue/control.h"

namespace waypost::queue {

/// An empty pattern fits everything.
bool matches_pattern(const std::string& pattern, const std::string& text);
/// False: the queue's own index is enough to tell.
bool needs_envelope(const Selector& selector);
bool fits_sender(const mail::Envelope& envelope, const Selector& selector);
/// Domain and address: those that the client has named, or those where the mail goes now.
/// `goes_to`: null: not known; without a domain: nowhere.
bool fits_address(const mail::Mailbox& original, const mail::Mailbox* goes_to,
                  const Selector& selector);

}  // namespace waypost::queue
