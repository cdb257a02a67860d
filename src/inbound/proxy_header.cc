#include "inbound/proxy_header.h"

#include <arpa/inet.h>

#include <charconv>

namespace waypost::inbound {
namespace {

constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kSignatureV1("PROXY ");
constexpr std::size_t kMaxV1 = 107;
constexpr std::size_t kFixedV2 = 16;
constexpr std::size_t kMostKeptV2 = kFixedV2 + 36;  // with two addresses of IPv6 and two ports

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

/// As net::Endpoint shows addresses; empty if it is none. Never more than an address: what stands
/// behind a NUL is not carried on.
std::string normalised(int family, const unsigned char* octets) {
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (family == AF_INET6 && std::equal(std::begin(kMapped), std::end(kMapped), octets)) {
    family = AF_INET;
    octets += sizeof kMapped;
  }
  char text[INET6_ADDRSTRLEN] = {};
  return ::inet_ntop(family, octets, text, sizeof text) != nullptr ? text : "";
}

std::string read_address(int family, std::string_view text) {
  unsigned char octets[16];
  if (text.find('\0') != std::string_view::npos) return "";
  if (::inet_pton(family, std::string(text).c_str(), octets) != 1) return "";
  return normalised(family, octets);
}

bool read_port(std::string_view text, std::uint16_t& port) {
  if (text.size() > 1 && text.front() == '0') return false;  // §2.1: no heading zeros
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, port);
  return result.ec == std::errc() && result.ptr == end && !text.empty();
}

}  // namespace

std::size_t ProxyHeader::claim(std::string_view waiting) const {
  const std::size_t most = std::min(waiting.size(), wanted_);
  if (!line_) return most;
  const auto end = waiting.find('\n');
  return end == std::string_view::npos ? most : std::min(most, end + 1);
}

Result<> ProxyHeader::feed(std::string_view bytes) {
  if (measured_) return take_rest_of_v2(bytes);
  octets_.append(bytes);
  wanted_ -= bytes.size();
  const std::string_view all(octets_);
  const bool maybe_v2 = all.starts_with(kSignatureV2.substr(0, all.size()));
  const bool maybe_v1 = all.starts_with(kSignatureV1.substr(0, all.size()));
  if (!maybe_v2 && !maybe_v1)
    return broken("the connection does not begin with one, but comes from a trusted proxy");
  if (line_ || (maybe_v1 && wanted_ == 0)) return look_at_line();
  return wanted_ > 0 ? Result<>() : look_at_v2();
}

Result<> ProxyHeader::look_at_line() {
  line_ = true;
  const auto end = octets_.find('\n');
  if (end == std::string::npos) {
    if (octets_.size() >= kMaxV1) return broken("version 1 is longer than 107 octets");
    wanted_ = kMaxV1 - octets_.size();
    return {};
  }
  if (end + 1 != octets_.size() || octets_[end - 1] != '\r')
    return broken("version 1 does not end with CR LF");
  wanted_ = 0;
  return read_v1();
}

Result<> ProxyHeader::look_at_v2() {
  if (octets_.size() < kFixedV2) {
    wanted_ = kFixedV2 - octets_.size();
    return {};
  }
  measured_ = true;
  wanted_ = octet(octets_, 14) << 8 | octet(octets_, 15);
  return wanted_ > 0 ? Result<>() : read_v2();
}

Result<> ProxyHeader::take_rest_of_v2(std::string_view bytes) {
  octets_.append(bytes.substr(0, kMostKeptV2 - octets_.size()));
  wanted_ -= bytes.size();
  return wanted_ > 0 ? Result<>() : read_v2();
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
  const std::string source = read_address(family, next_word(rest));
  const std::string destination = read_address(family, next_word(rest));
  const std::string_view source_port = next_word(rest);
  std::uint16_t port = 0;
  std::uint16_t ignored = 0;
  if (source.empty() || destination.empty() || !read_port(source_port, port) ||
      !read_port(rest, ignored)) {
    return broken("version 1 has a bad address or port");
  }
  source_ = {source, port};
  return {};
}

Result<> ProxyHeader::read_v2() {
  const unsigned version = octet(octets_, 12) >> 4;
  const unsigned command = octet(octets_, 12) & 15;
  if (version != 2 || command > 1) return broken("version 2 has an unknown version or command");
  if (command == 0) return {};  // LOCAL: the proxy itself, e.g. a health check
  const unsigned family = octet(octets_, 13) >> 4;
  const unsigned transport = octet(octets_, 13) & 15;
  if (family > 3 || transport > 2) return broken("version 2 has an unknown family or transport");
  // UNSPEC; and §2.2: Unix sockets and datagrams, which can't be clients here, are taken as UNSPEC.
  if (family == 0 || family == 3 || transport != 1) return {};
  const std::size_t length = family == 1 ? 4 : 16;
  if (octets_.size() < kFixedV2 + 2 * length + 4) return broken("version 2 is cut short");
  const auto* source = reinterpret_cast<const unsigned char*>(octets_.data()) + kFixedV2;
  const std::size_t at = kFixedV2 + 2 * length;
  source_ = {normalised(family == 1 ? AF_INET : AF_INET6, source),
             static_cast<std::uint16_t>(octet(octets_, at) << 8 | octet(octets_, at + 1))};
  return {};
}

}  // namespace waypost::inbound
