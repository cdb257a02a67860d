// What we need to know of a message's header, and nothing more: found while the bytes stream past.
//
// HeaderScan: one per message; feed it the content in order; it stops looking at the empty line or
// after `kMaxHeaderOctets`. Tolerates bare LF and folded lines. Never fails.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/queue_id.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::mail {

inline constexpr std::size_t kMaxHeaderOctets = 1024 * 1024;

class HeaderScan {
 public:
  /// `own_name`: our host name; a Received field that says "by <own_name>" counts as own.
  explicit HeaderScan(std::string_view own_name);
  void feed(std::string_view bytes);
  bool header_complete() const { return done_; }
  unsigned received_count() const { return received_count_; }
  /// Received fields that name us behind "by".
  unsigned own_received_count() const { return own_received_count_; }
  /// With angle brackets, at most 998 octets, control characters dropped; empty if absent.
  const std::string& message_id() const { return message_id_; }
  /// Size of the header with its empty line, for RET=HDRS; 0 until complete.
  std::uint64_t header_octets() const { return header_octets_; }

 private:
  void end_of_line();
  void end_of_field();
  std::string own_name_;
  std::string field_;  // the field being collected: only those that matter
  std::string line_;   // the line being collected, bounded
  bool done_ = false;
  bool keep_field_ = false;
  unsigned received_count_ = 0;
  unsigned own_received_count_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t header_octets_ = 0;
  std::string message_id_;
};

/// What goes into a Received field (RFC 5321 §4.4, RFC 3848 for `with`).
struct ReceivedField {
  std::string_view helo;  // as the client said; control characters are dropped, overlong is cut
  std::string_view client_address;  // "10.0.0.5" or "IPv6:2001:db8::1"
  std::string_view own_name;
  std::string_view protocol;  // SMTP, ESMTP, ESMTPS, ESMTPSA, UTF8SMTPS ...
  std::string_view tls;       // "TLS1.3:TLS_AES_128_GCM_SHA256", empty: none
  QueueId queue_id;
  WallTime at;
};
/// The folded field with its final CRLF; no line over 998 octets.
std::string format_received(const ReceivedField& field);

/// RFC 5322 §3.3, always "+0000".
std::string format_date(WallTime at);

}  // namespace waypost::mail
