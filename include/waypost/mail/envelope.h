// The envelope of one accepted message, and its stored form.
//
// Owns: Envelope, Recipient and their codec (tagged, versioned; described in
// src/mail/envelope-format.md). Plain values; any thread. decode_envelope never trusts its input:
// ErrorKind::corrupt.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/queue_id.h"
#include "waypost/base/result.h"
#include "waypost/mail/address.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::mail {

/// RFC 3461 §4.1. `unset`: the parameter was absent (behave as FAILURE, don't forward a NOTIFY).
enum NotifyFlags : std::uint8_t {
  kNotifyUnset = 0,
  kNotifyNever = 1,
  kNotifySuccess = 2,
  kNotifyFailure = 4,
  kNotifyDelay = 8,
};

/// RFC 3461 §4.3.
enum class Ret : std::uint8_t { unset, full, headers };
/// RFC 6152. We don't offer BINARYMIME.
enum class BodyType : std::uint8_t { unset, seven_bit, eight_bit_mime };

struct Recipient {
  Mailbox original;  // what RCPT TO said
  Mailbox target;    // where routing sent it on acceptance: the address it stands for as long as
                     // its entry has it; asked again at every attempt
  std::string next_hop;  // configured name, as decided on acceptance
  std::string orcpt;     // decoded "rfc822;robert@corp.example"; empty: absent
  std::uint8_t notify = kNotifyUnset;
  /// 0: the recipient itself; k: the k-th copy of the nearest recipient before it with copy 0. The
  /// sender has not asked for a copy and never hears of it.
  std::uint8_t copy = 0;
};
/// The highest number of a copy.
inline constexpr std::uint8_t kMostCopies = 11;

/// The recipient `of` (copy 0) has the further target of the recipient `copy`, too: it is stored
/// once, with the first recipient that has it.
struct SharedCopy {
  std::uint32_t copy = 0, of = 0;
};

/// What the header, and the header of each MIME part, is made of. Looked at only where the client
/// has said SMTPUTF8: without it UTF-8 in a header is no reason to ask for it either.
enum class HeaderText : std::uint8_t { unknown, ascii, utf8 };

struct Envelope {
  QueueId id;
  WallTime accepted_at{};
  ReversePath reverse_path;
  Ret ret = Ret::unset;
  BodyType body = BodyType::unset;
  /// Declared with MAIL. Whether the message *needs* it when it goes on is asked anew each time
  /// (RFC 6531 §3.4): that depends on the addresses as they are sent.
  bool smtputf8 = false;
  HeaderText header = HeaderText::unknown;
  bool has_bare_newline =
      false;  // a CR or LF alone is in the content: sent as is by BDAT, repaired for DATA
  bool is_report = false;          // we wrote it: a DSN
  std::string envid;               // decoded; empty: absent
  std::string message_id;          // header field value, for tracing only
  std::string client;              // "ex1.corp.example[10.0.0.5]"
  std::uint64_t content_size = 0;  // octets, our Received field included
  std::vector<Recipient> recipients;
  std::vector<SharedCopy> shared_copies;
};

std::string encode(const Envelope& envelope);
Result<Envelope> decode_envelope(std::string_view bytes);

}  // namespace waypost::mail
