#include "net/dns_answer.h"

#include <ares.h>

#include <arpa/inet.h>

#include <limits>

namespace waypost::net {
namespace {

constexpr std::size_t kHeader = 12, kMaxAddresses = 64;
constexpr std::uint16_t kTypeA = 1;
constexpr std::uint16_t kTypeMx = 15;
constexpr std::uint16_t kTypeAaaa = 28;
constexpr std::uint16_t kClassIn = 1;

class Reader {
 public:
  explicit Reader(std::span<const unsigned char> message) : message_(message) {}
  bool skip(std::size_t octets) {
    if (octets > message_.size() - at_) return false;
    at_ += octets;
    return true;
  }
  bool number16(std::uint16_t& value) {
    if (message_.size() - at_ < 2) return false;
    value = static_cast<std::uint16_t>(message_[at_] << 8 | message_[at_ + 1]);
    at_ += 2;
    return true;
  }
  bool number32(std::uint32_t& value) {
    std::uint16_t high = 0;
    std::uint16_t low = 0;
    if (!number16(high) || !number16(low)) return false;
    value = static_cast<std::uint32_t>(high) << 16 | low;
    return true;
  }
  /// ares_expand_name checks bounds and pointer loops.
  bool name(std::string& value) {
    if (at_ >= message_.size()) return false;
    char* text = nullptr;
    long length = 0;
    const int status = ::ares_expand_name(message_.data() + at_, message_.data(),
                                          static_cast<int>(message_.size()), &text, &length);
    if (status != ARES_SUCCESS) return false;
    value = text;
    ::ares_free_string(text);
    return skip(static_cast<std::size_t>(length));
  }
  std::size_t position() const { return at_; }
  void move(std::size_t position) { at_ = position; }
  std::size_t size() const { return message_.size(); }

 private:
  std::span<const unsigned char> message_;
  std::size_t at_ = kHeader;
};

/// Calls `take(type, reader, length)` for each answer of class IN; it reads the record's data and
/// returns false if that is malformed. Returns the lowest TTL of all answers.
template <class Take>
Result<std::uint32_t> read_answers(std::span<const unsigned char> message, Take&& take) {
  const auto malformed = [] { return fail(ErrorKind::dns, "the DNS answer is malformed"); };
  if (message.size() < kHeader) return malformed();
  const unsigned questions = static_cast<unsigned>(message[4] << 8 | message[5]);
  const unsigned answers = static_cast<unsigned>(message[6] << 8 | message[7]);
  Reader in(message);
  std::string name;
  for (unsigned i = 0; i < questions; ++i) {
    if (!in.name(name) || !in.skip(4)) return malformed();
  }
  std::uint32_t lowest = std::numeric_limits<std::uint32_t>::max();
  for (unsigned i = 0; i < answers; ++i) {
    std::uint16_t type = 0;
    std::uint16_t klass = 0;
    std::uint16_t length = 0;
    std::uint32_t ttl = 0;
    if (!in.name(name) || !in.number16(type) || !in.number16(klass) || !in.number32(ttl) ||
        !in.number16(length)) {
      return malformed();
    }
    const std::size_t end = in.position() + length;
    if (end > in.size()) return malformed();
    lowest = std::min(lowest, ttl);
    if (klass == kClassIn && (!take(type, in, length) || in.position() > end)) return malformed();
    in.move(end);
  }
  return answers == 0 ? 0 : lowest;
}

}  // namespace

Result<DnsMxRecords> read_mx_answer(std::span<const unsigned char> message) {
  DnsMxRecords records;
  const auto ttl = read_answers(message, [&](std::uint16_t type, Reader& in, std::uint16_t) {
    if (type != kTypeMx) return true;
    MxHost host;
    if (!in.number16(host.preference) || !in.name(host.name)) return false;
    records.hosts.push_back(std::move(host));
    return true;
  });
  if (!ttl) return fail(ttl.error());
  records.ttl_seconds = *ttl;
  return records;
}

Result<DnsAddressRecords> read_address_answer(std::span<const unsigned char> message, bool ipv6) {
  DnsAddressRecords records;
  const auto ttl = read_answers(message, [&](std::uint16_t type, Reader& in, std::uint16_t length) {
    if (type != (ipv6 ? kTypeAaaa : kTypeA)) return true;
    if (length != (ipv6 ? sizeof(in6_addr) : sizeof(in_addr))) return false;
    if (records.addresses.size() == kMaxAddresses) return true;
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(ipv6 ? AF_INET6 : AF_INET, message.data() + in.position(), text, sizeof text);
    records.addresses.emplace_back(text);
    return true;
  });
  if (!ttl) return fail(ttl.error());
  records.ttl_seconds = *ttl;
  return records;
}

}  // namespace waypost::net
