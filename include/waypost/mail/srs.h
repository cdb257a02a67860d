// The Sender Rewriting Scheme: a reverse-path in a domain of ours that tells where mail must
// return.
//
//   SRS0=HHHHHHHH=TT=outside.example=ann@srs.corp.example             ann@outside.example
//   SRS1=HHHHHHHH=other.example==HHH=TT=outside.example=ann@srs...    what other.example rewrote
//
// Srs: immutable; any thread; no I/O. H is HMAC-SHA256, cut to 40 bits, in base32; T the day modulo
// 1024. Everything is compared without regard to case, since mail servers on the way may change it;
// the whole day number is signed, so that no address becomes valid again after 1024 days. The
// scheme is Meng Weng Wong's; the limits are those of RFC 5321 §4.5.3.1.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/mail/address.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::mail {

struct SrsParameters {
  std::string domain;                // ours, of rewritten addresses
  std::vector<std::string> secrets;  // the first signs, each verifies
  unsigned max_age_days = 21;
  std::size_t max_local_part = 64;  // RFC 5321 §4.5.3.1.1
};

/// True for a local part that claims to be SRS0 or SRS1, whatever its signature.
bool looks_like_srs(std::string_view local_part);

enum class SrsTrouble : std::uint8_t { none, malformed, wrong_hash, expired };

class Srs {
 public:
  /// REQUIRES: a domain, and at least one secret that is not empty.
  explicit Srs(SrsParameters parameters);

  /// ErrorKind::exhausted: the result would be too long. ErrorKind::invalid: an address that could
  /// not return (no domain, an address literal).
  Result<Mailbox> forward(const Mailbox& sender, WallTime at) const;

  struct Returned {
    SrsTrouble trouble = SrsTrouble::none;
    Mailbox sender;          // without trouble, and when only its time is over
    unsigned age_days = 0;   // SRS0
    std::size_t secret = 0;  // which one had signed it
  };
  /// The address that the local part stands for. The domain is the caller's affair.
  Returned reverse(const Mailbox& address, WallTime at) const;
  const SrsParameters& parameters() const { return parameters_; }

 private:
  SrsParameters parameters_;
};

}  // namespace waypost::mail
