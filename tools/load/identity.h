// What makes each message of a run recognisable, wherever it turns up.
//
// The header field `X-Waypost-Load: RUN-SEQUENCE-DIGEST` (hex, fixed width). DIGEST covers all
// octets above and below the field but the Received fields that relays put on top of everything. It
// guards against accidents, not against forgery.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace waypost::load {

struct Identity {
  std::uint64_t run = 0, sequence = 0, digest = 0;
  bool operator==(const Identity&) const = default;
};

inline constexpr std::string_view kIdentityField = "X-Waypost-Load:";
/// "X-Waypost-Load: 16-12-16 hex digits CRLF"
inline constexpr std::size_t kIdentityLine = 15 + 1 + 16 + 1 + 12 + 1 + 16 + 2;

/// Writes exactly kIdentityLine octets.
void write_identity(char* into, const Identity& identity);
/// Reads "RUN-SEQUENCE-DIGEST"; blanks around it are allowed.
std::optional<Identity> parse_identity(std::string_view value);
/// The first identity field that begins a line of `text` (also deep inside, as in a report).
std::optional<Identity> find_identity(std::string_view text);

std::string hex(std::uint64_t value, unsigned digits = 16);
std::optional<std::uint64_t> parse_hex(std::string_view digits);

/// XXH64 of a byte stream: fast enough to be free beside the sockets.
class BodyDigest {
 public:
  BodyDigest() { restart(); }
  void restart();
  void feed(std::string_view bytes);
  std::uint64_t value() const;
  std::uint64_t octets() const { return total_; }
  static std::uint64_t of(std::string_view bytes);

 private:
  void take_block(const char* block);
  std::uint64_t lanes_[4];
  char rest_[32];
  std::size_t held_ = 0;
  std::uint64_t total_ = 0;
};

/// The digest of a message from those of its octets above and below the identity line.
std::uint64_t message_digest(const BodyDigest& above, std::uint64_t below);

/// Finds the identity in a message that arrives in pieces, and the digest of what is around it.
class IdentityScan {
 public:
  void restart();
  void feed(std::string_view bytes);
  /// After the last piece. `identity` is what the field says, `digest` what the octets say.
  const std::optional<Identity>& identity() const { return identity_; }
  std::uint64_t digest() const { return message_digest(above_, below_.value()); }

 private:
  enum class At : std::uint8_t { top, received, header, body, nothing };
  void take_line(std::string_view line, bool whole);
  At at_ = At::top;
  bool inside_line_ = false;  // its beginning has been taken already
  std::string line_;          // an unfinished header line
  std::optional<Identity> identity_;
  BodyDigest above_, below_;
};

}  // namespace waypost::load
