#include "routing/address_text.h"

#include "waypost/routing/table.h"
#include "waypost/routing/unseen.h"

#include <idn2.h>

#include <array>
#include <memory>

namespace waypost::routing {
namespace {

// RFC 5322 §3.2.3
constexpr std::array<bool, 256> make_atext() {
  std::array<bool, 256> set{};
  for (int c = '0'; c <= '9'; ++c) set[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) set[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) set[static_cast<std::size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '/', '=', '?', '^', '_', '`',
                       '{', '|', '}', '~'})
    set[static_cast<unsigned char>(c)] = true;
  return set;
}
constexpr auto kAtext = make_atext();

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxNormalDomain = 253;

bool is_domain_octet(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

/// ASCII labels without the "??--" that is reserved for encodings (RFC 5890 §2.3.1).
bool is_plain_domain(std::string_view domain) {
  if (domain.empty() || domain.size() > kMaxNormalDomain) return false;
  std::size_t label = 0;
  for (std::size_t i = 0; i < domain.size(); ++i) {
    const auto c = static_cast<unsigned char>(domain[i]);
    if (c == '.') {
      if (label == 0 || domain[i - 1] == '-') return false;
      label = 0;
      continue;
    }
    if (!is_domain_octet(c) || (label == 0 && c == '-')) return false;
    if (++label > kMaxLabel) return false;
    if (label == 4 && c == '-' && domain[i - 1] == '-') return false;
  }
  return label > 0 && domain.back() != '-';
}

/// What libidn2 may return: ASCII labels of legal length.
bool is_wire_domain(std::string_view domain) {
  if (domain.empty() || domain.size() > kMaxNormalDomain) return false;
  std::size_t label = 0;
  for (const char c : domain) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!is_domain_octet(static_cast<unsigned char>(c)) || ++label > kMaxLabel) {
      return false;
    }
  }
  return label > 0;
}

}  // namespace

std::optional<AddressView> split_plain_address(std::string_view text) {
  if (text.size() > mail::kMaxAddressOctets) return std::nullopt;
  std::size_t i = 0;
  bool dot = true;  // a dot may not stand here
  for (; i < text.size() && text[i] != '@'; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '.') {
      if (dot) return std::nullopt;
      dot = true;
    } else if (!kAtext[c]) {
      return std::nullopt;
    } else {
      dot = false;
    }
  }
  if (dot || i + 1 >= text.size()) return std::nullopt;
  const auto domain = text.substr(i + 1);
  if (domain.size() > mail::kMaxDomainOctets || domain.front() == '[') return std::nullopt;
  return AddressView{text.substr(0, i), domain};
}

void append_lower(std::string& out, std::string_view text) {
  const auto start = out.size();
  out.append(text);
  for (auto i = start; i < out.size(); ++i)
    if (out[i] >= 'A' && out[i] <= 'Z') out[i] = static_cast<char>(out[i] - 'A' + 'a');
}

bool is_lower(std::string_view text) {
  for (const char c : text)
    if (c >= 'A' && c <= 'Z') return false;
  return true;
}

Result<> append_normal_domain(std::string& out, std::string_view domain) {
  const auto written = domain;
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (is_plain_domain(domain)) {
    append_lower(out, domain);
    return {};
  }
  if (domain.empty()) return fail(ErrorKind::invalid, "the domain is missing");
  if (domain.front() == '[')
    return fail(ErrorKind::invalid, "'" + shown_text(written, 100) +
                                        "' is an address literal where a domain is needed");
  if (domain.size() > mail::kMaxDomainOctets)
    return fail(ErrorKind::invalid, "the domain is longer than 255 octets");
  for (const char c : domain)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return fail(ErrorKind::invalid, "the domain holds a control character");
  std::string lower;
  append_lower(lower, domain);
  std::uint8_t* result = nullptr;
  const int code = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(lower.c_str()), &result,
                                  IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<std::uint8_t, void (*)(void*)> owner(result, &idn2_free);
  if (code != IDN2_OK)
    return fail(ErrorKind::invalid, "'" + shown_text(written, 100) +
                                        "' is not a valid domain name (" + idn2_strerror(code) +
                                        ")");
  std::string_view wire = reinterpret_cast<const char*>(result);
  if (wire.ends_with('.')) wire.remove_suffix(1);
  if (!is_wire_domain(wire))
    return fail(ErrorKind::invalid,
                "'" + shown_text(written, 100) + "' is not a valid domain name");
  append_lower(out, wire);
  return {};
}

Result<std::string> normalise_domain(std::string_view domain) {
  std::string out;
  if (auto done = append_normal_domain(out, domain); !done) return fail(std::move(done).error());
  return out;
}

Result<std::string> normalise_key(const mail::Mailbox& address) {
  std::string out;
  out.reserve(address.local_part.size() + 1 + address.domain.size());
  append_lower(out, address.local_part);
  out += '@';
  if (auto done = append_normal_domain(out, address.domain); !done)
    return fail(std::move(done).error());
  return out;
}

}  // namespace waypost::routing
