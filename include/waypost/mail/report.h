// Delivery status notifications: RFC 3461, 3462 (multipart/report), 3464, 6533 (internationalised).
//
// build_report is pure: same input, same bytes. It writes CRLF text whose header is ASCII, so that
// it can travel anywhere, unless its addressee's own address is not ASCII: then, and only then, the
// report needs SMTPUTF8 and has the parts message/global-*. What it tells of never decides.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/mail/envelope.h"
#include "waypost/mail/outcome.h"

#include <string>
#include <string_view>
#include <vector>

namespace waypost::mail {

enum class ReportAction : std::uint8_t { failed, delayed, relayed };

struct ReportedRecipient {
  Recipient recipient;
  Outcome outcome;
  WallTime last_attempt{};
  WallTime will_retry_until{};  // delayed only
};

struct ReportInput {
  ReportAction action = ReportAction::failed;
  const Envelope& envelope;  // of the message that the report is about
  std::vector<ReportedRecipient> recipients;
  std::string_view own_name;
  std::string_view postmaster;  // address that the reader may ask
  WallTime now{};
  QueueId report_id;
  std::string_view
      original_content;  // header, or header and body when RET=FULL asks for it and it fits
  bool content_is_full = false;
  ReversePath addressee;  // who is told; unset: the reverse-path, which then is not null
};

/// The report as content for a message with a null reverse-path, addressed to the addressee.
/// Final-Recipient names the *original* address, never the rewritten one.
std::string build_report(const ReportInput& input);

/// True if a failure of this recipient must be told: reverse-path not null, NOTIFY unset or with
/// FAILURE.
bool wants_failure_report(const Envelope& envelope, const Recipient& recipient);

}  // namespace waypost::mail
