#include "smtp/client_capabilities.h"

#include "waypost/mail/address.h"

#include <charconv>

namespace waypost::smtp {
namespace {

template <class Number>
Number read_number(std::string_view text) {
  Number value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? value : 0;
}

std::string_view next_word(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

void read_line(std::string_view line, Capabilities& offered) {
  const std::string lower = mail::ascii_lower(line);
  std::string_view rest(lower);
  std::string_view keyword = next_word(rest);
  if (keyword == "starttls") offered.starttls = true;
  if (keyword == "pipelining") offered.pipelining = true;
  if (keyword == "chunking") offered.chunking = true;
  if (keyword == "8bitmime") offered.eight_bit_mime = true;
  if (keyword == "dsn") offered.dsn = true;
  if (keyword == "smtputf8") offered.smtputf8 = true;
  if (keyword == "enhancedstatuscodes") offered.enhanced_status = true;
  if (keyword == "size") {
    offered.size_offered = true;
    offered.max_size = read_number<std::uint64_t>(next_word(rest));
  }
  const bool old_auth = keyword.starts_with("auth=");  // what some old servers say
  if (keyword == "auth" || old_auth) {
    std::string_view mechanism = old_auth ? keyword.substr(5) : next_word(rest);
    for (; !mechanism.empty(); mechanism = next_word(rest)) {
      if (mechanism == "plain") offered.auth_plain = true;
      if (mechanism == "login") offered.auth_login = true;
    }
  }
  if (keyword == "limits") {  // RFC 9422
    for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest)) {
      if (word.starts_with("rcptmax="))
        offered.rcpt_max = read_number<std::uint32_t>(word.substr(8));
      if (word.starts_with("mailmax="))
        offered.mail_max = read_number<std::uint32_t>(word.substr(8));
    }
  }
}

}  // namespace

Capabilities read_capabilities(const Reply& ehlo_reply) {
  Capabilities offered;
  offered.esmtp = true;
  std::string_view rest(ehlo_reply.text);
  const std::string_view first = rest.substr(0, rest.find('\n'));
  offered.greeting_name = first.substr(0, first.find(' '));
  while (rest.size() > 0) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
    read_line(rest.substr(0, rest.find('\n')), offered);
  }
  return offered;
}

}  // namespace waypost::smtp
