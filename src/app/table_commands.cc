#include "app/table_commands.h"

#include "waypost/base/counted.h"
#include "waypost/config/config.h"
#include "waypost/routing/table_facts.h"

#include "app/address_list.h"
#include "app/answers.h"
#include "app/daemon_calls.h"
#include "app/table_size_file.h"
#include "app/times.h"
#include "app/waves_on_disk.h"

#include <algorithm>
#include <iostream>
#include <utility>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr int kExitRefused = 2;
constexpr std::chrono::seconds kLoadPatience{600};

/// Files given by hand stand in for all sources that the configuration names.
void replace_sources(routing::Options& options, const std::vector<std::string>& files) {
  if (files.empty()) return;
  options.sources.clear();
  for (const auto& file : files) options.sources.emplace_back().paths = {file};
}

/// Where `-` was given: what was read from there is not called by a path of this process.
void name_standard_input(std::vector<routing::Problem>& problems, const std::string& path) {
  if (path.empty()) return;
  const auto rename = [&](std::string& text) {
    for (auto at = text.find(path); at != std::string::npos; at = text.find(path, at))
      text.replace(at, path.size(), "standard input");
  };
  for (auto& problem : problems) {
    rename(problem.file);
    rename(problem.message);
  }
}

/// What has happened to the table since it was good last, if that may be known here.
void add_refusal(std::vector<routing::Problem>& problems, const config::Config& config,
                 const routing::Router& router) {
  const auto path = table_size_path(config);
  const auto kept = read_table_size(path);
  if (kept.may_not_be_read)
    std::cerr << path
              << ": may not be read by this user; whether the table has shrunk since it was "
              << "loaded last is left out here\n";
  const auto size = routing::size_of(router, Clock::system().now());
  if (const auto why = refusal_at_start(kept, size, router); !why.empty())
    problems.push_back(routing::Problem{true, {}, 0, 0, std::string(kNotTaken) + why});
}

int check_table(const TableArguments& arguments) {
  const auto loaded = config::load_file(arguments.common.config_file);
  if (!loaded.usable()) {
    for (const auto& one : loaded.diagnostics) std::cerr << one.to_string() << "\n";
    std::cerr << "waypost table check: the configuration has errors\n";
    return kExitConfig;
  }
  routing::Options options = loaded.config.routing;
  std::vector<std::string> files = arguments.files;
  std::string standard_input;
  if (const auto dash = std::find(files.begin(), files.end(), "-"); dash != files.end()) {
    auto path = standard_input_as_file();
    if (!path) {
      std::cerr << "waypost table check: " << path.error().message << "\n";
      return kExitFailed;
    }
    *dash = standard_input = std::move(*path);
  }
  replace_sources(options, files);
  std::vector<routing::Problem> problems;
  const auto router = routing::Router::load(options, problems, waves_on_disk(loaded.config));
  routing::TableStats stats;
  if (router) {
    for (auto& finding : routing::lint(**router)) problems.push_back(std::move(finding));
    stats = routing::table_stats(**router, Clock::system().now());
    if (auto lost = routing::nowhere_to_wait(stats, options)) problems.push_back(std::move(*lost));
    // Files given by hand may be any part of the table.
    if (files.empty()) add_refusal(problems, loaded.config, **router);
  }
  name_standard_input(problems, standard_input);
  const auto errors = static_cast<std::size_t>(std::count_if(
      problems.begin(), problems.end(), [](const auto& problem) { return problem.error; }));
  const std::size_t warnings = problems.size() - errors;
  const bool usable = router.has_value() && errors == 0;
  const std::size_t entries = router ? (*router)->table().size() : 0;
  if (arguments.common.json) {
    json::array all;
    for (const auto& problem : problems)
      all.emplace_back(json::object{{"level", problem.error ? "error" : "warning"},
                                    {"file", problem.file},
                                    {"line", problem.line},
                                    {"column", problem.column},
                                    {"message", problem.message}});
    std::cout << json::serialize(json::object{{"usable", usable},
                                              {"entries", entries},
                                              {"by_state", json::value_from(stats.by_state)},
                                              {"by_wave", json::value_from(stats.by_wave)},
                                              {"errors", errors},
                                              {"warnings", warnings},
                                              {"problems", std::move(all)}})
              << "\n";
  } else {
    for (const auto& problem : problems) std::cerr << problem.to_string() << "\n";
    if (usable) {
      std::cout << counted(warnings, "warning") << ": good\n" << routing::summary_of(stats) << "\n";
    } else {
      std::cout << counted(errors, "error") << ", " << counted(warnings, "warning")
                << ": a reload would refuse this table and keep the one in use\n";
    }
  }
  if (!usable) return kExitRefused;
  return arguments.strict && warnings > 0 ? kExitNo : 0;
}

void print_diff(const json::object& diff) {
  const auto place = [](const json::object& one) { return "  (" + text_of(one, "place") + ")\n"; };
  for (const auto& value : diff.at("added").as_array()) {
    const auto& one = value.as_object();
    std::cout << "+ " << text_of(one, "address") << " -> " << text_of(one, "target") << place(one);
  }
  for (const auto& value : diff.at("removed").as_array()) {
    const auto& one = value.as_object();
    std::cout << "- " << text_of(one, "address") << " -> " << text_of(one, "target") << place(one);
  }
  for (const auto& value : diff.at("changed").as_array()) {
    const auto& one = value.as_object();
    std::cout << "~ " << text_of(one, "address");
    for (const auto& [was, now] :
         {std::pair{"was", "target"}, {"was_state", "state"}, {"was_wave", "wave"}}) {
      if (text_of(one, was) != text_of(one, now))
        std::cout << "  " << now << " " << text_of(one, was) << " -> " << text_of(one, now);
    }
    std::cout << place(one);
  }
}

int diff(const TableArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost table diff");
  const auto answer =
      daemon.ask("/v1/table/diff", json::object{{"names", arguments.names}}, kLoadPatience);
  if (!answer) return daemon.exit_code();
  const auto& counts = answer->at("counts").as_object();
  const auto suspicion = text_of(*answer, "suspicion");
  if (arguments.common.json) {
    std::cout << json::serialize(*answer) << "\n";
  } else {
    print_diff(*answer);
    for (const auto& problem : answer->at("problems").as_array())
      std::cerr << problem.as_string().c_str() << "\n";
    std::cout << text_of(*answer, "summary") << "; "
              << counted(count_of(counts, "entries"), "entry", "entries") << " then\n";
    if (!suspicion.empty()) std::cout << "a reload would refuse it: " << suspicion << "\n";
  }
  if (!suspicion.empty()) return kExitRefused;
  const bool same =
      count_of(counts, "added") + count_of(counts, "removed") + count_of(counts, "changed") == 0;
  return same ? 0 : kExitNo;
}

int stats(const TableArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost table stats");
  const auto answer = daemon.ask("/v1/table/stats", {}, kLoadPatience);
  if (!answer) return daemon.exit_code();
  if (arguments.common.json) {
    std::cout << json::serialize(*answer) << "\n";
    return 0;
  }
  std::cout << "entries        " << count_of(*answer, "entries") << ", "
            << count_of(*answer, "with_copies") << " with copies, "
            << count_of(*answer, "memory_octets") / 1024 << " KiB\n"
            << "loaded at      " << local_time(text_of(*answer, "loaded_at")) << "\n";
  if (const auto trouble = text_of(*answer, "trouble"); !trouble.empty())
    std::cout << "trouble        " << trouble << "\n";
  for (const auto& [label, key] : {std::pair{"by source", "by_source"},
                                   {"by state", "by_state"},
                                   {"by wave", "by_wave"},
                                   {"by domain", "by_domain"},
                                   {"by target", "by_target_domain"}}) {
    std::cout << label << "\n";
    for (const auto& [name, count] : answer->at(key).as_object())
      std::cout << "  " << json::serialize(count) << "\t"
                << (name.empty() ? std::string_view("(none)") : std::string_view(name)) << "\n";
  }
  return 0;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n#") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

/// As a table source again: what has no state of its own keeps none, so that its wave goes on to
/// count.
void print_entry(const json::object& entry) {
  std::string target = text_of(entry, "target");
  if (const auto* copies = entry.if_contains("copies"))
    for (const auto& copy : copies->as_array()) target += ";" + std::string(copy.as_string());
  const bool plain = !flag_of(entry, "own_state") && !text_of(entry, "wave").empty();
  std::cout << csv_field(text_of(entry, "address")) << "," << csv_field(target) << ","
            << (plain ? std::string() : text_of(entry, "state")) << ","
            << csv_field(text_of(entry, "wave")) << "\n";
}

int export_table(const TableArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost table export");
  bool begun = arguments.common.json;
  const bool good =
      daemon.walk("/v1/table/entries", json::object{{"from", 0}}, [&](const json::object& answer) {
        if (!std::exchange(begun, true)) std::cout << "address,target,state,wave\n";
        for (const auto& entry : answer.at("entries").as_array()) {
          if (arguments.common.json)
            std::cout << json::serialize(entry) << "\n";
          else
            print_entry(entry.as_object());
        }
      });
  return good ? 0 : daemon.exit_code();
}

int who(const TableArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost table who");
  const auto answer = daemon.ask("/v1/table/who", json::object{{"address", arguments.address}});
  if (!answer) return daemon.exit_code();
  const auto& entries = answer->at("entries").as_array();
  for (const auto& value : entries) {
    const auto& entry = value.as_object();
    if (arguments.common.json) {
      std::cout << json::serialize(entry) << "\n";
      continue;
    }
    std::cout << text_of(entry, "address") << " -> " << text_of(entry, "target");
    if (const auto* copies = entry.if_contains("copies"))
      for (const auto& copy : copies->as_array())
        std::cout << ", copy to " << copy.as_string().c_str();
    std::cout << "  " << text_of(entry, "state");
    if (const auto wave = text_of(entry, "wave"); !wave.empty()) std::cout << ", wave " << wave;
    std::cout << "  (" << text_of(entry, "place") << ")\n";
  }
  if (entries.empty() && !arguments.common.json)
    std::cout << "no entry has '" << arguments.address << "' as its address or target\n";
  return entries.empty() ? kExitNo : 0;
}

}  // namespace

void add_table_commands(CLI::App& app, TableArguments& arguments, int& exit_code) {
  auto* all = app.add_subcommand("table", "The routing table: check, compare, look");
  all->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*what)(const TableArguments&)) {
    auto* command = all->add_subcommand(name, help);
    command->add_option("-c,--config", arguments.common.config_file, "Configuration file")
        ->envname("WAYPOST_CONFIG")
        ->capture_default_str();
    command->add_flag("--json", arguments.common.json, "Answer as JSON");
    if (what != check_table)
      command->add_option("--socket", arguments.common.socket,
                          "Admin socket of the daemon; default: as the configuration says");
    command->callback([&arguments, &exit_code, what] { exit_code = what(arguments); });
    return command;
  };
  auto* checked =
      add("check", "Read all sources as a reload would, and say what looks wrong; needs no daemon",
          check_table);
  checked->add_option("file", arguments.files,
                      "These CSV files instead of the configured sources; '-': standard input");
  checked->add_flag("--strict", arguments.strict, "Exit 1 on warnings");
  add("diff", "What a reload would change: exit 0 nothing, 1 something, 2 it would be refused",
      diff)
      ->add_option("--names", arguments.names, "Show so many of each kind by name");
  add("stats", "How many entries, by source, state, wave and domain", stats);
  add("export", "The table that runs, as CSV that can be a source again", export_table);
  add("who", "Every entry of the person behind an address or target", who)
      ->add_option("address", arguments.address, "For example bob@corp.example")
      ->required();
}

}  // namespace waypost::app
