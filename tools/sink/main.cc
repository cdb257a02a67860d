// waypost-sink: stands in for WorkMail. Records what it received, and misbehaves when told to.
#include "waypost/admin/server.h"

#include "sink/behaviour.h"
#include "sink/certificates.h"
#include "sink/recorder.h"
#include "sink/sink_server.h"

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <exception>
#include <fstream>
#include <iostream>
#include <thread>

namespace {

using namespace std::string_literals;
using waypost::Result;
namespace sink = waypost::sink;
namespace net = waypost::net;
namespace admin = waypost::admin;

struct Options {
  std::vector<std::string> listen{"127.0.0.1:0"}, rules, hide;
  std::string name = "inbound-smtp.local", tls = "starttls", certificate, key, client_ca;
  std::string record, eml, control, rule_file, auth;
  std::uint64_t max_size = 40ull * 1024 * 1024;
  std::uint32_t max_recipients = 500;
  unsigned threads = std::min(4u, std::max(1u, std::thread::hardware_concurrency()));
  bool bare_ok = false, plain_ehlo = false;
  sink::CertificateOptions make;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("--listen", options.listen, "ADDRESS:PORT, port 0 picks one; may be repeated")
      ->capture_default_str();
  app.add_option("--name", options.make.names,
                 "Host name in greeting and certificate; more for more certificate names");
  app.add_option("--tls", options.tls, "none, starttls or implicit")
      ->check(CLI::IsMember({"none", "starttls", "implicit"}))
      ->capture_default_str();
  app.add_option("--certificate", options.certificate, "PEM chain (default: none, then no TLS)");
  app.add_option("--key", options.key, "PEM key");
  app.add_option("--client-ca", options.client_ca, "Ask clients for a certificate of this CA");
  app.add_option("--auth", options.auth, "USER:PASSWORD: offer AUTH under TLS");
  app.add_option("--record", options.record, "File for one JSON line per message");
  app.add_option("--eml", options.eml, "Folder for the exact bytes, as N.eml");
  app.add_option("--hide", options.hide, "EHLO keyword that is not offered; may be repeated");
  app.add_flag("--plain-ehlo", options.plain_ehlo, "Offer no extension but STARTTLS");
  app.add_flag("--bare-ok", options.bare_ok, "End the EHLO answer with a bare '250 Ok'");
  app.add_option("--max-size", options.max_size, "Largest message")->capture_default_str();
  app.add_option("--max-recipients", options.max_recipients, "Per transaction")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->capture_default_str();
  app.add_option("--misbehave", options.rules, "A rule, see below; may be repeated");
  app.add_option("--rules", options.rule_file, "File of rules, one a line");
  app.add_option("--control", options.control,
                 "Unix socket (HTTP): POST /v1/rules replaces the rules, POST /v1/rule adds one, "
                 "GET /v1/rules, GET /v1/counters");
  app.add_option("--make-certificates", options.make.directory,
                 "Make a CA and a certificate for --name in this folder, and end");
  app.add_option("--days", options.make.days, "Validity of the certificate; negative: expired");
  app.add_flag("--self-signed", options.make.self_signed, "Not signed by the CA");
  app.add_flag("--rsa", options.make.rsa, "RSA-2048 instead of ECDSA P-256");
  app.footer(sink::kRuleHelp);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#')) lines.emplace_back(line);
  }
  return lines;
}

Result<sink::Settings> settings_of(const Options& options) {
  sink::Settings settings;
  if (!options.make.names.empty()) settings.name = options.make.names.front();
  settings.max_message_size = options.max_size;
  settings.max_recipients = options.max_recipients;
  settings.bare_ok = options.bare_ok;
  settings.hidden_extensions = options.hide;
  if (options.plain_ehlo) {
    settings.hidden_extensions = {"SIZE", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES",
                                  "DSN",  "CHUNKING",   "SMTPUTF8", "LIMITS",
                                  "HELP", "VRFY"};
  }
  const auto colon = options.auth.find(':');
  if (colon != std::string::npos) {
    settings.auth_user = options.auth.substr(0, colon);
    settings.auth_password = options.auth.substr(colon + 1);
  }
  const bool with_tls = options.tls != "none" && !options.certificate.empty();
  settings.tls = !with_tls                   ? sink::TlsMode::none
                 : options.tls == "implicit" ? sink::TlsMode::implicit
                                             : sink::TlsMode::starttls;
  if (with_tls) {
    net::ServerTlsOptions tls;
    tls.certificates = {{options.certificate, options.key}};
    tls.client_ca_file = options.client_ca;
    auto context = net::TlsContext::for_server(tls);
    if (!context) return waypost::fail(std::move(context).error());
    settings.tls_context = std::move(*context);
  }
  return settings;
}

admin::Answer plain(unsigned status, std::string body) {
  return {status, "text/plain", std::move(body)};
}

std::vector<admin::Action> control_actions(sink::Behaviour& behaviour, sink::Recorder& recorder) {
  std::vector<admin::Action> actions;
  actions.push_back({"POST", "/v1/rules", false, [&behaviour](std::string_view body) {
                       const auto set = behaviour.replace(lines_of(body));
                       return set ? plain(200, behaviour.report())
                                  : plain(400, set.error().message + "\n");
                     }});
  actions.push_back({"POST", "/v1/rule", false, [&behaviour](std::string_view body) {
                       for (const auto& line : lines_of(body)) {
                         const auto set = behaviour.add(line);
                         if (!set) return plain(400, set.error().message + "\n");
                       }
                       return plain(200, behaviour.report());
                     }});
  actions.push_back({"GET", "/v1/rules", false,
                     [&behaviour](std::string_view) { return plain(200, behaviour.report()); }});
  actions.push_back({"GET", "/v1/counters", false, [&recorder](std::string_view) {
                       return admin::Answer{200, "application/json", recorder.counters_json()};
                     }});
  return actions;
}

int failed(const std::string& message) {
  std::cerr << "waypost-sink: " << message << "\n";
  return 1;
}

int write_certificates(sink::CertificateOptions options) {
  if (options.names.empty()) options.names = {"inbound-smtp.local"};
  const auto files = sink::make_certificates(options);
  if (!files) return failed(files.error().message);
  std::cout << files->ca_file << "\n" << files->chain_file << "\n" << files->key_file << "\n";
  return 0;
}

Result<std::vector<std::string>> rules_of(const Options& options) {
  std::vector<std::string> rules = options.rules;
  if (!options.rule_file.empty()) {
    std::ifstream file(options.rule_file);
    if (!file) {
      return waypost::fail(waypost::ErrorKind::not_found, options.rule_file + ": can't be read");
    }
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    for (auto& line : lines_of(text)) rules.push_back(std::move(line));
  }
  return rules;
}

int serve(const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  auto settings = settings_of(options);
  if (!settings) return failed(settings.error().message);
  sink::Behaviour behaviour;
  const auto rules = rules_of(options);
  if (!rules) return failed(rules.error().message);
  if (const auto set = behaviour.replace(*rules); !set) return failed(set.error().message);
  auto recorder = sink::Recorder::open(options.record, options.eml);
  if (!recorder) return failed(recorder.error().message);

  sink::SinkServer server(std::move(*settings), behaviour, **recorder, options.threads);
  std::string bound;
  for (const auto& address : options.listen) {
    const auto listening = server.listen(address);
    if (!listening) return failed(listening.error().message);
    bound += " " + *listening;
  }
  boost::asio::io_context io(1);
  std::unique_ptr<admin::Server> control;
  if (!options.control.empty()) {
    auto started = admin::Server::start({options.control, "", 0, false},
                                        control_actions(behaviour, **recorder), io);
    if (!started) return failed(started.error().message);
    control = std::move(*started);
  }
  server.start();
  std::cout << "ready" << bound << std::endl;
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&io](const boost::system::error_code&, int) { io.stop(); });
  io.run();
  server.stop();
  std::cerr << "waypost-sink: " << (*recorder)->counters_json();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("waypost-sink: a stand-in for WorkMail that records and, when told, misbehaves.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    return options.make.directory.empty() ? serve(options) : write_certificates(options.make);
  } catch (const std::exception& error) {
    return failed("unexpected: "s + error.what());
  }
}
