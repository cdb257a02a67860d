// AUTH PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login) in RFC 4954's exchange.
#include "waypost/mail/address.h"

#include "smtp/base64.h"
#include "smtp/server_state.h"

#include <algorithm>

namespace waypost::smtp {
namespace {

constexpr std::string_view kUsername = "VXNlcm5hbWU6";
constexpr std::string_view kPassword = "UGFzc3dvcmQ6";

bool clean(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7F;
  });
}

}  // namespace

bool ServerDialogue::State::may_auth(std::string_view arguments) {
  if (!options.offer_auth) {
    refuse(502, mail::status::invalid_command, "AUTH is not offered");
  } else if (!esmtp) {
    refuse(503, mail::status::invalid_command, "say EHLO first");
  } else if (!tls) {  // RFC 4954 §6
    refuse(538, mail::status::encryption_needed, "say STARTTLS before you show a password");
  } else if (!user.empty()) {
    refuse(503, mail::status::invalid_command, "you are authenticated already");
  } else if (transaction) {
    refuse(503, mail::status::invalid_command, "not inside a transaction");
  } else {
    return needs_argument(arguments);
  }
  return false;
}

void ServerDialogue::State::auth(std::string_view arguments) {
  const std::string_view name = arguments.substr(0, arguments.find(' '));
  std::string_view initial = arguments.substr(name.size());
  while (initial.starts_with(' ')) initial.remove_prefix(1);
  const bool has_initial = !initial.empty();
  if (initial == "=") initial = {};  // RFC 4954 §4: an empty initial response
  const std::string mechanism = mail::ascii_lower(name);
  if (mechanism == "plain") {
    if (has_initial) return take_plain(initial);
    mode = Mode::auth_plain;
    reply(334, {}, "");
  } else if (mechanism == "login") {
    if (has_initial) return take_login_user(initial);
    mode = Mode::auth_login_user;
    reply(334, {}, kUsername);
  } else {
    refuse(504, mail::status::invalid_arguments, "the mechanisms are PLAIN and LOGIN");
  }
}

void ServerDialogue::State::auth_line(std::string_view text) {
  const Mode was = std::exchange(mode, Mode::command);
  if (text == "*") return refuse(501, {5, 7, 0}, "authentication cancelled");
  if (was == Mode::auth_plain) return take_plain(text);
  if (was == Mode::auth_login_user) return take_login_user(text);
  take_login_password(text);
}

/// RFC 4616 §2: authzid NUL authcid NUL passwd.
void ServerDialogue::State::take_plain(std::string_view encoded) {
  const auto plain = decode_base64(encoded);
  const std::string_view all = plain ? std::string_view(*plain) : std::string_view();
  const auto first = all.find('\0');
  const auto second = first == std::string_view::npos ? first : all.find('\0', first + 1);
  if (second == std::string_view::npos) {
    return refuse(501, mail::status::syntax_error, "that is no PLAIN response in base64");
  }
  const std::string_view identity = all.substr(0, first);
  const std::string_view name = all.substr(first + 1, second - first - 1);
  const std::string_view password = all.substr(second + 1);
  if (name.empty() || password.empty() || !clean(identity) || !clean(name) || !clean(password)) {
    return refuse(501, mail::status::syntax_error, "user or password is empty or not printable");
  }
  if (!identity.empty() && identity != name) {
    return refuse(535, mail::status::auth_failed, "you can't act for somebody else");
  }
  credentials = {std::string(name), std::string(password)};
  mode = Mode::auth_pending;
}

void ServerDialogue::State::take_login_user(std::string_view encoded) {
  auto name = decode_base64(encoded);
  if (!name || name->empty() || !clean(*name)) {
    return refuse(501, mail::status::syntax_error, "that is no user name in base64");
  }
  credentials.user = std::move(*name);
  mode = Mode::auth_login_password;
  reply(334, {}, kPassword);
}

void ServerDialogue::State::take_login_password(std::string_view encoded) {
  auto password = decode_base64(encoded);
  if (!password || password->empty() || !clean(*password)) {
    credentials.user.clear();
    return refuse(501, mail::status::syntax_error, "that is no password in base64");
  }
  credentials.password = std::move(*password);
  mode = Mode::auth_pending;
}

}  // namespace waypost::smtp
