#include "inbound/proxy_header.h"

#include <arpa/inet.h>

#include <charconv>

namespace waypost::inbound {
namespace {

constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kMaxV1 = 107;
constexpr std::size_t kFixedV2 = 16;

std::unexpected<Error> broken(const char* what) {
  return fail(ErrorKind::protocol, std::string("PROXY header: ") + what);
}

unsigned octet(const std::string& text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

std::string_view next_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return word;
}

bool valid_address(int family, std::string_view text) {
  unsigned char buffer[16];
  return ::inet_pton(family, std::string(text).c_str(), buffer) == 1;
}

bool read_port(std::string_view text, std::uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, port);
  return result.ec == std::errc() && result.ptr == end && !text.empty();
}

}  // namespace

Result<> ProxyHeader::feed(std::string_view bytes) {
  octets_.append(bytes);
  wanted_ -= bytes.size();
  if (wanted_ > 0) return {};
  return look();
}

Result<> ProxyHeader::look() {
  if (std::string_view(octets_).starts_with(kSignatureV2)) {
    if (octets_.size() < kFixedV2) {
      wanted_ = kFixedV2 - octets_.size();
      return {};
    }
    const std::size_t total = kFixedV2 + (octet(octets_, 14) << 8 | octet(octets_, 15));
    if (total > kMaxOctets) return broken("longer than 4,096 octets");
    wanted_ = total - octets_.size();
    if (wanted_ > 0) return {};
    return read_v2();
  }
  if (!octets_.starts_with("PROXY "))
    return broken("the connection does not begin with one, but comes from a trusted proxy");
  if (octets_.ends_with("\r\n")) return read_v1();
  if (octets_.size() >= kMaxV1) return broken("version 1 is longer than 107 octets");
  wanted_ = 1;  // its end can't be foreseen
  return {};
}

Result<> ProxyHeader::read_v1() {
  std::string_view rest(octets_);
  rest.remove_prefix(6);
  rest.remove_suffix(2);
  const std::string_view protocol = next_word(rest);
  if (protocol == "UNKNOWN") return {};
  if (protocol != "TCP4" && protocol != "TCP6")
    return broken("version 1 is for TCP4, TCP6 or UNKNOWN");
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  const std::string_view source = next_word(rest);
  const std::string_view destination = next_word(rest);
  const std::string_view source_port = next_word(rest);
  std::uint16_t port = 0;
  std::uint16_t ignored = 0;
  if (!valid_address(family, source) || !valid_address(family, destination) ||
      !read_port(source_port, port) || !read_port(rest, ignored)) {
    return broken("version 1 has a bad address or port");
  }
  source_ = {std::string(source), port};
  return {};
}

Result<> ProxyHeader::read_v2() {
  const unsigned version = octet(octets_, 12) >> 4;
  const unsigned command = octet(octets_, 12) & 15;
  if (version != 2 || command > 1) return broken("version 2 has an unknown version or command");
  if (command == 0) return {};  // LOCAL: the proxy itself, e.g. a health check
  const unsigned family = octet(octets_, 13) >> 4;
  const unsigned transport = octet(octets_, 13) & 15;
  if (family == 0 || transport == 0) return {};  // UNSPEC
  if (transport != 1 || (family != 1 && family != 2))
    return broken("version 2 is for TCP over IPv4 or IPv6");
  const std::size_t length = family == 1 ? 4 : 16;
  if (octets_.size() < kFixedV2 + 2 * length + 4) return broken("version 2 is cut short");
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family == 1 ? AF_INET : AF_INET6, octets_.data() + kFixedV2, text, sizeof text);
  const std::size_t at = kFixedV2 + 2 * length;
  source_ = {text, static_cast<std::uint16_t>(octet(octets_, at) << 8 | octet(octets_, at + 1))};
  return {};
}

}  // namespace waypost::inbound
