#include "waypost/mail/xtext.h"

#include "waypost/mail/address.h"

#include "mail/text.h"

namespace waypost::mail {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;  // RFC 3461 says upper case; be generous
  return -1;
}

bool has_control_or_bad_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = is_control(c) ? 0 : utf8_length(text);
    if (length == 0) return true;
    text.remove_prefix(length);
  }
  return false;
}

void append_code_point(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
}

/// RFC 6533 §3: \x{HEX} stands for a code point, besides raw UTF-8.
Result<std::string> decode_utf8_address(std::string_view encoded) {
  std::string out;
  while (!encoded.empty()) {
    if (encoded.front() != '\\') {
      out += encoded.front();
      encoded.remove_prefix(1);
      continue;
    }
    if (!encoded.starts_with("\\x{"))
      return fail(ErrorKind::invalid, "ORCPT: a backslash that is not \\x{HEX}");
    const auto end = encoded.find('}');
    if (end == std::string_view::npos || end == 3 || end > 9) {
      return fail(ErrorKind::invalid, "ORCPT: \\x{HEX} is not closed or too long");
    }
    std::uint32_t point = 0;
    for (const char c : encoded.substr(3, end - 3)) {
      const int digit = hex_value(c);
      if (digit < 0)
        return fail(ErrorKind::invalid, "ORCPT: \\x{HEX} has something else than hex digits");
      point = point << 4 | static_cast<std::uint32_t>(digit);
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
      return fail(ErrorKind::invalid, "ORCPT: \\x{HEX} is no character");
    }
    append_code_point(out, point);
    encoded.remove_prefix(end + 1);
  }
  if (has_control_or_bad_utf8(out))
    return fail(ErrorKind::invalid, "ORCPT: control character or broken UTF-8");
  return out;
}

/// Nearly every address: nothing in it needs encoding.
bool stands_for_itself(std::string_view text) {
  for (const char c : text) {
    if (c < '!' || c > '~' || c == '+' || c == '=') return false;
  }
  return true;
}

bool is_utf8_type(std::string_view type) {
  return type.size() == 5 && ascii_lower(type) == "utf-8";
}

}  // namespace

Result<std::string> decode_xtext(std::string_view encoded) {
  if (stands_for_itself(encoded)) return std::string(encoded);
  std::string plain;
  plain.reserve(encoded.size());
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    const char c = encoded[i];
    if (c == '+') {
      const int high = i + 2 < encoded.size() ? hex_value(encoded[i + 1]) : -1;
      const int low = i + 2 < encoded.size() ? hex_value(encoded[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(ErrorKind::invalid, "xtext: '+' without two hex digits");
      plain += static_cast<char>(high << 4 | low);
      i += 2;
    } else if (c == '=' || c < '!' || c > '~') {
      return fail(ErrorKind::invalid, "xtext: a character that must be written as +HH");
    } else {
      plain += c;
    }
  }
  if (has_control_or_bad_utf8(plain)) {
    return fail(ErrorKind::invalid, "xtext: a control character or broken UTF-8 is hidden in it");
  }
  return plain;
}

std::string encode_xtext(std::string_view plain) {
  if (stands_for_itself(plain)) return std::string(plain);
  std::string encoded;
  encoded.reserve(plain.size());
  for (const char ch : plain) {
    const auto c = static_cast<unsigned char>(ch);
    if (c >= '!' && c <= '~' && c != '+' && c != '=') {
      encoded += ch;
    } else {
      encoded += '+';
      encoded += kHex[c >> 4];
      encoded += kHex[c & 15];
    }
  }
  return encoded;
}

Result<std::string> decode_orcpt(std::string_view parameter, bool smtputf8) {
  const auto semicolon = parameter.find(';');
  if (semicolon == std::string_view::npos || semicolon == 0) {
    return fail(ErrorKind::invalid, "ORCPT: not type;address");
  }
  const std::string_view type = parameter.substr(0, semicolon);
  for (const char c : type) {
    // RFC 3461 §4.2: an atom; RFC 5321 §4.1.2: no "=" in the value of a parameter.
    if (!is_atext(static_cast<unsigned char>(c)) || c == '=') {
      return fail(ErrorKind::invalid,
                  "ORCPT: the address type has a character that is not allowed");
    }
  }
  const std::string_view encoded = parameter.substr(semicolon + 1);
  const bool utf8 = is_utf8_type(type);
  const bool raw = utf8 && smtputf8;
  auto address = utf8 && (raw || encoded.find('\\') != std::string_view::npos)
                     ? decode_utf8_address(encoded)
                     : decode_xtext(encoded);
  if (!address) return address;
  if (address->empty()) return fail(ErrorKind::invalid, "ORCPT: the address is empty");
  address->insert(0, parameter.substr(0, semicolon + 1));
  return address;
}

std::string encode_orcpt(std::string_view decoded, bool smtputf8) {
  const auto semicolon = decoded.find(';');
  if (semicolon == std::string_view::npos) return "rfc822;" + encode_xtext(decoded);
  const std::string_view type = decoded.substr(0, semicolon);
  const std::string_view address = decoded.substr(semicolon + 1);
  if (!is_utf8_type(type) && stands_for_itself(address)) return std::string(decoded);
  std::string out(type);
  out += ';';
  return out +
         (is_utf8_type(type) ? encode_utf8_address(address, smtputf8) : encode_xtext(address));
}

std::string encode_utf8_address(std::string_view address, bool smtputf8) {
  constexpr std::string_view special = "\\+= ";
  std::string out;
  out.reserve(address.size() + 16);
  for (std::size_t i = 0; i < address.size();) {
    const std::size_t length = std::max<std::size_t>(utf8_length(address.substr(i)), 1);
    if (length == 1) {
      const char c = address[i];
      if (special.find(c) == std::string_view::npos) {
        out += c;
      } else {
        out += "\\x{";
        out += kHex[static_cast<unsigned char>(c) >> 4];
        out += kHex[static_cast<unsigned char>(c) & 15];
        out += '}';
      }
    } else if (smtputf8) {
      out.append(address.substr(i, length));
    } else {
      std::uint32_t point = static_cast<unsigned char>(address[i]) & (0xFFu >> (length + 1));
      for (std::size_t k = 1; k < length; ++k) {
        point = point << 6 | (static_cast<unsigned char>(address[i + k]) & 0x3Fu);
      }
      std::string digits;
      for (; point != 0; point >>= 4) digits.insert(digits.begin(), kHex[point & 15]);
      out += "\\x{" + digits + "}";
    }
    i += length;
  }
  return out;
}

std::string printable(std::string_view text, std::size_t max_octets) {
  if (text.size() <= max_octets && is_printable_ascii(text)) return std::string(text);
  std::string out;
  out.reserve(std::min(text.size(), max_octets));
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = is_control(c) ? 0 : utf8_length(text);
    const std::size_t take = std::max<std::size_t>(length, 1);
    if (out.size() + take > max_octets) break;
    if (length == 0) {
      out += '?';
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(take);
  }
  return out;
}

}  // namespace waypost::mail
