#include "config/networks.h"

#include "config/scalars.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>

namespace waypost::config {
namespace {

/// Half-open ranges over the first 64 bits (IPv6) or all 32 (IPv4).
struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // included
};

std::uint64_t leading(const Network& network) {
  std::uint64_t value = 0;
  const std::size_t octets = network.v6 ? 8 : 4;
  for (std::size_t i = 0; i < octets; ++i) value = value << 8 | network.address[i];
  return value;
}

Range range_of(const Network& network) {
  const unsigned bits = network.v6 ? 64 : 32;
  const unsigned prefix = std::min(network.prefix, bits);
  const auto first = leading(network);
  const unsigned free = bits - prefix;
  const std::uint64_t size = free >= 64 ? ~0ull : (1ull << free) - 1;
  return Range{first, first | size};
}

Range range_of(std::string_view text) { return range_of(*parse_network(text)); }

std::vector<Range> merged(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  std::vector<Range> out;
  for (const auto& range : ranges) {
    if (!out.empty() && range.first <= out.back().last)
      out.back().last = std::max(out.back().last, range.last);
    else
      out.push_back(range);
  }
  return out;
}

double overlap(const Range& a, const Range& b) {
  const auto first = std::max(a.first, b.first);
  const auto last = std::min(a.last, b.last);
  return first > last ? 0 : static_cast<double>(last - first) + 1;
}

/// Addresses in `ranges` that are in none of `excluded` (which do not overlap one another).
double size_without(const std::vector<Range>& ranges, const std::vector<Range>& excluded) {
  double size = 0;
  for (const auto& range : merged(ranges)) {
    size += static_cast<double>(range.last - range.first) + 1;
    for (const auto& hole : excluded) size -= overlap(range, hole);
  }
  return size;
}

bool is_v4_mapped(const Network& network) {
  return network.v6 && network.prefix >= 96 &&
         std::all_of(network.address.begin(), network.address.begin() + 10,
                     [](unsigned char c) { return c == 0; }) &&
         network.address[10] == 0xff && network.address[11] == 0xff;
}

}  // namespace

std::string Network::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(v6 ? AF_INET6 : AF_INET, address.data(), text, sizeof text);
  return std::string(text) + "/" + std::to_string(prefix);
}

Result<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const std::string host(text.substr(0, slash));
  Network out;
  if (::inet_pton(AF_INET, host.c_str(), out.address.data()) == 1)
    out.v6 = false;
  else if (::inet_pton(AF_INET6, host.c_str(), out.address.data()) == 1)
    out.v6 = true;
  else
    return fail(ErrorKind::invalid,
                "is not a network; write one such as 10.1.2.0/24, 2001:db8::/32 or 10.1.2.3");
  const unsigned bits = out.v6 ? 128 : 32;
  out.prefix = bits;
  if (slash != std::string_view::npos) {
    const auto number = parse_number(text.substr(slash + 1));
    if (!number || *number > bits)
      return fail(ErrorKind::invalid,
                  "has a prefix length that is not a number from 0 to " + std::to_string(bits));
    out.prefix = static_cast<unsigned>(*number);
  }
  Network whole = out;
  for (unsigned bit = out.prefix; bit < bits; ++bit)
    whole.address[bit / 8] &= static_cast<unsigned char>(~(0x80u >> (bit % 8)));
  if (whole.address != out.address)
    return fail(ErrorKind::invalid, "has bits set behind its prefix; did you mean " +
                                        whole.to_string() + " or the single address " + host + "?");
  return out;
}

bool PublicSpace::nearly_everybody() const {
  return v4_addresses >= std::ldexp(1.0, 24) || v6_slash_48s >= std::ldexp(1.0, 28);
}

bool PublicSpace::wide() const {
  return v4_addresses > std::ldexp(1.0, 16) || v6_slash_48s > std::ldexp(1.0, 16);
}

PublicSpace public_space(const std::vector<Network>& networks) {
  static const std::vector<Range> kNotPublic4 = {
      range_of("0.0.0.0/8"),      range_of("10.0.0.0/8"),     range_of("100.64.0.0/10"),
      range_of("127.0.0.0/8"),    range_of("169.254.0.0/16"), range_of("172.16.0.0/12"),
      range_of("192.168.0.0/16"), range_of("224.0.0.0/3")};
  static const std::vector<Range> kNotPublic6 = {range_of("::/16"), range_of("fc00::/7"),
                                                 range_of("fe80::/10"), range_of("ff00::/8")};
  std::vector<Range> v4, v6;
  for (auto network : networks) {
    if (is_v4_mapped(network)) {
      network.v6 = false;
      network.prefix -= 96;
      std::copy_n(network.address.begin() + 12, 4, network.address.begin());
    }
    (network.v6 ? v6 : v4).push_back(range_of(network));
  }
  return PublicSpace{size_without(v4, kNotPublic4), size_without(v6, kNotPublic6) / 65'536.0};
}

}  // namespace waypost::config
