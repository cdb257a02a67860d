#include "inbound/network_set.h"

#include <boost/asio/ip/address.hpp>

#include <charconv>

namespace waypost::inbound {
namespace {

namespace ip = boost::asio::ip;

/// 16 octets, and how many bits stand before an IPv4 address in them.
std::optional<std::pair<std::array<unsigned char, 16>, unsigned>> read_address(
    const std::string& text) {
  boost::system::error_code error;
  const auto address = ip::make_address(text, error);
  if (error) return std::nullopt;
  if (address.is_v4())
    return std::pair(ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes(), 96u);
  const bool mapped = address.to_v6().is_v4_mapped();
  return std::pair(address.to_v6().to_bytes(), mapped ? 96u : 0u);
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
    const auto address = read_address(text.substr(0, slash));
    const auto bad = [&text] {
      return fail(ErrorKind::invalid,
                  "'" + text + "' is no network such as 10.0.0.0/8 or 2001:db8::/32");
    };
    if (!address) return bad();
    const unsigned most = address->second == 96 ? 32 : 128;
    unsigned prefix = most;
    if (slash != std::string::npos) {
      const char* end = text.data() + text.size();
      const auto result = std::from_chars(text.data() + slash + 1, end, prefix);
      if (result.ec != std::errc() || result.ptr != end || prefix > most) return bad();
    }
    set.networks_.push_back({address->first, prefix + address->second});
  }
  return set;
}

bool NetworkSet::contains(std::string_view address) const {
  if (networks_.empty()) return false;
  const auto bytes = read_address(std::string(address));
  if (!bytes) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    return same_prefix(network.address, bytes->first, network.prefix);
  });
}

}  // namespace waypost::inbound
