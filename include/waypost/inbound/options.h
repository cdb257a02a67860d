// Who may come in, how much, and for how long: the options of the SMTP server.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/net/tls.h"
#include "waypost/smtp/server_dialogue.h"

#include <cstdint>
#include <string>
#include <vector>

namespace waypost::inbound {

enum class ListenerTls : std::uint8_t { none, starttls, implicit };

struct ListenerOptions {
  std::string address = "0.0.0.0";  // IPv4 or IPv6; IPv6 sockets are V6ONLY
  std::uint16_t port = 25;
  ListenerTls tls = ListenerTls::starttls;
  bool require_tls = false;
  std::vector<std::string>
      proxy_networks;  // CIDRs whose connections must begin with a PROXY v1/v2 header
  smtp::BareNewline bare_newline = smtp::BareNewline::normalise;
  int backlog = 1024;
  std::string to_string() const;  // "0.0.0.0:25"
};

/// The ways in. A client of none of the networks must authenticate, by password or certificate,
/// before MAIL (530 5.7.0); if neither is configured, it is greeted with 554 5.7.1.
struct AdmissionOptions {
  std::vector<std::string> networks;  // CIDRs that may relay
  std::string password_file;  // "user:hash" lines, argon2id or scrypt ($argon2id$..., $7$...)
  std::vector<std::string>
      client_certificate_names;  // names (or "sha256:HEX") of client certificates that may relay
};

struct Limits {
  std::uint32_t sessions = 20'000;
  std::uint32_t sessions_per_client = 200;  // Exchange opens 20 to 40 per smart host
  std::uint32_t recipients = 1000;
  std::uint64_t message_size = 40ull * 1024 * 1024;
  std::uint32_t errors_per_session = 20;
  std::uint32_t commands_without_mail = 100;
  std::uint32_t commands_per_message = 0;  // 0: twice `recipients`, and 200
  // Received fields; then 554 5.4.6. Also when three of them name us: a message may rightly come
  // back twice (WorkMail forwards to Exchange, whose rule forwards again).
  std::uint32_t hops = 100;                          // RFC 5321 §6.3: "normally at least 100"
  Duration idle = std::chrono::minutes(5);           // RFC 5321 §4.5.3.2.7
  Duration content_block = std::chrono::minutes(3);  // between two reads inside a message
  Duration whole_message = std::chrono::minutes(60);
  Duration handshake = std::chrono::seconds(30);
  Duration greeting_delay{};  // wait this long before 220; who talks in it is refused
};

struct Options {
  std::string own_name;  // the certificate's name; in greeting, EHLO, Received
  std::vector<ListenerOptions> listeners;
  net::ServerTlsOptions tls;
  AdmissionOptions admission;
  Limits limits;
};

}  // namespace waypost::inbound
