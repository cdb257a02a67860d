#include "load/cli_run.h"

#include "load/units.h"
#include "sink/certificates.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

namespace waypost::load {
namespace {

const char* const kExamples =
    "Examples:\n"
    "  A gateway on port 2525 that delivers to 127.0.0.1:2526 (tls: none):\n"
    "    waypost-load run --target 127.0.0.1:2525 --plain --sink-listen 127.0.0.1:2526\n"
    "      --table table.csv --count 20000 --html report.html\n"
    "  What sender and sink can do by themselves:\n"
    "    waypost-load run --target sink --plain --to bob@corp.example --count 100000\n"
    "Exit code 0: every recipient is accounted for; 1: a figure is wrong; 2: it can't be said.\n";

int failed(const Error& error) {
  std::cerr << "waypost-load run: " << error.message << "\n";
  return 2;
}

/// The folder for the logs; a fresh one if none is named.
Result<std::string> make_work_folder(const std::string& named) {
  std::error_code error;
  if (!named.empty()) {
    std::filesystem::create_directories(named, error);
    if (error) return fail(ErrorKind::io, "--work-folder " + named + ": " + error.message());
    return named;
  }
  std::string pattern =
      std::filesystem::temp_directory_path(error).string() + "/waypost-load-XXXXXX";
  if (error || ::mkdtemp(pattern.data()) == nullptr) {
    return fail(ErrorKind::io, "no folder for the logs: " + describe_errno(errno) +
                                   "; name one with --work-folder");
  }
  return pattern;
}

/// Gives the sink its certificate; waypost's own options of the sink win.
Result<> make_tls(const RunArguments& arguments, sink::StandInOptions& options) {
  if (arguments.tls_folder.empty()) return {};
  sink::CertificateOptions make;
  make.directory = arguments.tls_folder;
  make.names = {"inbound-smtp.local"};
  const auto files = sink::make_certificates(make);
  if (!files) return fail(files.error());
  options.certificate = files->chain_file;
  options.key = files->key_file;
  return {};
}

struct Parts {
  std::string folder;
  std::unique_ptr<sink::StandIn> sink, old_system;
  std::unique_ptr<Sender> sender;
};

Result<Parts> assemble(const RunArguments& arguments) {
  auto options = finish_options(arguments.send);
  if (!options) return fail(std::move(options).error());
  if (auto good = check_reports(arguments.reports); !good) return fail(std::move(good).error());
  if (const auto wait = parse_duration(arguments.verify.wait); !wait) return fail(wait.error());
  Parts parts;
  auto folder = make_work_folder(arguments.work_folder);
  if (!folder) return fail(std::move(folder).error());
  parts.folder = *folder;
  sink::StandInOptions sink = arguments.sink;
  sink.journal = parts.folder + "/sink.log";
  if (auto made = make_tls(arguments, sink); !made) return fail(std::move(made).error());
  auto stand_in = sink::StandIn::start(sink);
  if (!stand_in) return fail(std::move(stand_in).error());
  parts.sink = std::move(*stand_in);
  if (!arguments.old_system_listen.empty()) {
    sink::StandInOptions old;  // it behaves
    old.listen = arguments.old_system_listen;
    old.certificate = sink.certificate;
    old.key = sink.key;
    old.journal = parts.folder + "/old-system.log";
    auto old_system = sink::StandIn::start(old);
    if (!old_system) return fail(std::move(old_system).error());
    parts.old_system = std::move(*old_system);
  }
  for (auto& target : options->targets) {
    if (target == "sink") target = parts.sink->bound().front();
  }
  options->log_file = parts.folder + "/send.log";
  auto sender = Sender::make(std::move(*options));
  if (!sender) return fail(std::move(sender).error());
  parts.sender = std::move(*sender);
  return parts;
}

}  // namespace

void add_run_options(CLI::App& app, RunArguments& arguments) {
  arguments.verify.wait = "60s";
  add_send_options(app, arguments.send);
  add_report_options(app, arguments.reports);
  add_rule_options(app, arguments.verify);
  sink::StandInOptions& sink = arguments.sink;
  app.add_option("--sink-listen", sink.listen,
                 "Where the sink listens, ADDRESS:PORT: the gateway's next hop; may be repeated")
      ->capture_default_str();
  app.add_option(
      "--old-system-listen", arguments.old_system_listen,
      "Where a second sink listens that plays the old system (the next hop 'exchange'): who "
      "is pending or rolled back gets mail there; may be repeated");
  app.add_option("--sink-threads", sink.threads, "Threads of the sink")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option("--sink-tls", arguments.tls_folder,
                 "STARTTLS at the sink: make (or use) ca.crt and a certificate for "
                 "inbound-smtp.local in this folder");
  app.add_option("--sink-certificate", sink.certificate, "PEM chain of the sink, instead of that");
  app.add_option("--sink-key", sink.key, "PEM key for it");
  app.add_option("--sink-schedule", sink.schedule_file, "File of faults by the clock, see sink");
  app.add_option("--sink-misbehave", sink.rules, "A rule, see sink; may be repeated");
  app.add_option("--sink-max-recipients", sink.max_recipients, "Per transaction at the sink")
      ->capture_default_str();
  app.add_option("--record", sink.record, "File for one JSON line per received message");
  app.add_option("--work-folder", arguments.work_folder,
                 "Keep send.log and sink.log here (default: a temporary folder, kept if the "
                 "figures are wrong)");
  app.footer(kExamples);
}

int run_all(const RunArguments& arguments) {
  auto parts = assemble(arguments);
  if (!parts) return failed(parts.error());
  auto& [folder, stand_in, old_system, sender] = *parts;
  stand_in->serve_in_background();
  if (old_system) old_system->serve_in_background();
  const WallTime started = Clock::system().now();
  sender->start();
  sink::Counters& counters = stand_in->recorder().counters();
  run_sender(*sender, arguments.reports, [&counters] {
    return with_commas(counters.recipients.load(std::memory_order_relaxed)) + " arrived";
  });
  Report report = report_of(*sender, "waypost-load run", started);
  if (auto log = sender->log_health(); !log) return failed(log.error());
  VerifyArguments verify = arguments.verify;
  verify.sent = {folder + "/send.log"};
  verify.received = {folder + "/sink.log"};
  if (old_system) verify.old_system = {folder + "/old-system.log"};
  verify.nothing_between = arguments.send.options.targets == std::vector<std::string>{"sink"};
  auto accounting = verify_logs(verify);
  stand_in->stop();
  if (old_system) old_system->stop();
  if (!accounting) return failed(accounting.error());
  const bool good = accounting->good();
  report.accounting = std::move(*accounting);
  if (auto done = publish(report, arguments.reports); !done) return failed(done.error());
  if (good && arguments.work_folder.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  } else {
    std::cerr << "logs: " << folder << "/send.log, " << folder << "/sink.log\n";
  }
  return good ? 0 : 1;
}

}  // namespace waypost::load
