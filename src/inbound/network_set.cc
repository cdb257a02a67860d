#include "inbound/network_set.h"

#include <boost/asio/ip/address.hpp>

#include <charconv>

namespace waypost::inbound {
namespace {

namespace ip = boost::asio::ip;
constexpr unsigned kBeforeV4 = 96;  // bits of ::ffff:0:0/96

struct Address {
  std::array<unsigned char, 16> octets{};
  bool v4 = false;      // plain or mapped
  bool mapped = false;  // written as IPv6
};

std::optional<Address> read_address(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  boost::system::error_code error;
  const auto address = ip::make_address(std::string(text), error);
  if (error) return std::nullopt;
  if (address.is_v4())
    return Address{ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes(), true, false};
  const bool mapped = address.to_v6().is_v4_mapped();
  return Address{address.to_v6().to_bytes(), mapped, mapped};
}

/// Bits of the prefix as written, counted in 128; nullopt: no number, or too long.
std::optional<unsigned> read_prefix(std::string_view text, const Address& address) {
  const bool short_form = address.v4 && !address.mapped;
  unsigned prefix = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, prefix);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  if (prefix > (short_form ? 32u : 128u)) return std::nullopt;
  if (short_form) return prefix + kBeforeV4;
  if (address.mapped && prefix < kBeforeV4) return std::nullopt;  // neither family
  return prefix;
}

bool same_prefix(const std::array<unsigned char, 16>& a, const std::array<unsigned char, 16>& b,
                 unsigned bits) {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<unsigned char>(0xFF << (8 - rest));
  return (a[whole] & mask) == (b[whole] & mask);
}

}  // namespace

Result<NetworkSet> NetworkSet::parse(const std::vector<std::string>& networks) {
  NetworkSet set;
  for (const std::string& text : networks) {
    const auto slash = text.find('/');
    const auto address = read_address(std::string_view(text).substr(0, slash));
    std::optional<unsigned> prefix;
    if (address && slash == std::string::npos) prefix = 128;
    if (address && slash != std::string::npos)
      prefix = read_prefix(std::string_view(text).substr(slash + 1), *address);
    if (!prefix) {
      return fail(ErrorKind::invalid,
                  "'" + text + "' is no network such as 10.0.0.0/8 or 2001:db8::/32");
    }
    set.networks_.push_back({address->octets, *prefix, address->v4});
  }
  return set;
}

bool NetworkSet::contains(std::string_view address) const {
  if (networks_.empty()) return false;
  const auto asked = read_address(address);
  if (!asked) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    return network.v4 == asked->v4 && same_prefix(network.address, asked->octets, network.prefix);
  });
}

}  // namespace waypost::inbound
