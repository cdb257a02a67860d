// AUTH: RFC 4954; PLAIN: RFC 4616; LOGIN as Exchange speaks it. Only under TLS.
#include "smtp/base64.h"
#include "smtp/server_state.h"

namespace waypost::smtp {
namespace {

const Reply kBadEncoding{501, {5, 5, 2}, "that is not base64"};

bool acceptable(std::string_view value) {
  return !value.empty() && value.size() <= 512 &&
         std::none_of(value.begin(), value.end(), [](char c) {
           const auto octet = static_cast<unsigned char>(c);
           return octet < 0x20 || octet == 0x7F;
         });
}

}  // namespace

void ServerDialogue::State::auth(std::string_view arguments) {
  if (!tls)
    return complain({538, mail::status::encryption_needed, "AUTH needs TLS; say STARTTLS first"});
  if (!options.offer_auth)
    return complain({502, mail::status::invalid_command, "AUTH is not offered here"});
  if (!user.empty()) return complain({503, mail::status::invalid_command, "already authenticated"});
  const std::string mechanism = mail::ascii_lower(arguments.substr(0, arguments.find(' ')));
  std::string_view initial = arguments.substr(mechanism.size());
  while (!initial.empty() && initial.front() == ' ') initial.remove_prefix(1);
  if (mechanism == "plain") {
    auth_mechanism = AuthMechanism::plain;
    if (!initial.empty()) return take_plain(initial == "=" ? std::string_view() : initial);
    say({334, {}, ""});
  } else if (mechanism == "login") {
    auth_mechanism = AuthMechanism::login_user;
    if (!initial.empty()) {
      const auto name = decode_base64(initial);
      if (!name || !acceptable(*name)) return complain(kBadEncoding);
      credentials.user = *name;
      auth_mechanism = AuthMechanism::login_password;
    }
    say({334, {}, auth_mechanism == AuthMechanism::login_user ? "VXNlcm5hbWU6" : "UGFzc3dvcmQ6"});
  } else {
    return complain({504, mail::status::invalid_arguments, "mechanisms are PLAIN and LOGIN"});
  }
  phase = Phase::auth_line;
}

void ServerDialogue::State::auth_line() {
  phase = Phase::command;
  if (line == "*") return complain({501, {5, 7, 0}, "authentication cancelled"});
  if (auth_mechanism == AuthMechanism::plain) return take_plain(line);
  const auto value = decode_base64(line);
  if (!value || !acceptable(*value)) {
    credentials = {};
    return complain(kBadEncoding);
  }
  if (auth_mechanism == AuthMechanism::login_user) {
    credentials.user = *value;
    auth_mechanism = AuthMechanism::login_password;
    say({334, {}, "UGFzc3dvcmQ6"});
    phase = Phase::auth_line;
    return;
  }
  credentials.password = *value;
  phase = Phase::waiting;
  waiting_for = Step::authenticate;
}

/// authorization-id NUL user NUL password; we take no foreign authorization-id.
void ServerDialogue::State::take_plain(std::string_view encoded) {
  const auto decoded = decode_base64(encoded);
  if (!decoded) return complain(kBadEncoding);
  const std::string_view value(*decoded);
  const auto first = value.find('\0');
  const auto second = first == std::string_view::npos ? first : value.find('\0', first + 1);
  if (second == std::string_view::npos) return complain(kBadEncoding);
  const std::string_view authorization = value.substr(0, first);
  credentials.user = value.substr(first + 1, second - first - 1);
  credentials.password = value.substr(second + 1);
  if (!acceptable(credentials.user) || !acceptable(credentials.password) ||
      (!authorization.empty() && authorization != credentials.user)) {
    credentials = {};
    return complain({535, mail::status::auth_failed, "authentication failed"});
  }
  phase = Phase::waiting;
  waiting_for = Step::authenticate;
}

}  // namespace waypost::smtp
