#include "waypost/mail/srs.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <optional>

namespace waypost::mail {
namespace {

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::size_t kHashLetters = 8;     // 40 bits: far too many to try over SMTP
constexpr std::size_t kMaxPath = 254;       // RFC 5321 §4.5.3.1.3, without the brackets
constexpr std::size_t kPrefix = 4;          // "SRS0"
constexpr std::int64_t kDays = 1024;        // two letters
constexpr std::int64_t kClockSkewDays = 1;  // another gateway's clock may be ahead at midnight

std::int64_t day_of(WallTime at) {
  return std::chrono::floor<std::chrono::days>(at).time_since_epoch().count();
}

std::string stamp_of(std::int64_t day) {
  const auto n = static_cast<std::size_t>(day % kDays);
  return {kBase32[n >> 5], kBase32[n & 31]};
}

std::optional<std::int64_t> letter(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  const auto at = kBase32.find(c);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<std::int64_t>(at);
}

/// Days since the stamp; negative: in the future by clock skew.
std::optional<std::int64_t> age_of(std::string_view stamp, std::int64_t today) {
  if (stamp.size() != 2) return std::nullopt;
  const auto high = letter(stamp[0]), low = letter(stamp[1]);
  if (!high || !low) return std::nullopt;
  const std::int64_t age = (today % kDays - (*high * 32 + *low) + kDays) % kDays;
  return age >= kDays - kClockSkewDays ? age - kDays : age;
}

/// `kind` and the fields, each of which has no "\n".
std::string hash_of(std::string_view secret, std::string_view kind, std::string_view a,
                    std::string_view b, std::string_view c) {
  std::string text;
  for (const std::string_view part : {kind, a, b, c}) {
    text += ascii_lower(part);
    text += '\n';
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &length);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 5; ++i) bits = bits << 8 | digest[i];
  std::string hash(kHashLetters, '\0');
  for (std::size_t i = kHashLetters; i-- > 0; bits >>= 5) hash[i] = kBase32[bits & 31];
  return hash;
}

bool same_hash(std::string_view a, const std::string& b) {
  const std::string one = ascii_lower(a), other = ascii_lower(b);
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

/// What stands before the next '='; nullopt: there is none. Advances behind it.
std::optional<std::string_view> take_field(std::string_view& text) {
  const auto end = text.find('=');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return field;
}

/// '0' or '1', the digit of SRS0 and SRS1; 0: neither.
char kind_of(std::string_view local_part) {
  if (local_part.size() <= kPrefix + 1) return 0;
  if (ascii_lower(local_part.substr(0, 3)) != "srs") return 0;
  const char separator = local_part[kPrefix];
  if (separator != '=' && separator != '+' && separator != '-') return 0;
  const char kind = local_part[3];
  return kind == '0' || kind == '1' ? kind : '\0';
}

/// What an SRS1 address keeps of the SRS0 one: all that follows "SRS0".
bool is_rest_of_srs0(std::string_view rest) { return kind_of("SRS0" + std::string(rest)) == '0'; }

/// Strict, for it may come out of a local part, where anything can stand.
bool is_domain(std::string_view domain) {
  if (domain.empty() || domain.front() == '[') return false;
  const auto parsed = parse_mailbox("x@" + std::string(domain));
  return parsed && parsed->local_part == "x" && parsed->domain == domain;
}

}  // namespace

bool looks_like_srs(std::string_view local_part) { return kind_of(local_part) != 0; }

Srs::Srs(SrsParameters parameters) : parameters_(std::move(parameters)) {}

Result<Mailbox> Srs::forward(const Mailbox& sender, WallTime at) const {
  if (!is_domain(sender.domain))
    return fail(ErrorKind::invalid, "no mail could be returned to the domain of this sender");
  const std::string& secret = parameters_.secrets.front();
  std::string local;
  std::string_view rest(sender.local_part);
  const char kind = kind_of(rest);
  std::string first_forwarder;
  if (kind == '0') {
    // Another one has rewritten it: it returns to that one, and we keep only where it is.
    first_forwarder = sender.domain;
    rest.remove_prefix(kPrefix);
  } else if (kind == '1') {
    rest.remove_prefix(kPrefix + 1);
    const auto their_hash = take_field(rest);
    const auto forwarder = take_field(rest);
    if (their_hash && forwarder && is_domain(*forwarder) && is_rest_of_srs0(rest))
      first_forwarder = *forwarder;
  }
  if (!first_forwarder.empty()) {
    local = "SRS1=" + hash_of(secret, "srs1", first_forwarder, rest, "") + "=" + first_forwarder +
            "=" + std::string(rest);
  } else {
    const std::int64_t day = day_of(at);
    local =
        "SRS0=" + hash_of(secret, "srs0", std::to_string(day), sender.domain, sender.local_part) +
        "=" + stamp_of(day) + "=" + sender.domain + "=" + sender.local_part;
  }
  Mailbox rewritten{std::move(local), parameters_.domain};
  const std::size_t whole = rewritten.to_string().size();
  const std::size_t local_octets = whole - parameters_.domain.size() - 1;
  if (local_octets > parameters_.max_local_part || whole > kMaxPath)
    return fail(ErrorKind::exhausted,
                "rewritten, the sender's local part would have " + std::to_string(local_octets) +
                    " octets; " + std::to_string(parameters_.max_local_part) + " are allowed");
  return rewritten;
}

Srs::Returned Srs::reverse(const Mailbox& address, WallTime at) const {
  Returned back;
  back.trouble = SrsTrouble::malformed;
  std::string_view rest(address.local_part);
  const char kind = kind_of(rest);
  if (kind == 0) return back;
  rest.remove_prefix(kPrefix + 1);
  const auto hash = take_field(rest);
  if (!hash) return back;
  if (kind == '1') {
    const auto forwarder = take_field(rest);
    if (!forwarder || !is_domain(*forwarder) || !is_rest_of_srs0(rest)) return back;
    back.trouble = SrsTrouble::wrong_hash;
    for (std::size_t i = 0; i < parameters_.secrets.size(); ++i) {
      if (!same_hash(*hash, hash_of(parameters_.secrets[i], "srs1", *forwarder, rest, "")))
        continue;
      back.trouble = SrsTrouble::none;
      back.secret = i;
      back.sender = {"SRS0" + std::string(rest), std::string(*forwarder)};
      break;
    }
    return back;
  }
  const auto stamp = take_field(rest);
  const auto domain = take_field(rest);
  if (!stamp || !domain || !is_domain(*domain) || rest.empty()) return back;
  const std::int64_t today = day_of(at);
  const auto age = age_of(*stamp, today);
  if (!age) return back;
  back.trouble = SrsTrouble::wrong_hash;
  const std::string day = std::to_string(today - *age);
  for (std::size_t i = 0; i < parameters_.secrets.size(); ++i) {
    if (!same_hash(*hash, hash_of(parameters_.secrets[i], "srs0", day, *domain, rest))) continue;
    back.secret = i;
    back.age_days = static_cast<unsigned>(std::max<std::int64_t>(*age, 0));
    back.trouble =
        back.age_days > parameters_.max_age_days ? SrsTrouble::expired : SrsTrouble::none;
    back.sender = {std::string(rest), std::string(*domain)};
    break;
  }
  return back;
}

}  // namespace waypost::mail
