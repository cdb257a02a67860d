#include "load/identity.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace waypost::load {
namespace {

constexpr char kDigits[] = "0123456789abcdef";
constexpr std::size_t kLongestHeaderLine = 4096;

void put_hex(char* into, std::uint64_t value, unsigned digits) {
  for (unsigned i = digits; i-- > 0; value >>= 4) into[i] = kDigits[value & 15];
}

constexpr std::string_view kReceivedField = "Received:";

bool is_field(std::string_view line, std::string_view field) {
  if (line.size() < field.size()) return false;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const char c = line[i], wanted = field[i];
    const bool letter = (wanted | 0x20) >= 'a' && (wanted | 0x20) <= 'z';
    if (c != wanted && !(letter && (c ^ 0x20) == wanted)) return false;
  }
  return true;
}

constexpr std::uint64_t kP1 = 0x9E3779B185EBCA87, kP2 = 0xC2B2AE3D27D4EB4F,
                        kP3 = 0x165667B19E3779F9, kP4 = 0x85EBCA77C2B2AE63,
                        kP5 = 0x27D4EB2F165667C5;

std::uint64_t read64(const char* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kP2, 31) * kP1;
}

}  // namespace

std::string hex(std::uint64_t value, unsigned digits) {
  std::string out(digits, '0');
  put_hex(out.data(), value, digits);
  return out;
}

std::optional<std::uint64_t> parse_hex(std::string_view digits) {
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value, 16);
  if (digits.empty() || parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

void write_identity(char* into, const Identity& identity) {
  std::memcpy(into, kIdentityField.data(), kIdentityField.size());
  into += kIdentityField.size();
  *into++ = ' ';
  put_hex(into, identity.run, 16);
  into[16] = '-';
  put_hex(into + 17, identity.sequence, 12);
  into[29] = '-';
  put_hex(into + 30, identity.digest, 16);
  into[46] = '\r';
  into[47] = '\n';
}

std::optional<Identity> parse_identity(std::string_view value) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!value.empty() && blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && blank(value.back())) value.remove_suffix(1);
  if (value.size() != 46 || value[16] != '-' || value[29] != '-') return std::nullopt;
  const auto run = parse_hex(value.substr(0, 16));
  const auto sequence = parse_hex(value.substr(17, 12));
  const auto digest = parse_hex(value.substr(30));
  if (!run || !sequence || !digest) return std::nullopt;
  return Identity{*run, *sequence, *digest};
}

std::optional<Identity> find_identity(std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (is_field(line, kIdentityField)) {
      if (auto found = parse_identity(line.substr(kIdentityField.size()))) return found;
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

void BodyDigest::restart() {
  lanes_[0] = kP1 + kP2;
  lanes_[1] = kP2;
  lanes_[2] = 0;
  lanes_[3] = 0 - kP1;
  held_ = 0;
  total_ = 0;
}

void BodyDigest::take_block(const char* block) {
  for (int i = 0; i < 4; ++i) lanes_[i] = mix(lanes_[i], read64(block + 8 * i));
}

void BodyDigest::feed(std::string_view bytes) {
  total_ += bytes.size();
  if (held_ > 0) {
    const std::size_t n = std::min(bytes.size(), sizeof rest_ - held_);
    std::memcpy(rest_ + held_, bytes.data(), n);
    held_ += n;
    bytes.remove_prefix(n);
    if (held_ < sizeof rest_) return;
    take_block(rest_);
    held_ = 0;
  }
  while (bytes.size() >= sizeof rest_) {
    take_block(bytes.data());
    bytes.remove_prefix(sizeof rest_);
  }
  if (!bytes.empty()) std::memcpy(rest_, bytes.data(), bytes.size());
  held_ = bytes.size();
}

std::uint64_t BodyDigest::value() const {
  std::uint64_t h = lanes_[2] + kP5;
  if (total_ >= sizeof rest_) {
    h = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
        std::rotl(lanes_[3], 18);
    for (const std::uint64_t lane : lanes_) h = (h ^ mix(0, lane)) * kP1 + kP4;
  }
  h += total_;
  std::size_t at = 0;
  for (; at + 8 <= held_; at += 8) {
    h = std::rotl(h ^ mix(0, read64(rest_ + at)), 27) * kP1 + kP4;
  }
  if (at + 4 <= held_) {
    std::uint32_t word = 0;
    std::memcpy(&word, rest_ + at, sizeof word);
    h = std::rotl(h ^ (word * kP1), 23) * kP2 + kP3;
    at += 4;
  }
  for (; at < held_; ++at) {
    h = std::rotl(h ^ (static_cast<unsigned char>(rest_[at]) * kP5), 11) * kP1;
  }
  h = (h ^ (h >> 33)) * kP2;
  h = (h ^ (h >> 29)) * kP3;
  return h ^ (h >> 32);
}

std::uint64_t BodyDigest::of(std::string_view bytes) {
  BodyDigest digest;
  digest.feed(bytes);
  return digest.value();
}

std::uint64_t message_digest(const BodyDigest& above, std::uint64_t below) {
  return above.octets() == 0 ? below : mix(above.value(), below);
}

void IdentityScan::restart() {
  at_ = At::top;
  inside_line_ = false;
  line_.clear();
  identity_.reset();
  above_.restart();
  below_.restart();
}

/// A line of the header, or a piece of one that is too long to wait for its end.
void IdentityScan::take_line(std::string_view line, bool whole) {
  const bool begins = !inside_line_;
  inside_line_ = !whole;
  if (begins && (at_ == At::top || at_ == At::received)) {
    const bool folded = at_ == At::received && (line.front() == ' ' || line.front() == '\t');
    if (!folded) at_ = is_field(line, kReceivedField) ? At::received : At::header;
  }
  if (at_ == At::received) return;
  if (begins && whole && is_field(line, kIdentityField)) {
    identity_ = parse_identity(line.substr(kIdentityField.size()));
    if (identity_) {
      char written[kIdentityLine];
      write_identity(written, *identity_);
      if (line != std::string_view(written, kIdentityLine)) above_.feed(line);
      at_ = At::body;
      return;
    }
  }
  above_.feed(line);
  if (begins && (line == "\r\n" || line == "\n")) at_ = At::nothing;
}

void IdentityScan::feed(std::string_view bytes) {
  while (at_ < At::body && !bytes.empty()) {
    const auto end = bytes.find('\n');
    const bool whole = end != std::string_view::npos;
    std::string_view line = bytes.substr(0, whole ? end + 1 : bytes.size());
    bytes.remove_prefix(line.size());
    if (!line_.empty() || !whole) {
      line_ += line;
      line = line_;
    }
    if (!whole && line_.size() < kLongestHeaderLine) return;
    take_line(line, whole);
    line_.clear();
  }
  if (at_ == At::body) below_.feed(bytes);
}

}  // namespace waypost::load
