// listeners, tls, admission, limits.
#include "config/networks.h"
#include "config/scalars.h"
#include "config/schema.h"

namespace waypost::config {
namespace {

constexpr std::pair<std::string_view, inbound::ListenerTls> kListenerTls[] = {
    {"none", inbound::ListenerTls::none},
    {"starttls", inbound::ListenerTls::starttls},
    {"implicit", inbound::ListenerTls::implicit}};
constexpr std::pair<std::string_view, smtp::BareNewline> kBareNewline[] = {
    {"normalise", smtp::BareNewline::normalise}, {"reject", smtp::BareNewline::reject}};
constexpr std::pair<std::string_view, net::TlsMinimum> kMinimum[] = {
    {"1.2", net::TlsMinimum::tls1_2}, {"1.3", net::TlsMinimum::tls1_3}};

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

void check_networks(Section& section, std::string_view key,
                    const std::vector<std::string>& networks) {
  if (section.describing()) return;
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const auto network = parse_network(networks[i]);
    if (network) continue;
    section.reading().error(
        nearest_place(section.reading().places,
                      section.path_name() + "." + std::string(key) + "[" + std::to_string(i) + "]"),
        "'" + networks[i] + "' in '" + std::string(key) + "' " + network.error().message);
  }
}

void read_listener(Section& section, inbound::ListenerOptions& options) {
  section.text({"address", "IPv4 or IPv6 address; 0.0.0.0: all IPv4, '::': all IPv6"},
               options.address);
  section.number<std::uint16_t>({"port", "TCP port"}, options.port, {1, 65'535});
  section.choice<inbound::ListenerTls>(
      {"tls", "offer STARTTLS, begin with TLS (implicit), or neither"}, options.tls, kListenerTls);
  section.boolean({"require_tls", "before STARTTLS refuse all but EHLO, NOOP, QUIT"},
                  options.require_tls);
  section.texts({"proxy_networks",
                 "load balancers whose connections begin with a PROXY protocol header (v1, v2)"},
                "list of networks", options.proxy_networks);
  section.choice<smtp::BareNewline>(
      {"bare_newline", "a bare CR or LF in DATA becomes CRLF, or the message is refused"},
      options.bare_newline, kBareNewline);
  int& backlog = options.backlog;
  auto waiting = static_cast<std::uint32_t>(backlog);
  section.number<std::uint32_t>({"backlog", "connections that may wait to be accepted"}, waiting,
                                {1, 65'535});
  backlog = static_cast<int>(waiting);
  if (section.describing()) return;
  check_networks(section, "proxy_networks", options.proxy_networks);
  if (!is_ip_address(options.address))
    section.reading().error(section.place_of("address"),
                            "'address' must be an IP address such as 0.0.0.0, '::' or 192.0.2.1, "
                            "not '" +
                                options.address + "'");
  if (options.require_tls && options.tls == inbound::ListenerTls::none)
    section.reading().error(section.place_of("require_tls"),
                            "'require_tls' cannot be met with 'tls: none'; use tls: starttls");
}

void read_server_tls(Section& section, net::ServerTlsOptions& options) {
  section.sections(
      {"certificates", "one or more pairs, such as one ECDSA and one RSA"}, [&](Section& pair) {
        net::ServerTlsOptions::CertificatePair fresh;
        pair.file({"chain", "PEM file: the certificate, then its intermediates",
                   "chain: /etc/waypost/tls/fullchain.pem"},
                  fresh.chain_file, FileUse::shared);
        pair.file({"key", "PEM file: its private key", "key: /etc/waypost/tls/privkey.pem"},
                  fresh.key_file, FileUse::secret);
        if (!pair.describing()) options.certificates.push_back(std::move(fresh));
      });
  section.choice<net::TlsMinimum>({"minimum", "the oldest TLS version that is spoken"},
                                  options.minimum, kMinimum);
  section.boolean({"old_ciphers",
                   "with TLS 1.2 also CBC and RSA key exchange, for clients that have nothing else "
                   "(RFC 9325 is against them)"},
                  options.old_ciphers);
  section.file({"client_ca_file",
                "ask clients for a certificate and check it against these CAs; empty: don't ask"},
               options.client_ca_file, FileUse::shared);
  section.boolean({"require_client_certificate", "refuse TLS clients without such a certificate"},
                  options.require_client_certificate);
  if (options.require_client_certificate && options.client_ca_file.empty())
    section.reading().error(section.place_of("require_client_certificate"),
                            "'require_client_certificate' needs 'client_ca_file': the CAs that may "
                            "sign client certificates; add a line such as: client_ca_file: "
                            "/etc/waypost/tls/clients-ca.pem");
}

void read_admission(Section& section, inbound::AdmissionOptions& options) {
  section.texts({"networks", "clients from these networks may send"}, "list of networks",
                options.networks);
  section.file({"password_file",
                "clients that log in (AUTH, only under TLS) may send: lines of user:hash, argon2id "
                "or scrypt; empty: no AUTH"},
               options.password_file, FileUse::secret);
  section.texts(
      {"client_certificates",
       "clients with a certificate of one of these names, or sha256:FINGERPRINT, may send"},
      "list of names", options.client_certificate_names);
  check_networks(section, "networks", options.networks);
}

void read_limits(Section& section, inbound::Limits& options) {
  using Count = Bounds<std::uint32_t>;
  section.number<std::uint32_t>({"sessions", "sessions in all"}, options.sessions,
                                Count{1, 1'000'000});
  section.number<std::uint32_t>({"sessions_per_client", "sessions per client address"},
                                options.sessions_per_client, Count{1, 1'000'000});
  section.number<std::uint32_t>(
      {"recipients", "recipients per message; Exchange sends up to 1,000"}, options.recipients,
      Count{100, 100'000});
  section.size({"message_size", "largest message, announced by SIZE"}, options.message_size,
               {64 * 1024, 2ull << 30});
  section.number<std::uint32_t>({"errors_per_session", "refused commands until the session is cut"},
                                options.errors_per_session, Count{1, 100'000});
  section.number<std::uint32_t>(
      {"commands_without_mail", "NOOP, RSET, VRFY ... between two messages until it is cut"},
      options.commands_without_mail, Count{1, 100'000});
  section.number<std::uint32_t>(
      {"commands_per_message",
       "commands of any kind for one accepted message until the session is cut; 0: twice "
       "`recipients`, and 200"},
      options.commands_per_message, Count{0, 1'000'000});
  section.number<std::uint32_t>({"hops", "Received fields until a message counts as looping"},
                                options.hops, Count{5, 200});
  section.duration({"idle", "wait this long for the next command (RFC 5321: 5 minutes)"},
                   options.idle, {seconds(5), hours(1)});
  section.duration({"content_block", "wait this long for more of a message"}, options.content_block,
                   {seconds(5), hours(1)});
  section.duration({"whole_message", "one message may take this long"}, options.whole_message,
                   {seconds(30), hours(24)});
  section.duration({"handshake", "a TLS handshake or PROXY header may take this long"},
                   options.handshake, {seconds(1), minutes(10)});
  section.duration({"greeting_delay",
                    "wait before the greeting; who talks meanwhile is refused; not with implicit "
                    "TLS, where the client talks first"},
                   options.greeting_delay, {Duration::zero(), minutes(1)});
}

}  // namespace waypost::config
