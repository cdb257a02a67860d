#include "load/cli_sink.h"

#include <algorithm>
#include <iostream>
#include <thread>

namespace waypost::load {
namespace {

const char* const kExamples =
    "Examples:\n"
    "  A certificate of a rehearsal CA, then a server with it that records everything:\n"
    "    waypost-load sink --make-certificates tls --name inbound-smtp.local\n"
    "    waypost-load sink --listen 127.0.0.1:2525 --certificate tls/inbound-smtp.local.crt\n"
    "      --key tls/inbound-smtp.local.key --record received.jsonl\n"
    "  At full speed, for waypost-load verify, with a fault by the clock:\n"
    "    echo '+1m throttle 30s' > faults\n"
    "    waypost-load sink --listen 127.0.0.1:2525 --discard --log sink.log --schedule faults\n";

int failed(const Error& error) {
  std::cerr << "waypost-load sink: " << error.message << "\n";
  return 1;
}

int write_certificates(sink::CertificateOptions options) {
  const auto files = sink::make_certificates(options);
  if (!files) return failed(files.error());
  std::cout << files->ca_file << "\n" << files->chain_file << "\n" << files->key_file << "\n";
  return 0;
}

void add_output_options(CLI::App& app, SinkArguments& arguments) {
  sink::StandInOptions& options = arguments.options;
  app.add_option("--record", options.record, "File for one JSON line per message");
  app.add_option("--eml", options.eml, "Folder for the exact bytes, as N.eml");
  app.add_flag("--discard", options.discard, "Keep nothing but what --log says: the fastest way");
  app.add_option("--log", options.journal, "What arrived, for waypost-load verify");
  app.add_option("--control", options.control,
                 "Unix socket (HTTP): POST /v1/rules replaces the rules, POST /v1/rule adds one, "
                 "GET /v1/rules, GET /v1/counters");
}

}  // namespace

void add_sink_options(CLI::App& app, SinkArguments& arguments) {
  sink::StandInOptions& options = arguments.options;
  options.threads = std::min(4u, std::max(1u, std::thread::hardware_concurrency()));
  app.add_option("--listen", options.listen, "ADDRESS:PORT, port 0 picks one; may be repeated")
      ->capture_default_str();
  app.add_option("--name", arguments.make.names,
                 "Host name in greeting and certificate (default: inbound-smtp.local); more for "
                 "more certificate names");
  app.add_option("--tls", options.tls, "none, starttls or implicit")
      ->check(CLI::IsMember({"none", "starttls", "implicit"}))
      ->capture_default_str();
  app.add_option("--certificate", options.certificate, "PEM chain (default: none, then no TLS)");
  app.add_option("--key", options.key, "PEM key");
  app.add_option("--client-ca", options.client_ca, "Ask clients for a certificate of this CA");
  app.add_option("--auth", options.auth, "USER:PASSWORD: offer AUTH under TLS");
  add_output_options(app, arguments);
  app.add_option("--hide", options.hide, "EHLO keyword that is not offered; may be repeated");
  app.add_flag("--plain-ehlo", options.plain_ehlo, "Offer no extension but STARTTLS");
  app.add_flag("--bare-ok", options.bare_ok, "End the EHLO answer with a bare '250 Ok'");
  app.add_option("--max-size", options.max_size, "Largest message")->capture_default_str();
  app.add_option("--max-recipients", options.max_recipients, "Per transaction")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->capture_default_str();
  app.add_option("--misbehave", options.rules, "A rule, see below; may be repeated");
  app.add_option("--rules", options.rule_file, "File of rules, one a line");
  app.add_option("--schedule", options.schedule_file, "File of faults by the clock, see below");
  app.add_option("--make-certificates", arguments.make.directory,
                 "Make a CA and a certificate for --name in this folder, and end");
  app.add_option("--days", arguments.make.days, "Validity of the certificate; negative: expired");
  app.add_flag("--self-signed", arguments.make.self_signed, "Not signed by the CA");
  app.add_flag("--rsa", arguments.make.rsa, "RSA-2048 instead of ECDSA P-256");
  app.footer(std::string(sink::kRuleHelp) + "\n" + sink::kScheduleHelp + "\n" + kExamples);
}

int run_sink(const SinkArguments& arguments) {
  sink::CertificateOptions make = arguments.make;
  if (make.names.empty()) make.names = {"inbound-smtp.local"};
  if (!make.directory.empty()) return write_certificates(make);
  sink::StandInOptions options = arguments.options;
  options.names = make.names;
  auto stand_in = sink::StandIn::start(options);
  if (!stand_in) return failed(stand_in.error());
  std::cout << "ready";
  for (const auto& address : (*stand_in)->bound()) std::cout << " " << address;
  std::cout << std::endl;
  (*stand_in)->serve();
  std::cerr << "waypost-load sink: " << (*stand_in)->recorder().counters_json();
  return 0;
}

}  // namespace waypost::load
