// Any octets as a PROXY header, in pieces of several sizes: the result does not depend on the
// pieces, nothing behind the header is taken, and what comes out is an address and nothing else.
#include "inbound/proxy_header.h"

#include <arpa/inet.h>

#include <cstdlib>

namespace {

struct Reading {
  bool good = false, complete = false;
  std::size_t taken = 0;
  waypost::net::Endpoint source;
  bool operator==(const Reading&) const = default;
};

Reading read(std::string_view bytes, std::size_t piece) {
  waypost::inbound::ProxyHeader header;
  Reading reading;
  while (!header.complete() && reading.taken < bytes.size()) {
    const auto waiting = bytes.substr(reading.taken, piece);
    const std::size_t own = header.claim(waiting);
    if (own == 0 || own > waiting.size()) std::abort();
    reading.taken += own;
    if (!header.feed(waiting.substr(0, own))) return {};  // how far it came is not the matter
  }
  reading.good = true;
  reading.complete = header.complete();
  reading.source = header.source();
  return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Reading whole = read(bytes, bytes.size() + 1);
  for (const std::size_t piece : {1, 2, 7, 16, 100})
    if (read(bytes, piece) != whole) std::abort();
  if (whole.taken > waypost::inbound::ProxyHeader::kMaxOctets) std::abort();
  if (whole.source.address.empty()) return 0;
  unsigned char octets[16];
  const auto& address = whole.source.address;
  if (address.find('\0') != std::string::npos) std::abort();
  if (::inet_pton(AF_INET, address.c_str(), octets) != 1 &&
      ::inet_pton(AF_INET6, address.c_str(), octets) != 1)
    std::abort();
  return 0;
}
