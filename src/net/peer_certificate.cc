#include "net/peer_certificate.h"

#include "net/host_name.h"
#include "net/tls_context.h"

#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <ctime>

namespace waypost::net {
namespace {

constexpr std::size_t kMaxNames = 256, kMaxNamesText = 400;

std::string one_line(const X509_NAME* name) {
  char text[512] = {};
  ::X509_NAME_oneline(name, text, sizeof text);
  return printable(text);
}

std::string hex_digest(X509& certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  ::X509_digest(&certificate, ::EVP_sha256(), digest, &size);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

std::string date(const ASN1_TIME* time) {
  std::tm parts{};
  if (::ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
  char text[64] = {};
  ::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

/// With its length: a NUL inside may not shorten it to somebody else's name.
std::string common_name(X509& certificate) {
  const X509_NAME* subject = ::X509_get_subject_name(&certificate);
  const int at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return "";
  unsigned char* raw = nullptr;
  const ASN1_STRING* data = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at));
  const int length = ::ASN1_STRING_to_UTF8(&raw, data);
  if (length < 0) return "";
  const std::string text =
      printable({reinterpret_cast<const char*>(raw), static_cast<std::size_t>(length)});
  ::OPENSSL_free(raw);
  return text;
}

std::string address_text(const ASN1_OCTET_STRING* octets) {
  const int length = ::ASN1_STRING_length(octets);
  if (length != 4 && length != 16) return "?";
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(length == 4 ? AF_INET : AF_INET6, ::ASN1_STRING_get0_data(octets), text, sizeof text);
  return text;
}

void read_alternative_names(X509& certificate, PeerCertificate& to) {
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      ::X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  bool shortened = false;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::string text;
    if (name->type == GEN_DNS && to.names.size() < kMaxNames) {
      const ASN1_IA5STRING* dns = name->d.dNSName;
      text = printable({reinterpret_cast<const char*>(::ASN1_STRING_get0_data(dns)),
                        static_cast<std::size_t>(::ASN1_STRING_length(dns))});
      to.names.push_back(text);
    } else if (name->type == GEN_IPADD) {
      text = address_text(name->d.iPAddress);
    } else {
      continue;
    }
    to.has_alternative_names = true;
    if (to.names_text.size() + text.size() > kMaxNamesText) {
      shortened = true;
      continue;
    }
    to.names_text += (to.names_text.empty() ? "" : ", ") + text;
  }
  if (shortened) to.names_text += " and more";
}

bool is_address(const std::string& name) {
  unsigned char octets[16];
  return ::inet_pton(AF_INET, name.c_str(), octets) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), octets) == 1;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 512)) out += c < 0x20 || c >= 0x7F ? '?' : c;
  return out;
}

PeerCertificate describe_certificate(X509& certificate) {
  PeerCertificate about;
  about.subject = one_line(::X509_get_subject_name(&certificate));
  about.issuer = one_line(::X509_get_issuer_name(&certificate));
  about.fingerprint = hex_digest(certificate);
  about.not_before = date(::X509_get0_notBefore(&certificate));
  about.not_after = date(::X509_get0_notAfter(&certificate));
  read_alternative_names(certificate, about);
  if (auto name = common_name(certificate); !name.empty()) about.names.push_back(std::move(name));
  return about;
}

std::optional<std::string> matching_name(X509& certificate,
                                         const std::vector<std::string>& wanted) {
  for (const std::string& name : wanted) {
    if (name.empty()) continue;
    if (is_address(name)) {
      if (::X509_check_ip_asc(&certificate, name.c_str(), 0) == 1) return name;
      continue;
    }
    // OpenSSL's word for "any name below" is a leading dot.
    const bool one_label = name.starts_with("*.");
    const auto asked = ascii_host_name(std::string_view(name).substr(one_label ? 2 : 0));
    if (!asked) continue;
    const std::string pattern = (one_label ? "." : "") + *asked;
    const unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                           (one_label ? X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS : 0u);
    char* found = nullptr;
    const int matches =
        ::X509_check_host(&certificate, pattern.data(), pattern.size(), flags, &found);
    const std::string own = found == nullptr ? name : printable(found);
    ::OPENSSL_free(found);
    if (matches == 1) return own;
  }
  return std::nullopt;
}

}  // namespace waypost::net
