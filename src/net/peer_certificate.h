// What a peer's certificate says of itself, and whether one of its names is one that we expect.
//
// All text comes out printable: it goes to logs, reports and the tracking log. Names are compared
// here and not in OpenSSL's verification, because a resumed session must be checked too and a
// certificate need match only one of the expected names, be they host names or addresses
// (RFC 6125 §6.4).
#pragma once

#include <openssl/x509.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::net {

struct PeerCertificate {
  std::string subject;      // "/CN=mail.example.com"
  std::string issuer;       // likewise
  std::string fingerprint;  // SHA-256, lower-case hex
  std::string not_before;   // "2026-11-23 14:30 UTC"
  std::string not_after;
  std::vector<std::string> names;  // DNS names, then the common name
  bool has_alternative_names = false;
  std::string names_text;  // for messages: DNS names and addresses, shortened if many
};

/// Control characters and what is not ASCII become '?'; at most 512 octets.
std::string printable(std::string_view text);

PeerCertificate describe_certificate(X509& certificate);

/// The certificate's name that satisfies one of `wanted`: host names, IP addresses, "*.example.com"
/// (one label) or ".example.com" (any number of labels). A common name is none (RFC 9525 §2).
std::optional<std::string> matching_name(X509& certificate, const std::vector<std::string>& wanted);

}  // namespace waypost::net
