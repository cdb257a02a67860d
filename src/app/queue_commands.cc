#include "app/queue_commands.h"

#include "waypost/base/counted.h"
#include "waypost/config/config.h"
#include "waypost/queue/control_json.h"

#include "app/answers.h"
#include "app/daemon_calls.h"
#include "app/queue_export.h"
#include "app/times.h"

#include <boost/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <set>

namespace waypost::app {
namespace {

namespace json = boost::json;
using queue::Verb;
constexpr int kExitNothing = 1;
constexpr const char* kWho = "waypost queue";

std::uint64_t whole(std::int64_t n) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(n, 0));
}

std::int64_t number_of(const json::object& object, std::string_view key) {
  const auto* found = object.if_contains(key);
  return found != nullptr && found->is_number() ? found->to_number<std::int64_t>() : 0;
}

WallTime wall_now() { return Clock::system().now(); }

std::int64_t seconds_between(WallTime from, WallTime to) {
  return std::chrono::duration_cast<std::chrono::seconds>(to - from).count();
}

std::string span_words(std::int64_t seconds) {
  const auto with = [](std::int64_t n, const char* unit) { return std::to_string(n) + unit; };
  if (seconds < 120) return with(seconds, "s");
  if (seconds < 7200) return with(seconds / 60, "m");
  if (seconds < 172'800) return with(seconds / 3600, "h");
  return with(seconds / 86'400, "d");
}

std::string octets_words(std::int64_t octets) {
  if (octets < 10'000) return std::to_string(octets) + " B";
  if (octets < 10'000'000) return std::to_string(octets / 1024) + " KiB";
  return std::to_string(octets / (1024 * 1024)) + " MiB";
}

Result<queue::Selector> selector_of(const QueueArguments& arguments) {
  queue::Selector selector;
  for (const std::string& text : arguments.ids) {
    const auto id = QueueId::parse(text);
    if (!id) return fail(ErrorKind::invalid, "'" + text + "': " + id.error().message);
    selector.ids.push_back(*id);
  }
  selector.next_hop = arguments.next_hop;
  selector.sender = arguments.sender;
  selector.recipient = arguments.recipient;
  selector.domain = arguments.domain;
  selector.wave = arguments.wave;
  selector.reply = arguments.reply;
  for (const auto state :
       {queue::RecipientState::ready, queue::RecipientState::active, queue::RecipientState::waiting,
        queue::RecipientState::held, queue::RecipientState::ended}) {
    if (to_string(state) == arguments.state) selector.state = state;
  }
  for (const auto& [text, field] : {std::pair{&arguments.older, &selector.older_than},
                                    std::pair{&arguments.younger, &selector.younger_than}}) {
    if (text->empty()) continue;
    const auto span = config::parse_duration(*text);
    if (!span) return fail(ErrorKind::invalid, "'" + *text + "': " + span.error().message);
    if (*span <= Duration::zero())
      return fail(ErrorKind::invalid, "'" + *text + "': an age is more than 0, as in 30m");
    *field = *span;
  }
  return selector;
}

/// What is selected, as the admin API names it; nothing is said as "all".
json::object selection_of(const queue::Command& command) {
  json::object selection = json::parse(queue::to_json(command.selector)).as_object();
  if (selection.empty()) selection["all"] = true;
  return selection;
}

/// What POST takes: the selection is a group of its own.
json::object request_of(const queue::Command& command) {
  json::object request;
  if (command.selector.everything())
    request["all"] = true;
  else
    request["selector"] = selection_of(command);
  if (!command.reason.empty()) request["reason"] = command.reason;
  return request;
}

void print_recipients(const json::object& message, WallTime now) {
  for (const auto& value : message.at("open").as_array()) {
    const json::object& one = value.as_object();
    std::cout << "    " << text_of(one, "state") << "  " << text_of(one, "address");
    const bool known = !text_of(one, "address").empty() && text_of(one, "state") != "ended";
    if (!text_of(one, "target").empty())
      std::cout << " -> " << text_of(one, "target");
    else if (known)
      std::cout << " -> nowhere yet: it waits for routing";
    if (!text_of(one, "next_hop").empty()) std::cout << " by " << text_of(one, "next_hop");
    if (!text_of(one, "wave").empty()) std::cout << " (wave " << text_of(one, "wave") << ")";
    if (const auto attempts = number_of(one, "attempts"); attempts > 0)
      std::cout << ", tried " << counted(whole(attempts), "time");
    if (const auto next = time_of(one, "next_attempt"); next && *next > now)
      std::cout << ", again in " << span_words(seconds_between(now, *next));
    if (text_of(one, "state") == "held") {
      const auto expires = time_of(message, "expires_at");
      if (expires)
        std::cout << ", back to the sender "
                  << (*expires > now ? "in " + span_words(seconds_between(now, *expires)) : "now");
    }
    std::cout << "\n";
    if (!text_of(one, "why").empty()) std::cout << "        " << text_of(one, "why") << "\n";
  }
}

void print_line(const json::object& message, WallTime now) {
  std::cout << text_of(message, "queue_id") << "  "
            << span_words(seconds_between(time_of(message, "accepted_at").value_or(now), now))
            << "  " << octets_words(number_of(message, "size")) << "  "
            << text_of(message, "sender") << "\n";
  print_recipients(message, now);
}

int list(const QueueArguments& arguments, const queue::Command& command) {
  std::uint64_t messages = 0;
  std::uint64_t recipients = 0;
  const WallTime now = wall_now();
  DaemonCalls daemon(arguments.common, kWho);
  const bool good =
      daemon.walk("/v1/queue/list", selection_of(command), [&](const json::object& answer) {
        for (const auto& message : answer.at("messages").as_array()) {
          ++messages;
          recipients += message.at("open").as_array().size();
          if (arguments.common.json) {
            std::cout << json::serialize(message) << "\n";
          } else {
            print_line(message.as_object(), now);
          }
        }
        std::cout.flush();
      });
  if (!good) return daemon.exit_code();
  if (!arguments.common.json)
    std::cout << counted(whole(messages), "message") << ", "
              << counted(whole(recipients), "recipient") << "\n";
  return messages == 0 ? kExitNothing : 0;
}

/// Its lines of the tracking log, the rotated file before the current one. True: there are some.
bool print_history(const std::string& path, const std::string& id, bool as_json) {
  bool readable = false;
  bool found = false;
  for (const std::string& file : {path + ".1", path}) {
    std::ifstream log(file);
    readable = readable || log.is_open();
    for (std::string line; std::getline(log, line);) {
      if (line.find(id) == std::string::npos) continue;
      found = true;
      if (as_json) {
        std::cout << line << "\n";
        continue;
      }
      boost::system::error_code error;
      const json::value value = json::parse(line, error);
      if (error || !value.is_object()) continue;
      const json::object& event = value.as_object();
      std::cout << "  " << text_of(event, "time") << "  " << text_of(event, "event");
      if (const auto size = number_of(event, "size"); size > 0)
        std::cout << "  size=" << octets_words(size);
      for (const char* key : {"sender", "client", "recipient", "target", "next_hop", "remote_host",
                              "status", "reply", "why", "tls", "by", "action"}) {
        if (!text_of(event, key).empty()) std::cout << "  " << key << "=" << text_of(event, key);
      }
      std::cout << "\n";
    }
  }
  if (!readable && !as_json)
    std::cout << "  (" << path << " can't be read; run this as a user who may)\n";
  return found;
}

int show(const QueueArguments& arguments, const queue::Command& command) {
  bool found = false;
  const WallTime now = wall_now();
  DaemonCalls daemon(arguments.common, kWho);
  const bool good =
      daemon.walk("/v1/queue/list", selection_of(command), [&](const json::object& answer) {
        for (const auto& value : answer.at("messages").as_array()) {
          const json::object& message = value.as_object();
          found = true;
          if (arguments.common.json) {
            std::cout << json::serialize(message) << "\n";
            continue;
          }
          std::cout << "queue id    " << text_of(message, "queue_id") << "\n"
                    << "message id  " << text_of(message, "message_id") << "\n"
                    << "sender      " << text_of(message, "sender") << "\n"
                    << "from        " << text_of(message, "client") << "\n"
                    << "accepted    " << local_time(text_of(message, "accepted_at")) << "\n"
                    << "expires     " << local_time(text_of(message, "expires_at")) << "\n"
                    << "size        " << octets_words(number_of(message, "size")) << "\n"
                    << "recipients  " << number_of(message, "recipients") << ", of which "
                    << number_of(message, "settled")
                    << (number_of(message, "settled") == 1 ? " is done\n" : " are done\n");
          print_recipients(message, now);
        }
      });
  if (!good) return daemon.exit_code();
  if (!found && !arguments.common.json) std::cout << "not in the queue (any more)\n";
  const auto loaded = config::load_file(arguments.common.config_file, {.check_files = false});
  const auto& tracking = loaded.config.tracking.path;
  if (!loaded.usable()) {
    std::cerr << "no history: where the tracking log is can't be told: "
              << arguments.common.config_file << " is no good configuration ('waypost check')\n";
  } else if (!tracking.empty()) {
    if (!arguments.common.json) std::cout << "history from " << tracking << "\n";
    for (const QueueId id : command.selector.ids)
      found = print_history(tracking, id.to_string(), arguments.common.json) || found;
  }
  return found ? 0 : kExitNothing;
}

int export_messages(const QueueArguments& arguments, const queue::Command& command) {
  return export_queue(arguments.common, arguments.directory, request_of(command));
}

/// A selection in the words of the options: "--next-hop workmail".
std::string selection_words(const json::object& selector) {
  std::string words;
  for (const auto& member : selector) {
    std::string option = std::string(member.key());
    std::replace(option.begin(), option.end(), '_', '-');
    words += (words.empty() ? "--" : " --") + option + " '" +
             (member.value().is_string() ? std::string(member.value().as_string()) : "") + "'";
  }
  return words.empty() ? "everything" : words;
}

/// suspend and resume: what stands now, and for how much mail.
void print_standing(const queue::Command& command, const json::array& stand, bool nothing_to_end,
                    std::int64_t suspended) {
  const std::string what =
      selection_words(json::parse(queue::to_json(command.selector)).as_object());
  if (command.verb == Verb::suspend) {
    std::cout << (command.dry_run ? "would be suspended: " : "suspended: ") << what << " ("
              << "mail is still accepted); "
              << counted(whole(suspended), "recipient waits", "recipients wait") << "\n";
  } else if (nothing_to_end) {
    std::cout << "no such suspension: " << what << "\n";
  } else {
    std::cout << (command.dry_run ? "would be resumed: " : "resumed: ") << what << "; "
              << counted(whole(suspended), "recipient has", "recipients have") << " waited\n";
  }
  if (stand.empty()) {
    std::cout << "nothing is suspended now\n";
    return;
  }
  std::cout << "suspended now:\n";
  for (const auto& one : stand) std::cout << "  " << selection_words(one.as_object()) << "\n";
}

/// Who asks for messages by their ids hears of each that was not touched.
void print_untouched(const queue::Command& command, const std::set<std::string>& touched) {
  for (const QueueId id : command.selector.ids)
    if (!touched.contains(id.to_string()))
      std::cout << "  " << id.to_string()
                << ": not touched: it is not in the queue (any more), or nothing of it fits\n";
}

void print_in_delivery(std::int64_t in_delivery) {
  if (in_delivery > 0)
    std::cout << counted(whole(in_delivery), "recipient is", "recipients are")
              << " in delivery at this moment and left alone: the other server may have taken the "
                 "mail; look with 'waypost queue list', and say it again if it is still there\n";
}

int act(const QueueArguments& arguments, const queue::Command& command) {
  std::int64_t in_delivery = 0;
  std::set<std::string> touched;
  std::int64_t messages = 0;
  std::int64_t recipients = 0;
  std::int64_t suspended = 0;
  bool nothing_to_end = false;
  json::array stand;
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  json::object request = request_of(command);
  request["verb"] = to_string(command.verb);
  if (command.dry_run) request["dry_run"] = true;
  if (!command.next_hop.empty()) request["next_hop"] = command.next_hop;
  DaemonCalls daemon(arguments.common, kWho);
  const bool good =
      daemon.act_on_all("/v1/queue/control", request, [&](const json::object& answer) {
        messages += number_of(answer, "messages");
        recipients += number_of(answer, "recipients");
        suspended += number_of(answer, "suspended");
        in_delivery += number_of(answer, "in_delivery");
        if (const auto* ids = answer.if_contains("queue_ids"); ids && ids->is_array())
          for (const auto& id : ids->as_array()) touched.emplace(id.as_string());
        nothing_to_end = nothing_to_end || answer.contains("nothing_to_end");
        if (const auto* all = answer.if_contains("suspensions")) stand = all->as_array();
        if (arguments.common.json) std::cout << json::serialize(answer) << "\n";
        if (terminal)
          std::cerr << "\r" << counted(whole(messages), "message") << " ..." << std::flush;
      });
  if (terminal) std::cerr << "\r";
  const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
  if (!arguments.common.json && standing && good) {
    if (command.verb == Verb::resume) suspended += recipients;
    print_standing(command, stand, nothing_to_end, suspended);
  } else if (!arguments.common.json) {
    if (!good && messages == 0 && daemon.exit_code() == kExitUsage) return kExitUsage;
    std::cout << to_string(command.verb) << (command.dry_run ? " would touch " : ": ")
              << counted(whole(messages), "message") << ", "
              << counted(whole(recipients), "recipient") << (good ? "" : " until it broke off")
              << "\n";
    if (suspended > 0)
      std::cout << counted(whole(suspended), "recipient waits", "recipients wait")
                << " behind a suspension all the same; 'waypost queue resume' ends it, 'waypost "
                   "status' shows it\n";
    if (good) print_untouched(command, touched);
  }
  if (!arguments.common.json && good) print_in_delivery(in_delivery);
  if (!good) return daemon.exit_code();
  const bool nothing_fits = messages == 0 && in_delivery == 0 && !standing;
  return nothing_to_end || nothing_fits ? kExitNothing : 0;
}

int run_verb(const QueueArguments& arguments, Verb verb,
             int (*what)(const QueueArguments&, const queue::Command&)) {
  queue::Command command;
  command.verb = verb;
  command.dry_run = arguments.dry_run;
  command.reason = arguments.reason;
  command.next_hop = arguments.to;
  auto selector = selector_of(arguments);
  if (!selector) {
    std::cerr << "waypost queue: " << selector.error().message << "\n";
    return kExitUsage;
  }
  command.selector = std::move(*selector);
  static_cast<void>(queue::normalise(command.selector));  // the daemon says what is wrong with it
  if (what == act && command.selector.everything() != arguments.all) {
    std::cerr << "waypost queue " << to_string(verb)
              << (arguments.all ? ": --all can't stand beside a selection; say one of both\n"
                                : ": nothing is selected; name what is meant, or say --all\n");
    return kExitUsage;
  }
  return what(arguments, command);
}

void add_selection(CLI::App* command, QueueArguments& arguments, bool ids_only) {
  command->add_option("-c,--config", arguments.common.config_file, "Configuration file")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
  command->add_option("--socket", arguments.common.socket,
                      "Admin socket of the daemon; default: as the configuration says");
  command->add_flag("--json", arguments.common.json, "Answer as JSON, one object a line");
  auto* ids = command->add_option("id", arguments.ids, "Queue ids");
  if (ids_only) {
    ids->required();
    return;
  }
  const std::string group = "Selection: all that is given must fit. Patterns: * ? [a-z]";
  const auto option = [&](const char* name, std::string& into, const char* help) {
    return command->add_option(name, into, help)->group(group);
  };
  option("--next-hop", arguments.next_hop, "Its name in the configuration");
  option("--sender", arguments.sender, "Pattern; '<>' is the null sender");
  option("--recipient", arguments.recipient,
         "Pattern of the original address, or of the one where it goes now");
  option("--domain", arguments.domain,
         "Domain of the original address, or of the one where it goes now");
  option("--wave", arguments.wave, "Wave of the recipient");
  option("--reply", arguments.reply, "Pattern of the last answer");
  option("--state", arguments.state, "Where it is")
      ->check(CLI::IsMember({"ready", "active", "waiting", "held", "ended"}));
  option("--older", arguments.older, "Accepted longer ago than, such as 2h");
  option("--younger", arguments.younger, "Accepted less long ago than");
}

}  // namespace

void add_queue_commands(CLI::App& app, QueueArguments& arguments, int& exit_code) {
  auto* all = app.add_subcommand("queue", "Look at the queue, hold, release, reroute, give up");
  all->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, Verb verb,
                       int (*what)(const QueueArguments&, const queue::Command&)) {
    auto* command = all->add_subcommand(name, help);
    add_selection(command, arguments, what == show);
    if (what == act) {
      command->add_flag("--all", arguments.all, "Everything is meant");
      command->add_flag("--dry-run", arguments.dry_run, "Only tell what would be touched");
      command->add_option("--reason", arguments.reason,
                          "For the tracking log; bounce: what the sender is told");
    }
    command->callback(
        [&arguments, &exit_code, verb, what] { exit_code = run_verb(arguments, verb, what); });
    return command;
  };
  add("list", "Messages and where each recipient is", Verb::flush, list);
  add("show", "The whole story of a message", Verb::flush, show);
  add("hold", "Keep these recipients back until they are released", Verb::hold, act);
  add("release", "Let held recipients go", Verb::release, act);
  add("suspend",
      "Stop delivery of what fits, also of what is still to come; by next hop, sender, recipient, "
      "domain or wave (for ids, states, replies and ages there is hold)",
      Verb::suspend, act);
  add("resume", "End a suspension; --all ends all", Verb::resume, act);
  add("flush", "Try again now what waits for its next attempt", Verb::flush, act);
  add("bounce", "Give up, and tell the senders", Verb::bounce, act);
  add("delete", "Give up, and tell nobody", Verb::remove, act);
  add("reroute", "Send over another next hop, to the same address", Verb::reroute, act)
      ->add_option("--to", arguments.to, "The next hop's name in the configuration")
      ->required();
  add("export", "Copy messages into a folder; they stay in the queue", Verb::flush, export_messages)
      ->add_option("--directory", arguments.directory, "Where to")
      ->required();
}

}  // namespace waypost::app
