// What a reply or an error means for a recipient. This is the only file that decides it.
//
// what happened                                     recipient             site trouble
// 2xx to RCPT and to the content                     delivered             no
// 4xx to RCPT, MAIL or the content                   deferred              421, 454 only
// 5xx to RCPT                                        failed (this one)     no
// bare 552 to RCPT, 552 5.5.3 (RFC 5321 4.5.3.1.10)  deferred              no
// 5xx to MAIL or the content                         failed (all)          no
// connection lost, malformed reply, deadline         deferred 4.4.2        until content is sent
// no connection; greeting or EHLO refused            deferred 4.4.1, 4.0.0 yes
// TLS demanded and not to be had                     deferred 4.7.5        yes
// the domain does not exist; null MX; no MX host has
//   an address (MX of the recipient's domain only)   failed 5.1.2, 5.1.10, 5.4.4  no
// DNS trouble                                        deferred 4.4.3        yes
// the next hop is ourselves, by its address          failed 5.4.6          no
// the next hop greets with our name                  deferred 4.4.6        yes
// SMTPUTF8 needed, not offered; too large for SIZE   failed 5.6.7, 5.3.4   no
//
// The status is the server's enhanced code if it agrees with the fate, else x.0.0: RFC 3461 §6.3
// (g) wants no guess from the basic code.
//
// Pure functions. A 5xx that is really the site's trouble (greeting, EHLO, AUTH, STARTTLS) never
// fails a recipient.
#pragma once

#include "waypost/base/result.h"
#include "waypost/mail/outcome.h"
#include "waypost/smtp/client_dialogue.h"

#include <cstddef>
#include <string>

namespace waypost::outbound {

/// The fate of recipient `index` of a transaction that has run to its end or broken off. `broken`:
/// why it broke; message empty: it did not.
mail::Outcome judge_recipient(const smtp::TransactionOutcome& transaction, std::size_t index,
                              const Error& broken, const std::string& remote_mta,
                              bool remote_has_dsn);

/// True if the server would take this recipient in another transaction: too many, or others than
/// those it has accepted (RFC 5321 §4.5.3.1.10).
bool wants_fewer(const smtp::TransactionOutcome& transaction, std::size_t index);

/// No transaction was possible. `reply`: what the server said, code 0: nothing.
mail::Outcome judge_no_session(const Error& error, const smtp::Reply& reply,
                               const std::string& remote_mta);

/// True if the trouble is the connection's or the site's, not this message's.
bool is_site_trouble(const smtp::TransactionOutcome& transaction, const Error& broken);

/// True if a reply says that the server has too much to do, or the connection broke while it had
/// the content: then it is given less at once. A 4xx about one mailbox (4.1.x, 4.2.x) says nothing
/// of the kind.
bool asks_for_less(const smtp::TransactionOutcome& transaction, const Error& broken);

mail::Outcome failed_because(mail::EnhancedStatus status, std::string words);
mail::Outcome deferred_because(mail::EnhancedStatus status, std::string words);

}  // namespace waypost::outbound
