// The arguments of MAIL and RCPT: paths and ESMTP parameters (RFC 5321 §4.1.1.2, §4.1.1.3, §4.1.2).
#pragma once

#include "waypost/smtp/server_dialogue.h"

#include <expected>
#include <string_view>

namespace waypost::smtp {

/// What the parser must know of the session.
struct ParameterRules {
  bool esmtp = true;          // after HELO there are no parameters
  bool auth_offered = false;  // AUTH= may be given
  std::uint64_t max_message_size = 0;
};

/// `arguments`: what follows "MAIL", without blanks in front. The unexpected value is the reply to
/// give.
std::expected<MailCommand, Reply> parse_mail(std::string_view arguments,
                                             const ParameterRules& rules);
/// `smtputf8`: the transaction has it.
std::expected<RcptCommand, Reply> parse_rcpt(std::string_view arguments,
                                             const ParameterRules& rules, bool smtputf8);

}  // namespace waypost::smtp
