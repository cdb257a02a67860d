#include "sink/stand_in.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <csignal>
#include <fstream>

namespace waypost::sink {
namespace {

constexpr std::size_t kMostRules = 1024 * 1024;  // octets

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

Result<Settings> settings_of(const StandInOptions& options) {
  Settings settings;
  if (!options.names.empty()) settings.name = options.names.front();
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
  if (!options.auth.empty() && colon == std::string::npos) {
    return fail(ErrorKind::invalid, "--auth: write USER:PASSWORD");
  }
  if (!options.auth.empty()) {
    settings.auth_user = options.auth.substr(0, colon);
    settings.auth_password = options.auth.substr(colon + 1);
  }
  const bool with_tls = options.tls != "none" && !options.certificate.empty();
  settings.tls = !with_tls                   ? TlsMode::none
                 : options.tls == "implicit" ? TlsMode::implicit
                                             : TlsMode::starttls;
  if (!with_tls) return settings;
  net::ServerTlsOptions tls;
  tls.certificates = {{options.certificate, options.key}};
  tls.client_ca_file = options.client_ca;
  auto context = net::TlsContext::for_server(tls);
  if (!context) return fail(std::move(context).error());
  settings.tls_context = std::move(*context);
  return settings;
}

Result<std::vector<std::string>> rules_of(const StandInOptions& options) {
  std::vector<std::string> rules = options.rules;
  if (options.rule_file.empty()) return rules;
  std::ifstream file(options.rule_file);
  if (!file) return fail(ErrorKind::not_found, options.rule_file + ": can't be read");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  for (auto& line : lines_of(text)) rules.push_back(std::move(line));
  return rules;
}

admin::Answer plain(unsigned status, std::string body) {
  return {status, "text/plain", std::move(body)};
}

}  // namespace

std::vector<admin::Action> StandIn::control_actions() {
  std::vector<admin::Action> actions;
  actions.push_back({"POST",
                     "/v1/rules",
                     false,
                     [this](const admin::Call& call) {
                       const auto set = behaviour_.replace(lines_of(call.body));
                       return set ? plain(200, behaviour_.report())
                                  : plain(400, set.error().message + "\n");
                     },
                     {},
                     kMostRules});
  actions.push_back({"POST",
                     "/v1/rule",
                     false,
                     [this](const admin::Call& call) {
                       for (const auto& line : lines_of(call.body)) {
                         const auto set = behaviour_.add(line);
                         if (!set) return plain(400, set.error().message + "\n");
                       }
                       return plain(200, behaviour_.report());
                     },
                     {},
                     kMostRules});
  actions.push_back({"GET", "/v1/rules", false,
                     [this](const admin::Call&) { return plain(200, behaviour_.report()); }});
  actions.push_back({"GET", "/v1/counters", false, [this](const admin::Call&) {
                       recorder_->flush();
                       return admin::Answer{200, "application/json", recorder_->counters_json()};
                     }});
  return actions;
}

Result<> StandIn::prepare(const StandInOptions& options) {
  if (options.discard && !(options.record.empty() && options.eml.empty())) {
    return fail(ErrorKind::invalid, "--discard keeps nothing: leave out --record and --eml");
  }
  auto settings = settings_of(options);
  if (!settings) return fail(std::move(settings).error());
  const auto rules = rules_of(options);
  if (!rules) return fail(rules.error());
  if (auto set = behaviour_.replace(*rules); !set) return fail(std::move(set).error());
  if (!options.schedule_file.empty()) {
    auto faults = read_fault_schedule(options.schedule_file, Clock::system().now());
    if (!faults) return fail(std::move(faults).error());
    faults_ = std::move(*faults);
    fault_state_.assign(faults_.size(), false);
  }
  auto recorder = Recorder::open(options.record, options.eml);
  if (!recorder) return fail(std::move(recorder).error());
  recorder_ = std::move(*recorder);
  if (!options.journal.empty()) {
    auto journal = load::JournalWriter::open(options.journal, std::string(load::kSinkMagic));
    if (!journal) return fail(std::move(journal).error());
    recorder_->keep_journal(std::move(*journal));
  }
  server_ =
      std::make_unique<SinkServer>(std::move(*settings), behaviour_, *recorder_, options.threads);
  for (const auto& address : options.listen) {
    auto listening = server_->listen(address);
    if (!listening) return fail(std::move(listening).error());
    bound_.push_back(std::move(*listening));
  }
  if (options.control.empty()) return {};
  auto started = admin::Server::start({options.control, "", 0, false}, control_actions(), io_);
  if (!started) return fail(std::move(started).error());
  control_ = std::move(*started);
  return {};
}

Result<std::unique_ptr<StandIn>> StandIn::start(const StandInOptions& options) {
  std::unique_ptr<StandIn> stand_in(new StandIn);
  if (auto good = stand_in->prepare(options); !good) return fail(std::move(good).error());
  stand_in->keep_schedule();
  stand_in->server_->start();
  return stand_in;
}

StandIn::~StandIn() { stop(); }

void StandIn::keep_schedule() {
  if (faults_.empty()) return;
  const WallTime now = Clock::system().now();
  const std::vector<bool> before = fault_state_;
  const WallTime next = apply_faults(faults_, fault_state_, now, behaviour_);
  for (std::size_t i = 0; i < faults_.size(); ++i)
    if (before[i] != fault_state_[i]) recorder_->note_fault(faults_[i].name, fault_state_[i]);
  if (next == WallTime::max()) return;
  // In short steps, so that a wall clock that is set does not matter for long.
  timer_.expires_after(std::min<Duration>(next - now, std::chrono::seconds(10)));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) keep_schedule();
  });
}

void StandIn::serve() {
  boost::asio::signal_set signals(io_, SIGTERM, SIGINT);
  signals.async_wait([this](const boost::system::error_code&, int) { io_.stop(); });
  io_.run();
  stop();
}

void StandIn::serve_in_background() {
  background_ = std::thread([this] {
    const auto work = boost::asio::make_work_guard(io_);
    io_.run();
  });
}

void StandIn::stop() {
  io_.stop();
  if (background_.joinable()) background_.join();
  if (server_) server_->stop();
  if (recorder_) recorder_->flush();
}

}  // namespace waypost::sink
