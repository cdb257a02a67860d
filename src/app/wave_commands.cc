#include "app/wave_commands.h"

#include "waypost/base/counted.h"

#include "app/address_list.h"
#include "app/answers.h"
#include "app/daemon_calls.h"
#include "app/wave_output.h"

#include <algorithm>
#include <iostream>
#include <map>

namespace waypost::app {
namespace {

namespace json = boost::json;

json::object request_of(const WaveArguments& arguments, const std::string& verb) {
  json::object request{{"wave", arguments.wave}};
  if (!verb.empty()) request["verb"] = verb;
  if (!arguments.at.empty()) request["at"] = arguments.at;
  if (!arguments.reason.empty()) request["reason"] = arguments.reason;
  if (!arguments.members.empty()) request["members"] = json::value_from(arguments.members);
  if (arguments.address_only) request["address_only"] = true;
  return request;
}

bool count_queued(DaemonCalls& daemon, const std::string& wave, WaveQueued& queued) {
  return daemon.walk("/v1/queue/list", {{"wave", wave}}, [&](const json::object& answer) {
    for (const auto& message : answer.at("messages").as_array()) {
      ++queued.messages;
      for (const auto& one : message.at("open").as_array()) {
        ++queued.recipients;
        ++queued.states[text_of(one.as_object(), "state")];
      }
    }
  });
}

int list(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave list");
  const auto answer = daemon.ask("/v1/waves", {});
  if (!answer) return daemon.exit_code();
  const auto& waves = answer->at("waves").as_array();
  if (arguments.common.json) {
    for (const auto& wave : waves) std::cout << json::serialize(wave) << "\n";
    return waves.empty() ? kExitNo : 0;
  }
  // Only of waves whose mail is held: each costs a walk through the queue.
  std::map<std::string, std::uint64_t> held;
  for (const auto& value : waves) {
    const auto& wave = value.as_object();
    if (text_of(wave, "state") != "migrating") continue;
    WaveQueued queued;
    if (!count_queued(daemon, text_of(wave, "wave"), queued)) return daemon.exit_code();
    held[text_of(wave, "wave")] = queued.states["held"];
  }
  print_wave_list(waves, held);
  return waves.empty() ? kExitNo : 0;
}

int show(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave show");
  auto answer = daemon.ask("/v1/wave/show", request_of(arguments, {}));
  if (!answer) return daemon.exit_code();
  WaveQueued queued;
  if (!count_queued(daemon, arguments.wave, queued)) return daemon.exit_code();
  if (arguments.common.json) {
    (*answer)["queued"] = queued.to_json();
    std::cout << json::serialize(*answer) << "\n";
    return 0;
  }
  print_wave(*answer, queued);
  return 0;
}

int members(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave members");
  std::vector<json::object> found;
  const bool good =
      daemon.walk("/v1/wave/members", request_of(arguments, {}), [&](const json::object& answer) {
        for (const auto& value : answer.at("members").as_array()) {
          const auto& member = value.as_object();
          if (arguments.state.empty() || text_of(member, "state") == arguments.state)
            found.push_back(member);
        }
      });
  if (!good) return daemon.exit_code();
  std::sort(found.begin(), found.end(), [](const json::object& one, const json::object& other) {
    const auto order = [](const json::object& member) {
      return std::pair(text_of(member, "person"), text_of(member, "address"));
    };
    return order(one) < order(other);
  });
  if (arguments.common.json)
    for (const auto& member : found) std::cout << json::serialize(member) << "\n";
  else
    print_wave_members(found);
  return found.empty() ? kExitNo : 0;
}

/// 0: something would change, and nothing stands against it. 1: nothing would, or conflicts.
int plan(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave plan");
  json::object request = request_of(arguments, arguments.verb);
  request["names"] = arguments.names;
  auto answer = daemon.ask("/v1/wave/plan", request);
  if (!answer) return daemon.exit_code();
  WaveQueued queued;
  if (!count_queued(daemon, arguments.wave, queued)) return daemon.exit_code();
  if (arguments.common.json) {
    (*answer)["queued"] = queued.to_json();
    std::cout << json::serialize(*answer) << "\n";
  } else {
    print_wave_plan(*answer, queued, arguments.at);
  }
  return count_of(*answer, "changed") == 0 || count_of(*answer, "conflict_count") > 0 ? kExitNo : 0;
}

/// What has become of queued mail, and what could not be moved and why.
void print_moves(const json::object& moves) {
  const auto line = [&](std::string_view key, const char* words) {
    const auto count = count_of(moves, key);
    if (count > 0) std::cout << "  " << counted(count, "recipient") << " " << words << "\n";
  };
  line("let_go", "of queued mail: sent now, where routing sends new mail");
  line("nowhere", "of queued mail: routing has no place for them now; they wait for one");
  line("in_delivery", "in delivery at this moment; asked again if not delivered");
  line("rerouted", "rerouted by an operator: left on that way");
  line("suspended", "behind a suspension: wait until 'waypost queue resume'");
  line("held", "held");
  if (const auto* all = moves.if_contains("all");
      all != nullptr && all->is_bool() && !all->as_bool())
    std::cout << "  (so far; the rest of the queue is still being asked)\n";
}

int act(const WaveArguments& arguments, const std::string& verb) {
  DaemonCalls daemon(arguments.common, "waypost wave " + verb);
  WaveQueued queued;
  if (!count_queued(daemon, arguments.wave, queued)) return daemon.exit_code();
  json::object request = request_of(arguments, verb);
  request["queued"] = queued.recipients;
  const auto answer = daemon.act("/v1/wave/command", request);
  if (!answer) return daemon.exit_code();
  if (arguments.common.json)
    std::cout << json::serialize(*answer) << "\n";
  else {
    print_wave_outcome(*answer, queued, arguments.at);
    if (const auto* moves = answer->if_contains("moves")) print_moves(moves->as_object());
  }
  return answer->contains("changed") && !flag_of(*answer, "changed") ? kExitNo : 0;
}

/// The daemon says what was lost; here is what is left.
int accept_journal(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave accept-journal");
  const auto answer = daemon.act("/v1/wave/accept-journal", json::object{{"accept", true}});
  if (!answer) return daemon.exit_code();
  if (arguments.common.json) {
    std::cout << json::serialize(*answer) << "\n";
  } else if (!flag_of(*answer, "changed")) {
    std::cout << text_of(*answer, "why") << "\n";
  } else {
    std::cout << "waves.journal: "
              << counted(count_of(*answer, "commands"), "command is", "commands are")
              << " taken for all that was said";
    if (const auto kept = text_of(*answer, "kept_as"); !kept.empty())
      std::cout << "; the damaged file is kept as " << kept;
    std::cout << "\n'waypost wave list' shows what each wave is now\n";
  }
  return flag_of(*answer, "changed") ? 0 : kExitNo;
}

void add_common(CLI::App* command, WaveArguments& arguments, bool wants_wave) {
  command->add_option("-c,--config", arguments.common.config_file, "Configuration file")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
  command->add_option("--socket", arguments.common.socket,
                      "Admin socket of the daemon; default: as the configuration says");
  command->add_flag("--json", arguments.common.json, "Answer as JSON, one object a line");
  if (wants_wave) command->add_option("wave", arguments.wave, "Its name")->required();
}

/// `--member -`. False: nobody stands there, which must not mean everybody.
bool read_members(WaveArguments& arguments) {
  if (arguments.members.empty()) return true;
  arguments.members = with_standard_input(arguments.members);
  if (!arguments.members.empty()) return true;
  std::cerr << "waypost wave: --member -: standard input has no address; nothing was done\n";
  return false;
}

void add_change(CLI::App* command, WaveArguments& arguments) {
  command->add_option("--at", arguments.at,
                      "Not now but then: \"2026-12-01 02:00 Europe/Berlin\", "
                      "2026-12-01T02:00:00Z, +2h");
  command->add_option(
      "--member", arguments.members,
      "Only these people, each with all addresses that have the same target; may be "
      "given often; '-': those on standard input, one a line");
  command->add_flag("--address-only", arguments.address_only,
                    "With --member: only the addresses that are given");
  command->add_option("--reason", arguments.reason, "For the journal and the tracking log");
}

}  // namespace

void add_wave_commands(CLI::App& app, WaveArguments& arguments, int& exit_code) {
  auto* all = app.add_subcommand("wave", "People who move together: look, plan, hold, activate");
  all->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, bool wants_wave,
                       int (*what)(const WaveArguments&)) {
    auto* command = all->add_subcommand(name, help);
    add_common(command, arguments, wants_wave);
    command->callback([&arguments, &exit_code, what] {
      exit_code = read_members(arguments) ? what(arguments) : kExitUsage;
    });
    return command;
  };
  add("list", "Every wave, its state and what comes next", false, list);
  add("accept-journal",
      "After damage to waves.journal: take what can be read for all that was said", false,
      accept_journal);
  add("show", "One wave: state, people, queued mail, and its history", true, show);
  add("members", "Its people, and where each goes", true, members)
      ->add_option("--state", arguments.state, "Only those who are in this state")
      ->check(CLI::IsMember({"pending", "migrating", "active", "rolled_back"}));
  auto* planned =
      add("plan", "What a command would change: people, queued mail, conflicts", true, plan);
  planned->add_option("verb", arguments.verb, "hold, activate, rollback or reset")
      ->required()
      ->check(CLI::IsMember({"hold", "activate", "rollback", "reset"}));
  planned->add_option("--names", arguments.names, "Show so many people by name")
      ->capture_default_str();
  add_change(planned, arguments);
  const auto change = [&](const char* verb, const char* help, bool takes_more) {
    auto* command = all->add_subcommand(verb, help);
    add_common(command, arguments, true);
    if (takes_more)
      add_change(command, arguments);
    else
      command->add_option("--reason", arguments.reason, "For the journal and the tracking log");
    command->callback([&arguments, &exit_code, name = std::string(verb)] {
      exit_code = read_members(arguments) ? act(arguments, name) : kExitUsage;
    });
  };
  change("hold", "migrating: mail is accepted and held", true);
  change("activate", "active: mail goes to the new system, held mail first", true);
  change("rollback", "rolled_back: mail, queued and held too, goes where it went before", true);
  change("reset", "pending again, as if it had never begun", true);
  change("shadow", "While pending: log the new route of each message, use the old one", false);
  change("unshadow", "End shadow mode", false);
  change("cancel", "Drop what is scheduled", false);
}

}  // namespace waypost::app
