#include "app/check_command.h"

#include "waypost/base/counted.h"
#include "waypost/config/config.h"
#include "waypost/routing/table_facts.h"
#include "waypost/routing/wave_facts.h"

#include "app/check_files.h"
#include "app/check_machine.h"
#include "app/daemon_calls.h"
#include "app/next_hop_summary.h"
#include "app/table_size_file.h"
#include "app/waves_on_disk.h"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>

namespace waypost::app {
namespace {

namespace json = boost::json;
using config::Diagnostic;

struct Checked {
  CheckedAs as;
  config::Config config;
  std::vector<Diagnostic> findings;
  routing::TableStats stats;
  MachineReport machine;

  std::uint64_t count(Diagnostic::Level level) const {
    return static_cast<std::uint64_t>(std::count_if(
        findings.begin(), findings.end(), [&](const auto& one) { return one.level == level; }));
  }
  bool usable() const { return count(Diagnostic::Level::error) == 0; }
  void warn(std::string message) {
    findings.push_back({Diagnostic::Level::warning, config.file, 0, 0, std::move(message)});
  }
  void add(const routing::Problem& problem) {
    findings.push_back({problem.error ? Diagnostic::Level::error : Diagnostic::Level::warning,
                        problem.file.empty() ? config.file : problem.file, problem.line,
                        problem.column, problem.message});
  }
  void add(std::vector<Diagnostic> more) {
    for (auto& one : more) findings.push_back(std::move(one));
  }
};

/// The table as the daemon would load it. False: it would not, and the findings say why.
bool check_table(Checked& checked) {
  const auto& options = checked.config.routing;
  std::vector<routing::Problem> problems;
  const auto router = routing::Router::load(options, problems, waves_on_disk(checked.config));
  for (const auto& problem : problems) checked.add(problem);
  if (!router) return false;
  const auto now = Clock::system().now();
  checked.stats = routing::table_stats(**router, now);
  const auto kept = read_table_size(table_size_path(checked.config));
  if (const auto why = refusal_at_start(kept, routing::size_of(**router, now), **router);
      !why.empty())
    checked.add(routing::Problem{true, {}, 0, 0, std::string(kNotTaken) + why});
  for (const auto& problem : routing::wave_problems(**router, now)) checked.add(problem);
  if (const auto lost = routing::nowhere_to_wait(checked.stats, options)) checked.add(*lost);
  return true;
}

void check_what_lacks(Checked& checked) {
  if (auto advice = advice_on_reports(checked.config); !advice.empty())
    checked.warn(std::move(advice));
  const auto& sources = checked.config.routing.sources;
  for (const auto& directory : checked.config.directories)
    if (std::none_of(sources.begin(), sources.end(),
                     [&](const auto& one) { return one.directory == directory.name; }))
      checked.warn("no source uses the directory '" + directory.name +
                   "'; add to routing.sources: - {type: directory, directory: " + directory.name +
                   "}");
}

Checked look(const std::string& file, CheckedAs as) {
  auto loaded = config::load_file(file);
  const bool readable = loaded.usable();
  Checked checked{std::move(as), std::move(loaded.config), std::move(loaded.diagnostics), {}, {}};
  checked.config.file = file;
  if (!readable) return checked;
  checked.add(check_files(checked.config));
  checked.machine = check_machine(checked.config, checked.as);
  checked.add(std::move(checked.machine.findings));
  if (check_table(checked)) check_what_lacks(checked);
  return checked;
}

void print_configured(const Checked& checked) {
  const auto& config = checked.config;
  for (const auto& target : config.routing.target_domains)
    std::cout << "  " << target.domain << " -> " << target.next_hop << " ("
              << summarise_next_hop(config.next_hops, target.next_hop) << ")\n";
  for (const auto& hop : config.next_hops)
    std::cout << "  next hop " << hop.name << ": " << summarise_next_hop(config.next_hops, hop.name)
              << "\n";
  std::cout << "  tracking log: " << (config.tracking.path.empty() ? "none" : config.tracking.path)
            << "\n";
}

void print_text(const Checked& checked) {
  for (const auto& finding : checked.findings) std::cerr << finding.to_string() << "\n";
  std::cerr.flush();
  const auto& config = checked.config;
  const std::string who = " (checked as user " + checked.as.user + ")";
  if (checked.usable())
    std::cout << config.file << ": good"
              << ": " << counted(config.inbound.listeners.size(), "listener") << ", "
              << counted(config.next_hops.size(), "next hop") << ", "
              << counted(config.routing.own_domains.size(), "own domain") << ", "
              << counted(checked.stats.entries, "routing entry", "routing entries") << who << "\n";
  else
    std::cout << config.file
              << ": not usable: " << counted(checked.count(Diagnostic::Level::error), "error")
              << "; mend what is said above and check again" << who << "\n";
  if (checked.machine.running)
    std::cout << "  waypost runs already (pid " << *checked.machine.running << ")\n";
  for (const auto& note : checked.machine.notes) std::cout << "  note: " << note << "\n";
  if (!checked.as.remark.empty()) std::cout << "  note: " << checked.as.remark << "\n";
  if (!checked.usable()) return;
  print_configured(checked);
  std::cout << routing::summary_of(checked.stats) << "\n";
}

json::array findings_json(const Checked& checked) {
  json::array all;
  for (const auto& one : checked.findings)
    all.emplace_back(
        json::object{{"level", one.level == Diagnostic::Level::error ? "error" : "warning"},
                     {"file", one.file},
                     {"line", one.line},
                     {"column", one.column},
                     {"message", one.message}});
  return all;
}

void print_json(const Checked& checked) {
  const auto& config = checked.config;
  json::array listeners;
  for (const auto& listener : config.inbound.listeners)
    listeners.emplace_back(listener.to_string());
  json::object hops, targets;
  for (const auto& hop : config.next_hops)
    hops[hop.name] = summarise_next_hop(config.next_hops, hop.name);
  for (const auto& target : config.routing.target_domains) targets[target.domain] = target.next_hop;
  json::array notes;
  for (const auto& note : checked.machine.notes) notes.emplace_back(note);
  if (!checked.as.remark.empty()) notes.emplace_back(checked.as.remark);
  json::object out{{"usable", checked.usable()},
                   {"file", config.file},
                   {"checked_as", checked.as.user},
                   {"errors", checked.count(Diagnostic::Level::error)},
                   {"warnings", checked.count(Diagnostic::Level::warning)},
                   {"problems", findings_json(checked)},
                   {"notes", std::move(notes)},
                   {"listeners", std::move(listeners)},
                   {"own_domains", json::value_from(config.routing.own_domains)},
                   {"target_domains", std::move(targets)},
                   {"next_hops", std::move(hops)},
                   {"tracking_file", config.tracking.path},
                   {"entries", checked.stats.entries},
                   {"by_state", json::value_from(checked.stats.by_state)},
                   {"by_wave", json::value_from(checked.stats.by_wave)}};
  if (checked.machine.running) out["running_pid"] = *checked.machine.running;
  std::cout << json::serialize(out) << "\n";
}

}  // namespace

int check(const CheckArguments& arguments) {
  auto as = become_user(arguments.as);
  if (!as) {
    std::cerr << "waypost check: " << as.error().message << "\n";
    return kExitUsage;
  }
  const Checked checked = look(arguments.common.config_file, std::move(*as));
  if (arguments.common.json)
    print_json(checked);
  else
    print_text(checked);
  return checked.usable() ? 0 : kExitNo;
}

void add_check_command(CLI::App& app, CheckArguments& arguments, int& exit_code) {
  auto* command = app.add_subcommand(
      "check",
      "What the daemon would meet: configuration, tables, and every file, folder and port; exit 1 "
      "on errors");
  command->add_option("-c,--config", arguments.common.config_file, "Configuration file")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
  command->add_option("--as", arguments.as,
                      "Look as this user, who must be able to read and write what the daemon does; "
                      "default: as root the user 'waypost' if there is one, else who calls");
  command->add_flag("--json", arguments.common.json, "Answer as JSON");
  command->callback([&arguments, &exit_code] { exit_code = check(arguments); });
}

}  // namespace waypost::app
