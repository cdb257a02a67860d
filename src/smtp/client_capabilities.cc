#include "smtp/client_capabilities.h"

#include "waypost/mail/xtext.h"

#include <algorithm>
#include <charconv>

namespace waypost::smtp {
namespace {

/// The next word of `text`; advances behind it.
std::string_view take_word(std::string_view& text) {
  const auto start = std::min(text.find_first_not_of(" \t"), text.size());
  const auto end = std::min(text.find_first_of(" \t", start), text.size());
  const std::string_view word = text.substr(start, end - start);
  text.remove_prefix(end);
  return word;
}

template <class Number>
Number read_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : Number{0};
}

/// RFC 9422 §4: NAME=VALUE pairs.
void read_limits(std::string_view arguments, Capabilities& offer) {
  for (auto word = take_word(arguments); !word.empty(); word = take_word(arguments)) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name = mail::ascii_lower(word.substr(0, equals));
    const auto value = read_number<std::uint32_t>(word.substr(equals + 1));
    if (name == "rcptmax") offer.rcpt_max = value;
    if (name == "mailmax") offer.mail_max = value;
    if (name == "rcptdomainmax") offer.rcpt_domain_max = value;
  }
}

void read_auth(std::string_view arguments, Capabilities& offer) {
  for (auto word = take_word(arguments); !word.empty(); word = take_word(arguments)) {
    const std::string mechanism = mail::ascii_lower(word);
    if (mechanism == "plain") offer.auth_plain = true;
    if (mechanism == "login") offer.auth_login = true;
  }
}

void read_line(std::string_view line, Capabilities& offer) {
  std::string keyword = mail::ascii_lower(take_word(line));
  if (keyword.starts_with("auth=")) {  // the form of old servers
    offer.auth_plain |= keyword == "auth=plain";
    offer.auth_login |= keyword == "auth=login";
    keyword = "auth";
  }
  if (keyword == "starttls") offer.starttls = true;
  if (keyword == "pipelining") offer.pipelining = true;
  if (keyword == "chunking") offer.chunking = true;
  if (keyword == "8bitmime") offer.eight_bit_mime = true;
  if (keyword == "dsn") offer.dsn = true;
  if (keyword == "smtputf8") offer.smtputf8 = true;
  if (keyword == "enhancedstatuscodes") offer.enhanced_status = true;
  if (keyword == "auth") read_auth(line, offer);
  if (keyword == "limits") read_limits(line, offer);
  if (keyword == "size") {
    offer.size_offered = true;
    offer.max_size = read_number<std::uint64_t>(take_word(line));
  }
}

/// The wire form in brackets. A control character can't be in there; should one be, it stays here.
void append_path(std::string& out, std::string_view address) {
  out += '<';
  const bool clean = std::none_of(address.begin(), address.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (clean) out += address;
  for (const char c : clean ? std::string_view() : address) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet != 0x7F) out += c;
  }
  out += '>';
}

void append_notify(std::string& out, std::uint8_t notify) {
  if (notify == mail::kNotifyUnset) return;
  out += " NOTIFY=";
  if ((notify & mail::kNotifyNever) != 0) {
    out += "NEVER";
    return;
  }
  const char* separator = "";
  const auto add = [&](std::uint8_t flag, const char* word) {
    if ((notify & flag) == 0) return;
    out += separator;
    out += word;
    separator = ",";
  };
  add(mail::kNotifySuccess, "SUCCESS");
  add(mail::kNotifyFailure, "FAILURE");
  add(mail::kNotifyDelay, "DELAY");
}

}  // namespace

Capabilities read_capabilities(const Reply& reply) {
  Capabilities offer;
  offer.esmtp = true;
  std::string_view rest = reply.text;
  for (bool first = true; !rest.empty(); first = false) {
    const auto end = std::min(rest.find('\n'), rest.size());
    if (!first) read_line(rest.substr(0, end), offer);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return offer;
}

void append_mail(std::string& out, const ClientTransaction& transaction,
                 const Capabilities& offer) {
  out += "MAIL FROM:";
  append_path(out, transaction.reverse_path ? transaction.reverse_path->to_string() : "");
  if (offer.size_offered && transaction.size > 0)
    out += " SIZE=" + std::to_string(transaction.size);
  if (offer.eight_bit_mime && transaction.body != mail::BodyType::unset) {
    out += transaction.body == mail::BodyType::seven_bit ? " BODY=7BIT" : " BODY=8BITMIME";
  }
  if (offer.smtputf8 && transaction.smtputf8) out += " SMTPUTF8";
  if (offer.dsn && transaction.ret != mail::Ret::unset) {
    out += transaction.ret == mail::Ret::full ? " RET=FULL" : " RET=HDRS";
  }
  if (offer.dsn && !transaction.envid.empty()) {
    out += " ENVID=" + mail::encode_xtext(transaction.envid);
  }
  out += "\r\n";
}

void append_rcpt(std::string& out, const ClientRecipient& recipient,
                 const ClientTransaction& transaction, const Capabilities& offer) {
  out += "RCPT TO:";
  append_path(out, recipient.forward_path.to_string());
  if (offer.dsn) {
    append_notify(out, recipient.notify);
    if (!recipient.orcpt.empty()) {
      const bool utf8 = offer.smtputf8 && transaction.smtputf8;
      out += " ORCPT=" + mail::encode_orcpt(recipient.orcpt, utf8);
    }
  }
  out += "\r\n";
}

}  // namespace waypost::smtp
