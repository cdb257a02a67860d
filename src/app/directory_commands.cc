#include "app/directory_commands.h"

#include "waypost/admin/server.h"
#include "waypost/base/counted.h"
#include "waypost/config/config.h"
#include "waypost/routing/directory.h"

#include "app/answers.h"
#include "app/daemon_calls.h"
#include "app/times.h"
#include "app/version.h"

#include <boost/json.hpp>

#include <filesystem>
#include <iostream>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr int kExitRefused = 1;
constexpr std::size_t kShownProblems = 10;

/// Errors elsewhere in the configuration don't matter here; those of directories do.
std::optional<routing::DirectoryOptions> find(const DirectoryArguments& arguments, int& exit_code) {
  const auto loaded = config::load_file(arguments.common.config_file);
  if (!loaded.usable()) {
    for (const auto& diagnostic : loaded.diagnostics) std::cerr << diagnostic.to_string() << "\n";
    exit_code = kExitConfig;
    return std::nullopt;
  }
  std::string known;
  for (const auto& directory : loaded.config.directories) {
    if (directory.name == arguments.name) return directory;
    known += (known.empty() ? "" : ", ") + directory.name;
  }
  std::cerr << "waypost directory: " << arguments.common.config_file << " has no directory '"
            << arguments.name << "'; "
            << (known.empty() ? "it has none: see 'directories' in " WAYPOST_DOCS "directory.md"
                              : "there are: " + known)
            << "\n";
  exit_code = kExitUsage;
  return std::nullopt;
}

json::object to_json(const routing::DirectoryOutcome& outcome) {
  json::array problems, failed;
  for (const auto& problem : outcome.problems) problems.push_back(json::value(problem.to_string()));
  for (const auto& server : outcome.failed_servers) failed.push_back(json::value(server));
  json::object out{{"directory", outcome.directory},
                   {"server", outcome.server},
                   {"entries", outcome.entries},
                   {"people", outcome.people},
                   {"left_out", outcome.left_out},
                   {"took_ms", outcome.took.count() / 1000},
                   {"failed_servers", failed},
                   {"problems", problems},
                   {"more_problems", outcome.more_problems}};
  if (outcome.error) out["error"] = outcome.error->message;
  return out;
}

void print_troubles(const routing::DirectoryOutcome& outcome, std::size_t most) {
  if (!outcome.error)  // which names them already
    for (const auto& server : outcome.failed_servers) std::cerr << "not used    " << server << "\n";
  std::size_t shown = 0;
  for (const auto& problem : outcome.problems) {
    if (++shown > most) break;
    std::cerr << problem.to_string() << "\n";
  }
  const auto all = outcome.problems.size() + outcome.more_problems;
  if (all > most) std::cerr << "... and " << counted(all - most, "more problem") << "\n";
}

int exit_of(const routing::DirectoryOutcome& outcome) {
  if (!outcome.error) return 0;
  if (outcome.error->kind == ErrorKind::io) return kExitFailed;
  const bool shrink = outcome.error->kind == ErrorKind::exhausted && outcome.removed > 0;
  return shrink ? kExitRefused : kExitUnavailable;
}

std::string seconds_of(Duration took) {
  const auto hundredths = took.count() / 10'000;
  const auto rest = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (rest.size() < 2 ? "0" : "") + rest + " s";
}

int check(const DirectoryArguments& arguments, routing::DirectoryOptions options) {
  const auto found = routing::Directory::create(std::move(options))->check({});
  const auto& outcome = found.outcome;
  if (arguments.common.json) {
    auto out = to_json(outcome);
    out["tls"] = found.tls;
    out["bound_as"] = found.bound_as;
    out["naming_context"] = found.naming_context;
    out["invocation_id"] = found.invocation_id;
    if (found.highest_usn) out["highest_usn"] = *found.highest_usn;
    out["shows_deleted"] = found.shows_deleted;
    out["more"] = found.more;
    out["filter"] = found.filter;
    std::cout << json::serialize(out) << "\n";
    return exit_of(outcome);
  }
  if (!outcome.server.empty()) {
    std::cout << "server      " << outcome.server << "\n"
              << "TLS         " << found.tls << "\n"
              << "bound as    " << found.bound_as << "\n"
              << "filter      " << found.filter << "\n";
    if (!outcome.error)
      std::cout << "changes     "
                << (!found.highest_usn ? "the server does not count them: every reading is full"
                    : found.shows_deleted
                        ? "incremental"
                        : "incremental; deleted objects are not shown to this account and leave "
                          "with the next full reading")
                << "\n"
                << "found       " << counted(outcome.people, "person", "people") << " with "
                << counted(outcome.entries, "address", "addresses")
                << (found.more ? " on the first page; there are more" : "") << "; "
                << counted(outcome.left_out, "address", "addresses")
                << " in other domains left out\n";
  }
  print_troubles(outcome, kShownProblems);
  if (outcome.error) std::cerr << "waypost directory check: " << outcome.error->message << "\n";
  return exit_of(outcome);
}

int sync(const DirectoryArguments& arguments, routing::DirectoryOptions options) {
  std::error_code ignored;  // writing the snapshot says what is wrong
  const auto folder = std::filesystem::path(options.snapshot).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  const auto snapshot = options.snapshot;
  const auto outcome =
      routing::Directory::create(std::move(options))
          ->synchronise({.full = arguments.full, .confirm_shrink = arguments.confirm_shrink}, {});
  if (arguments.common.json) {
    auto out = to_json(outcome);
    out["full"] = outcome.full;
    out["why_full"] = outcome.why_full;
    out["changed"] = outcome.changed;
    out["added"] = outcome.added;
    out["removed"] = outcome.removed;
    out["retargeted"] = outcome.retargeted;
    out["snapshot"] = snapshot;
    std::cout << json::serialize(out) << "\n";
    return exit_of(outcome);
  }
  print_troubles(outcome, kShownProblems);
  if (outcome.error) {
    std::cerr << "waypost directory sync: " << outcome.error->message << "\n"
              << "nothing was changed: " << snapshot << "\n";
    return exit_of(outcome);
  }
  std::cout << outcome.server << ": "
            << (outcome.full ? "full reading (" + outcome.why_full + ")" : "changes") << " in "
            << seconds_of(outcome.took) << ": " << outcome.added << " added, " << outcome.removed
            << " removed, " << outcome.retargeted << " changed; "
            << counted(outcome.entries, "entry", "entries") << " of "
            << counted(outcome.people, "person", "people") << ", "
            << counted(outcome.left_out, "address", "addresses") << " in other domains left out\n"
            << snapshot << "\n";
  return 0;
}

/// A daemon that runs reads by itself: it is asked to, so that two never write one snapshot.
/// nullopt: no daemon answers.
std::optional<int> sync_by_daemon(const DirectoryArguments& arguments) {
  const json::object request{{"name", arguments.name},
                             {"full", arguments.full},
                             {"confirm_shrink", arguments.confirm_shrink}};
  const auto socket = socket_to_ask(arguments.common);
  if (!socket) {
    std::cerr << "waypost directory sync: " << socket.error().message << "\n";
    return kExitConfig;
  }
  const auto answer =
      admin::request(*socket, "POST", "/v1/directory/sync", json::serialize(request));
  if (!answer) return std::nullopt;
  if (answer->status == 200) {
    std::cout
        << "the daemon reads it now; 'waypost directory status' and its log tell the outcome\n";
    return 0;
  }
  std::cerr << "waypost directory sync: " << text_of(object_of(answer->body), "error") << "\n";
  return kExitUsage;
}

int status(const DirectoryArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost directory status");
  const auto answer = daemon.ask("/v1/directories", {});
  if (!answer) return daemon.exit_code();
  const auto& all = answer->at("directories").as_array();
  for (const auto& value : all) {
    const auto& one = value.as_object();
    if (arguments.common.json) {
      std::cout << json::serialize(one) << "\n";
      continue;
    }
    const auto since = text_of(one, "succeeded_at");
    std::cout << text_of(one, "directory") << "\n  "
              << (since.empty()
                      ? "not read since the daemon started"
                      : "read at " + local_time(since) + " from " + text_of(one, "server") + ": " +
                            counted(count_of(one, "entries"), "entry", "entries") + " of " +
                            counted(count_of(one, "people"), "person", "people") + ", " +
                            counted(count_of(one, "problems"), "problem"))
              << "\n";
    if (const auto error = text_of(one, "error"); !error.empty())
      std::cout << "  last attempt: " << error << "\n";
  }
  if (all.empty() && !arguments.common.json) std::cout << "no directory is configured\n";
  return all.empty() ? kExitNo : 0;
}

void add_common(CLI::App* command, DirectoryArguments& arguments) {
  command->add_option("name", arguments.name, "Name of the directory in the configuration")
      ->required();
  command->add_option("-c,--config", arguments.common.config_file, "Configuration file")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
  command->add_flag("--json", arguments.common.json, "Answer as JSON");
}

}  // namespace

void add_directory_commands(CLI::App& app, DirectoryArguments& arguments, int& exit_code) {
  auto* directory = app.add_subcommand("directory", "LDAP and Active Directory");
  directory->require_subcommand(1);
  auto* look = directory->add_subcommand(
      "check", "Connect, log in, read one page and say what was found; changes nothing");
  add_common(look, arguments);
  look->callback([&] {
    if (auto options = find(arguments, exit_code))
      exit_code = check(arguments, std::move(*options));
  });
  auto* read = directory->add_subcommand("sync", "Read what has changed and write the snapshot");
  add_common(read, arguments);
  read->add_flag("--full", arguments.full, "Read everything again");
  read->add_flag("--confirm-shrink", arguments.confirm_shrink,
                 "Take the result even if many entries leave");
  read->callback([&] {
    auto options = find(arguments, exit_code);
    if (!options) return;
    const auto asked = sync_by_daemon(arguments);
    exit_code = asked ? *asked : sync(arguments, std::move(*options));
  });
  auto* told =
      directory->add_subcommand("status", "When the daemon has read each, and what it found");
  told->add_option("-c,--config", arguments.common.config_file, "Configuration file")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
  told->add_option("--socket", arguments.common.socket,
                   "Admin socket of the daemon; default: as the configuration says");
  told->add_flag("--json", arguments.common.json, "Answer as JSON, one object a line");
  told->callback([&] { exit_code = status(arguments); });
}

}  // namespace waypost::app
