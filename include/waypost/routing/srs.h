// Whose reverse-path is rewritten when mail is forwarded, and where returned mail goes. Off by
// default: it repairs SPF at the target, not DMARC. The addresses themselves: waypost/mail/srs.h.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"
#include "waypost/mail/address.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waypost::routing {

struct SrsOptions {
  std::string domain;       // of rewritten addresses; empty: no SRS
  std::string secret_file;  // a secret a line: the first signs, each verifies
  /// Senders of these domains stay as they are; empty: the own domains and their aliases.
  std::vector<std::string> own_domains;
  std::string return_next_hop;  // takes returned mail; empty: routed as any mail to that sender
  Duration max_age = std::chrono::hours(24 * 21);
  std::uint32_t max_local_part = 64;  // RFC 5321 §4.5.3.1.1; a sender that would be longer stays
};

/// What stands in MAIL FROM.
struct SenderChoice {
  std::optional<mail::Mailbox> rewritten;  // nullopt: the sender as it came
  std::string trouble;                     // why it was not rewritten though it should be
};

/// At least this long: the hash can be tried without asking us.
inline constexpr std::size_t kLeastSecretOctets = 16;
/// Blank lines and lines that begin with '#' are skipped. The error names what to do.
Result<std::vector<std::string>> read_srs_secrets(const std::string& path);

}  // namespace waypost::routing
