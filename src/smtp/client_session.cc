// From the greeting to a session that can carry mail.
#include "waypost/mail/address.h"

#include "smtp/base64.h"
#include "smtp/client_capabilities.h"
#include "smtp/client_state.h"

#include <utility>

namespace waypost::smtp {

void ClientDialogue::State::say_ehlo() { send(Expect::ehlo, "EHLO " + options.own_name + "\r\n"); }

void ClientDialogue::State::on_greeting(Reply reply) {
  if (reply.code / 100 != 2) return refused("the connection was", std::move(reply));
  greeting_name = reply.text.substr(0, reply.text.find_first_of(" \n"));
  capabilities.greeting_name = greeting_name;
  say_ehlo();
}

void ClientDialogue::State::on_ehlo(Reply reply) {
  if (reply.code / 100 == 2) {
    capabilities = read_capabilities(reply);
    capabilities.greeting_name = greeting_name;
    return after_hello();
  }
  // RFC 5321 §3.2: a server that doesn't know EHLO (500, 502; others say 501, 504, 550 ...).
  if (!reply.permanent()) return refused("EHLO was", std::move(reply));
  const bool needs_tls = options.require_starttls && !tls;
  if (needs_tls || !options.auth_user.empty())
    return refused("EHLO, which we need, was", std::move(reply));
  send(Expect::helo, "HELO " + options.own_name + "\r\n");
}

void ClientDialogue::State::on_helo(Reply reply) {
  if (reply.code / 100 != 2) return refused("HELO was", std::move(reply));
  capabilities = {};
  capabilities.greeting_name = greeting_name;
  after_hello();
}

void ClientDialogue::State::after_hello() {
  if (!tls && options.want_starttls && capabilities.starttls) {
    return send(Expect::starttls, "STARTTLS\r\n");
  }
  if (!tls && options.require_starttls) {
    return break_off(ErrorKind::unsupported,
                     "the server does not offer STARTTLS, which is required");
  }
  authenticate();
}

void ClientDialogue::State::on_starttls(Reply reply, bool more_input) {
  // 220 and no other 2yz: whoever expects no handshake must not get one.
  if (reply.code == 220) {
    deaf = true;
    // Plaintext behind the 220 would be taken for an answer under TLS (response injection).
    if (more_input) {
      return break_off(ErrorKind::protocol,
                       "the server sent plaintext behind its reply to STARTTLS");
    }
    step = ClientStep::start_tls;
    return;
  }
  if (options.require_starttls || reply.code == 421)
    return refused("STARTTLS was", std::move(reply));
  authenticate();
}

void ClientDialogue::State::authenticate() {
  if (options.auth_user.empty()) {
    step = ClientStep::ready;
  } else if (!tls) {
    break_off(ErrorKind::unsupported, "a password is configured, but the connection has no TLS");
  } else if (capabilities.auth_plain) {  // RFC 4616 §2
    const std::string response = '\0' + options.auth_user + '\0' + options.auth_password;
    send(Expect::auth_plain, "AUTH PLAIN " + encode_base64(response) + "\r\n");
  } else if (capabilities.auth_login) {
    send(Expect::auth_login, "AUTH LOGIN\r\n");
  } else {
    break_off(ErrorKind::unsupported,
              "a password is configured, but the server offers neither AUTH PLAIN nor LOGIN");
  }
}

void ClientDialogue::State::on_auth(Expect expect, Reply reply) {
  const int kind = reply.code / 100;
  if (kind == 2) {
    step = ClientStep::ready;
  } else if (kind == 3 && expect == Expect::auth_login) {
    send(Expect::auth_user, encode_base64(options.auth_user) + "\r\n");
  } else if (kind == 3 && expect == Expect::auth_user) {
    send(Expect::auth_password, encode_base64(options.auth_password) + "\r\n");
  } else {
    deaf = kind == 3;  // it waits for more of the exchange
    refused("AUTH was", std::move(reply));
  }
}

}  // namespace waypost::smtp
