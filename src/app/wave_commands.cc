#include "app/wave_commands.h"

#include "app/answers.h"
#include "app/daemon_calls.h"

#include <iomanip>
#include <iostream>

namespace waypost::app {
namespace {

namespace json = boost::json;

std::string sentence_of(const json::object& change) {
  std::string words = text_of(change, "to");
  if (const auto at = text_of(change, "at"); !at.empty()) words += " from " + at;
  if (const auto by = text_of(change, "by"); !by.empty()) words += ", said by " + by;
  if (const auto reason = text_of(change, "reason"); !reason.empty()) words += " (" + reason + ")";
  return words;
}

json::object request_of(const WaveArguments& arguments, const std::string& verb) {
  json::object request{{"wave", arguments.wave}};
  if (!verb.empty()) request["verb"] = verb;
  if (!arguments.at.empty()) request["at"] = arguments.at;
  if (!arguments.reason.empty()) request["reason"] = arguments.reason;
  if (!arguments.members.empty()) request["members"] = json::value_from(arguments.members);
  return request;
}

/// Recipients of this wave in the queue, by state.
struct Queued {
  std::uint64_t messages = 0, recipients = 0;
  std::map<std::string, std::uint64_t> states;

  json::object to_json() const {
    return {
        {"messages", messages}, {"recipients", recipients}, {"states", json::value_from(states)}};
  }
  std::string words() const {
    if (recipients == 0) return "nothing";
    std::string text =
        std::to_string(recipients) + " recipients in " + std::to_string(messages) + " messages";
    const char* separator = ": ";
    for (const auto& [state, count] : states) {
      text += separator + std::to_string(count) + " " + state;
      separator = ", ";
    }
    return text;
  }
};

bool count_queued(DaemonCalls& daemon, const std::string& wave, Queued& queued) {
  const json::object request{{"verb", "flush"}, {"selector", json::object{{"wave", wave}}}};
  return daemon.walk("/v1/queue/list", request, [&](const json::object& answer) {
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
  if (waves.empty()) std::cout << "no entry of the table is of a wave, and none is configured\n";
  for (const auto& value : waves) {
    const auto& wave = value.as_object();
    std::cout << std::left << std::setw(24) << text_of(wave, "wave") << " " << std::setw(12)
              << text_of(wave, "state") << " " << std::right << std::setw(8)
              << count_of(wave, "people") << " people";
    if (flag_of(wave, "shadow")) std::cout << "  shadow";
    if (count_of(wave, "exceptions") > 0)
      std::cout << "  " << count_of(wave, "exceptions") << " by name";
    if (const auto* next = wave.if_contains("next"))
      std::cout << "  " << sentence_of(next->as_object());
    std::cout << "\n";
  }
  return waves.empty() ? kExitNo : 0;
}

void print_counts(const char* label, const json::object& counts) {
  std::cout << label;
  const char* separator = "";
  for (const auto& [name, count] : counts) {
    std::cout << separator << json::serialize(count) << " " << std::string_view(name);
    separator = ", ";
  }
  std::cout << "\n";
}

void print_wave(const json::object& wave) {
  std::cout << "wave        " << text_of(wave, "wave") << "\n"
            << "state       " << text_of(wave, "state") << "\n";
  if (const auto* since = wave.if_contains("since"))
    std::cout << "            " << sentence_of(since->as_object()) << "\n";
  if (const auto* next = wave.if_contains("next"))
    std::cout << "next        " << sentence_of(next->as_object()) << "\n";
  if (flag_of(wave, "shadow")) std::cout << "shadow      yes: the new route is logged, not used\n";
  if (flag_of(wave, "schedule_replaced"))
    std::cout << "schedule    that of the configuration is replaced by what was said since\n";
  std::cout << "people      " << count_of(wave, "people") << "\n";
  print_counts("states      ", wave.at("states").as_object());
  if (count_of(wave, "with_own_state") > 0)
    std::cout << "            " << count_of(wave, "with_own_state")
              << " have a state of their own in their source\n";
  if (const auto* exceptions = wave.if_contains("exception_states"))
    for (const auto& [address, state] : exceptions->as_object())
      std::cout << "by name     " << std::string_view(address) << " is "
                << state.as_string().c_str() << "\n";
  print_counts("sources     ", wave.at("sources").as_object());
}

int show(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave show");
  auto answer = daemon.ask("/v1/wave/show", request_of(arguments, {}));
  if (!answer) return daemon.exit_code();
  Queued queued;
  if (!count_queued(daemon, arguments.wave, queued)) return daemon.exit_code();
  if (arguments.common.json) {
    (*answer)["queued"] = queued.to_json();
    std::cout << json::serialize(*answer) << "\n";
    return 0;
  }
  print_wave(*answer);
  std::cout << "queued      " << queued.words() << "\nhistory\n";
  for (const auto& value : answer->at("history").as_array()) {
    const auto& said = value.as_object();
    std::cout << "  " << text_of(said, "said_at") << "  " << text_of(said, "verb");
    if (const auto at = text_of(said, "at"); !at.empty()) std::cout << " at " << at;
    std::cout << ", " << count_of(said, "people") << " people, " << count_of(said, "queued")
              << " queued, by " << text_of(said, "by");
    if (const auto reason = text_of(said, "reason"); !reason.empty())
      std::cout << " (" << reason << ")";
    std::cout << "\n";
  }
  if (answer->at("history").as_array().empty()) std::cout << "  nobody has said anything yet\n";
  return 0;
}

int members(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave members");
  std::uint64_t shown = 0;
  const bool good =
      daemon.walk("/v1/wave/members", request_of(arguments, {}), [&](const json::object& answer) {
        for (const auto& value : answer.at("members").as_array()) {
          const auto& member = value.as_object();
          if (!arguments.state.empty() && text_of(member, "state") != arguments.state) continue;
          ++shown;
          if (arguments.common.json) {
            std::cout << json::serialize(member) << "\n";
            continue;
          }
          std::cout << text_of(member, "state") << (flag_of(member, "own_state") ? "*  " : "   ")
                    << text_of(member, "address") << " -> " << text_of(member, "target") << "  "
                    << text_of(member, "place") << "\n";
        }
      });
  if (!good) return daemon.exit_code();
  if (!arguments.common.json)
    std::cout << shown << " people (* has a state of its own in its source)\n";
  return shown == 0 ? kExitNo : 0;
}

void print_plan(const json::object& plan, const Queued& queued) {
  std::cout << "wave        " << text_of(plan, "wave") << ": " << text_of(plan, "verb")
            << ", as of " << text_of(plan, "at") << "\n"
            << "people      " << count_of(plan, "people") << ", of whom "
            << count_of(plan, "changed") << " would change\n";
  for (const auto& value : plan.at("moves").as_array()) {
    const auto& move = value.as_object();
    const bool same = text_of(move, "from") == text_of(move, "to");
    std::cout << "            " << count_of(move, "people") << " "
              << (same ? "stay " + text_of(move, "from")
                       : text_of(move, "from") + " -> " + text_of(move, "to"))
              << "\n";
  }
  std::cout << "queued      " << queued.words() << "\n"
            << "conflicts   " << count_of(plan, "conflict_count") << "\n";
  for (const auto& one : plan.at("conflicts").as_array())
    std::cout << "  " << one.as_string().c_str() << "\n";
  const auto& changes = plan.at("changes").as_array();
  if (changes.empty()) return;
  std::cout << "changes     "
            << (changes.size() < count_of(plan, "changed")
                    ? "the first " + std::to_string(changes.size()) + "; --names N shows more\n"
                    : std::string("\n"));
  for (const auto& value : changes) {
    const auto& change = value.as_object();
    std::cout << "  " << text_of(change, "address") << ": " << text_of(change, "from") << " -> "
              << text_of(change, "to");
    if (const auto hop = text_of(change, "next_hop"); !hop.empty())
      std::cout << ", to " << text_of(change, "target") << " by " << hop;
    std::cout << "\n";
  }
}

/// 0: something would change, and nothing stands against it. 1: nothing would, or conflicts.
int plan(const WaveArguments& arguments) {
  DaemonCalls daemon(arguments.common, "waypost wave plan");
  json::object request = request_of(arguments, arguments.verb);
  request["names"] = arguments.names;
  auto answer = daemon.ask("/v1/wave/plan", request);
  if (!answer) return daemon.exit_code();
  Queued queued;
  if (!count_queued(daemon, arguments.wave, queued)) return daemon.exit_code();
  if (arguments.common.json) {
    (*answer)["queued"] = queued.to_json();
    std::cout << json::serialize(*answer) << "\n";
  } else {
    print_plan(*answer, queued);
  }
  return count_of(*answer, "changed") == 0 || count_of(*answer, "conflict_count") > 0 ? kExitNo : 0;
}

/// What has become of queued mail, and what could not be moved and why.
void print_moves(const json::object& moves) {
  const auto line = [&](std::string_view key, const char* words) {
    const auto count = count_of(moves, key);
    if (count > 0)
      std::cout << "  " << count << (count == 1 ? " recipient " : " recipients ") << words << "\n";
  };
  line("let_go", "of queued mail: sent now, where routing sends new mail");
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
  Queued queued;
  if (!count_queued(daemon, arguments.wave, queued)) return daemon.exit_code();
  json::object request = request_of(arguments, verb);
  request["queued"] = queued.recipients;
  const auto answer = daemon.ask("/v1/wave/command", request);
  if (!answer) return daemon.exit_code();
  if (arguments.common.json) {
    std::cout << json::serialize(*answer) << "\n";
    return 0;
  }
  std::cout << text_of(*answer, "wave") << ": " << text_of(*answer, "verb");
  if (const auto at = text_of(*answer, "at"); !at.empty()) {
    std::cout << " at " << at << "; until then " << text_of(*answer, "state");
  } else if (arguments.members.empty()) {
    std::cout << ": " << text_of(*answer, "state_before") << " -> " << text_of(*answer, "state");
  }
  std::cout << ", " << count_of(*answer, "people")
            << (arguments.members.empty() ? " people" : " people by name")
            << "; queued: " << queued.words() << "\n";
  if (const auto* moves = answer->if_contains("moves")) print_moves(moves->as_object());
  return 0;
}

void add_common(CLI::App* command, WaveArguments& arguments, bool wants_wave) {
  command->add_option("-c,--config", arguments.common.config_file, "Configuration file")
      ->capture_default_str();
  command->add_option("--socket", arguments.common.socket,
                      "Admin socket of the daemon; default: as the configuration says");
  command->add_flag("--json", arguments.common.json, "Answer as JSON, one object a line");
  if (wants_wave) command->add_option("wave", arguments.wave, "Its name")->required();
}

void add_change(CLI::App* command, WaveArguments& arguments) {
  command->add_option("--at", arguments.at,
                      "Not now but then: 2026-12-01T02:00:00Z, \"2026-12-01 02:00 Europe/Berlin\", "
                      "+2h");
  command->add_option("--member", arguments.members, "Only these people; may be given often");
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
    command->callback([&arguments, &exit_code, what] { exit_code = what(arguments); });
    return command;
  };
  add("list", "Every wave, its state and what comes next", false, list);
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
    command->callback(
        [&arguments, &exit_code, name = std::string(verb)] { exit_code = act(arguments, name); });
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
