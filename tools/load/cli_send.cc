#include "load/cli_send.h"

#include "waypost/base/counted.h"

#include "load/identity.h"
#include "load/progress.h"

#include <ctime>
#include <iostream>
#include <random>

namespace waypost::load {
namespace {

const char* const kExamples =
    "Examples:\n"
    "  As one Exchange server would, at full speed, 20,000 messages:\n"
    "    waypost-load send --target gw.staging.example:25 --ca-file ca.crt --table table.csv "
    "--count 20000\n"
    "  200 messages/s for 10 minutes to wave 7, a few mistyped addresses among them:\n"
    "    waypost-load send --target gw.staging.example:25 --tls require --table table.csv --wave "
    "wave-7\n"
    "      --unknown-share 0.02 --rate 200 --ramp-up 30s --duration 10m --html wave-7.html\n"
    "  A plain SMTP server, DATA, one message a connection:\n"
    "    waypost-load send --target 127.0.0.1:2525 --plain --data --messages-per-connection 1\n"
    "      --to bob@corp.example --count 1000\n";

std::uint64_t fresh_run_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) ^ device();
}

void add_shape(CLI::App& app, SendArguments& a) {
  SendOptions& o = a.options;
  app.add_option("--servers", o.servers, "Exchange servers that are played")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  app.add_option("--connections", o.connections_per_server, "Connections of each server")
      ->check(CLI::Range(1u, 100000u))
      ->capture_default_str();
  app.add_option("--messages-per-connection", o.messages_per_connection,
                 "Then QUIT and connect anew; 0: never")
      ->capture_default_str();
  app.add_option("--helo", o.helo, "EHLO name; % becomes the server's number")
      ->capture_default_str();
  app.add_option("--source", o.source_address, "Local address to connect from");
  app.add_option("--threads", o.threads, "Threads")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option("--pipelining", a.pipelining,
                 "exchange: MAIL and RCPTs in one go, then the content; full: all in one go; off")
      ->check(CLI::IsMember({"exchange", "full", "off"}))
      ->capture_default_str();
  app.add_option("--shape", a.shape,
                 "exchange: RET, ENVID, ORCPT and, for --group-share, NOTIFY=NEVER if DSN is "
                 "offered; plain: none of them. SIZE and BODY go with both")
      ->check(CLI::IsMember({"exchange", "plain"}))
      ->capture_default_str();
  app.add_flag("--data", a.data, "DATA even if the server offers CHUNKING (BDAT)");
  app.add_option("--timeout", a.timeout, "For each reply")->capture_default_str();
  app.add_option("--give-up", a.give_up, "End the run when nothing has worked for so long")
      ->capture_default_str();
}

void add_protection(CLI::App& app, SendArguments& a) {
  auto& tls = a.options.tls;
  app.add_flag("--plain", a.plain, "No STARTTLS; the same as --tls none");
  app.add_option("--tls", a.tls,
                 "verify: STARTTLS, chain and name must be good; require: STARTTLS, nothing is "
                 "checked; opportunistic: if offered, nothing is checked; none")
      ->check(CLI::IsMember({"verify", "require", "opportunistic", "none"}))
      ->capture_default_str();
  app.add_option("--ca-file", tls.ca_file, "PEM file of CAs to trust (default: the system's)");
  app.add_option("--tls-name", tls.names,
                 "Certificate name to accept (default: the target's host)");
  app.add_option("--client-certificate", tls.client_chain_file, "PEM chain to show to the server");
  app.add_option("--client-key", tls.client_key_file, "PEM key for it");
  app.add_flag("--implicit-tls", a.options.implicit_tls, "TLS from the first octet (port 465)");
  app.add_flag("--no-resumption", a.no_resumption, "A full handshake for each connection");
  app.add_option("--auth", a.auth, "USER:PASSWORD, sent by AUTH PLAIN or LOGIN under TLS");
}

void add_mail(CLI::App& app, SendArguments& a) {
  RecipientOptions& r = a.options.recipients;
  app.add_option("--from", a.options.sender, "Envelope sender; reports go there")
      ->capture_default_str();
  app.add_option("--to", r.addresses, "Recipient, instead of a table; may be repeated");
  app.add_option("--table", r.table_file, "Routing table (CSV) to draw recipients from");
  app.add_option("--wave", a.waves,
                 "NAME[=WEIGHT]: draw from this wave only; may be repeated; '-': no wave");
  app.add_option("--state", r.states, "Entries of this state (default: active); may be repeated");
  app.add_option("--unknown-share", r.unknown_share, "Share of addresses that no table has, 0..1")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--foreign-share", r.foreign_share, "Share of addresses of --foreign-domain, 0..1")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--group-share", r.group_share,
                 "Share of known addresses that are sent to as members of a group, 0..1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--foreign-domain", r.foreign_domain, "A domain that is not ours")
      ->capture_default_str();
  app.add_option("--recipients", r.per_message, "Recipients of each message")
      ->check(CLI::Range(1u, 100000u))
      ->capture_default_str();
  app.add_option("--burst-every", r.burst_every, "Every Nth message goes to --burst-recipients");
  app.add_option("--burst-recipients", r.burst_recipients, "Recipients of a burst")
      ->check(CLI::Range(1u, 100000u))
      ->capture_default_str();
  app.add_option("--size", a.options.content.size,
                 "10KiB; or 1KiB*70,10KiB*25,1MiB*5; or lognormal:median=20KiB,sigma=1.5,max=25MiB")
      ->capture_default_str();
  app.add_option("--from-folder", a.options.content.folder, "Send the .eml files of this folder");
  app.add_option("--seed", r.seed, "Same seed, same messages and recipients")
      ->capture_default_str();
}

void add_time(CLI::App& app, SendArguments& a) {
  app.add_option("--rate", a.rate,
                 "Messages a second, by the clock (open loop); without: as fast as replies come");
  app.add_option("--ramp-up", a.ramp_up, "Time to reach the full rate, or all connections");
  app.add_option("--duration", a.duration, "Send for so long: 30s, 10m");
  app.add_option("--count", a.count, "Send so many messages");
  app.add_option("--run-id", a.run_id, "16 hex digits (default: random)");
}

}  // namespace

void add_send_options(CLI::App& app, SendArguments& arguments) {
  app.add_option("--target", arguments.options.targets,
                 "HOST:PORT, always to be named; several are used in turn");
  add_shape(app, arguments);
  add_protection(app, arguments);
  add_mail(app, arguments);
  add_time(app, arguments);
  app.footer(kExamples);
}

void add_report_options(CLI::App& app, ReportArguments& arguments) {
  app.add_option("--json", arguments.json_file, "Write the report as JSON");
  app.add_option("--html", arguments.html_file, "Write the report as one HTML page");
  app.add_option("--compare", arguments.compare_file, "JSON of an earlier run to compare with");
  app.add_flag("--progress", arguments.progress, "Progress line even if stderr is no terminal");
  app.add_flag("--quiet", arguments.quiet, "No progress line, no text report");
}

Result<SendOptions> finish_options(const SendArguments& a) {
  SendOptions o = a.options;
  if (o.targets.empty()) {
    return fail(ErrorKind::invalid, "name the server to send to: --target HOST:PORT");
  }
  const auto timed = [](const char* name, const std::string& text, Duration& into) -> Result<> {
    if (text.empty()) return {};
    const auto value = parse_duration(text);
    if (!value) return fail(ErrorKind::invalid, std::string(name) + ": " + value.error().message);
    into = *value;
    return {};
  };
  for (const auto& set :
       {timed("--ramp-up", a.ramp_up, o.schedule.ramp_up), timed("--timeout", a.timeout, o.timeout),
        timed("--duration", a.duration, o.schedule.duration),
        timed("--give-up", a.give_up, o.give_up)}) {
    if (!set) return fail(set.error());
  }
  if (!a.rate.empty()) {
    const auto rate = parse_number(a.rate);
    if (!rate || *rate <= 0) return fail(ErrorKind::invalid, "--rate: write a number above 0");
    o.schedule.rate = *rate;
  }
  if (a.count > 0) o.schedule.count = a.count;
  if (a.count == 0 && a.duration.empty()) {
    return fail(ErrorKind::invalid, "say when to stop: --count N or --duration TIME");
  }
  for (const auto& text : a.waves) {
    auto wave = parse_wave(text);
    if (!wave) return fail(std::move(wave).error());
    o.recipients.waves.push_back(std::move(*wave));
  }
  o.use_bdat = !a.data;
  o.exchange_parameters = a.shape == "exchange";
  o.tls_resumption = !a.no_resumption;
  o.pipelining = a.pipelining == "full"  ? Pipelining::full
                 : a.pipelining == "off" ? Pipelining::off
                                         : Pipelining::exchange;
  const std::string tls = a.plain ? "none" : a.tls;
  o.tls.policy = tls == "verify"          ? net::TlsPolicy::verify
                 : tls == "require"       ? net::TlsPolicy::require
                 : tls == "opportunistic" ? net::TlsPolicy::opportunistic
                                          : net::TlsPolicy::none;
  if (o.implicit_tls && tls == "none") {
    return fail(ErrorKind::invalid, "--implicit-tls and --plain exclude each other");
  }
  if (!a.auth.empty()) {
    const auto colon = a.auth.find(':');
    if (colon == std::string::npos) return fail(ErrorKind::invalid, "--auth: write USER:PASSWORD");
    o.auth_user = a.auth.substr(0, colon);
    o.auth_password = a.auth.substr(colon + 1);
  }
  o.run_id = fresh_run_id();
  if (!a.run_id.empty()) {
    const auto id = parse_hex(a.run_id);
    if (!id) return fail(ErrorKind::invalid, "--run-id: write up to 16 hex digits");
    o.run_id = *id;
  }
  o.content.seed = o.recipients.seed;
  o.content.sender = o.sender;
  o.content.recipient = "rehearsal: ;";
  return o;
}

namespace {

std::string shape_in_words(const SendOptions& o) {
  std::string out =
      std::to_string(o.servers) + " x " + counted(o.connections_per_server, "connection");
  out += o.messages_per_connection == 0 ? ", kept open"
                                        : " x " + counted(o.messages_per_connection, "message");
  out += o.use_bdat ? ", BDAT" : ", DATA";
  out += o.pipelining == Pipelining::full  ? ", all in one go"
         : o.pipelining == Pipelining::off ? ", no pipelining"
                                           : ", pipelined";
  if (!o.exchange_parameters) out += ", no DSN parameters";
  return out + ", " + counted(o.threads, "thread");
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + one;
  return out;
}

std::string utc(WallTime at) {
  const auto seconds =
      std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::seconds>(at));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

Report report_of(const Sender& sender, const std::string& title, WallTime started) {
  const SendOptions& o = sender.options();
  Report report;
  report.title = title;
  report.started = utc(started);
  report.run_id = hex(o.run_id);
  report.seconds = sender.seconds();
  report.sender_cpu_seconds = sender.cpu_seconds();
  report.wave_names = sender.mix().waves();
  report.statistics = sender.results();
  auto& s = report.settings;
  s.emplace_back("target", joined(o.targets));
  s.emplace_back("shape", shape_in_words(o));
  s.emplace_back("TLS",
                 (o.implicit_tls ? "implicit, " : "") + std::string(net::to_string(o.tls.policy)));
  s.emplace_back("load", o.schedule.rate > 0
                             ? "open loop, " + show_fixed(o.schedule.rate, 1) + " messages/s"
                             : "closed loop");
  s.emplace_back("messages", (o.content.folder.empty() ? o.content.size : o.content.folder) +
                                 ", mean " + show_octets(sender.contents().mean_octets()));
  s.emplace_back("recipients", sender.mix().description());
  return report;
}

int run_send(const SendArguments& arguments, const ReportArguments& reports) {
  const auto failed = [](const Error& error) {
    std::cerr << "waypost-load send: " << error.message << "\n";
    return 2;
  };
  auto options = finish_options(arguments);
  if (!options) return failed(options.error());
  if (auto good = check_reports(reports); !good) return failed(good.error());
  auto sender = Sender::make(std::move(*options));
  if (!sender) return failed(sender.error());
  const WallTime started = Clock::system().now();
  (*sender)->start();
  run_sender(**sender, reports);
  const Report report = report_of(**sender, "waypost-load send", started);
  if (auto done = publish(report, reports); !done) return failed(done.error());
  if (auto log = (*sender)->log_health(); !log) return failed(log.error());
  const Statistics& s = report.statistics;
  return s.accepted > 0 && s.unsent == 0 ? 0 : 1;
}

}  // namespace waypost::load
