#include "load/cli_verify.h"

#include "load/units.h"

#include <fstream>
#include <iostream>
#include <thread>

namespace waypost::load {
namespace {

const char* const kExamples =
    "Examples:\n"
    "  waypost-load verify --sent send.log --received sink.log\n"
    "  While the gateway still delivers; what it holds is asked from its admin socket:\n"
    "    waypost-load verify --sent send.log --received sink.log --wait 2m\n"
    "      --admin-socket /run/waypost/admin.sock --report send.json --html wave-7.html\n"
    "Exit code 0: every recipient is accounted for; 1: a figure is wrong; 2: it can't be said.\n";

Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::not_found, path + ": can't be read");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  return text;
}

Result<VerifyRules> rules_of(const VerifyArguments& arguments) {
  VerifyRules rules;
  rules.allowed = {arguments.allowed.begin(), arguments.allowed.end()};
  rules.foreign = arguments.foreign == "deliver"  ? ForeignRule::deliver
                  : arguments.foreign == "refuse" ? ForeignRule::refuse
                                                  : ForeignRule::either;
  rules.queued_messages = arguments.queued.value_or(0);
  rules.queue_known = arguments.nothing_between || arguments.queued ||
                      !arguments.queued_ids_file.empty() || !arguments.admin_socket.empty();
  if (!arguments.queued_ids_file.empty()) {
    const auto text = read_whole(arguments.queued_ids_file);
    if (!text) return fail(text.error());
    for (auto line : split(*text, '\n')) {
      line = line.substr(0, line.find_first_of(" \t\r,;"));
      if (!line.empty()) rules.queued_ids.emplace(line);
    }
  }
  return rules;
}

Result<Accounting> verify_once(const VerifyArguments& arguments) {
  auto rules = rules_of(arguments);
  if (!rules) return fail(std::move(rules).error());
  if (!arguments.admin_socket.empty()) {
    // Before the logs are read: what leaves the queue meanwhile is found in them.
    auto held = ask_queued_mail(arguments.admin_socket);
    if (!held) return fail(std::move(held).error());
    rules->queued = std::move(*held);
  }
  Ledger ledger;
  for (const auto& path : arguments.sent) {
    auto text = read_whole(path);
    if (!text) return fail(std::move(text).error());
    if (auto good = ledger.add_sent(std::move(*text), path); !good) return fail(good.error());
  }
  for (const auto receiver : {Receiver::new_system, Receiver::old_system}) {
    const bool is_new = receiver == Receiver::new_system;
    for (const auto& path : is_new ? arguments.received : arguments.old_system) {
      auto text = read_whole(path);
      if (!text) return fail(std::move(text).error());
      if (auto good = ledger.add_received(std::move(*text), path, receiver); !good)
        return fail(good.error());
    }
  }
  return ledger.settle(*rules);
}

}  // namespace

void add_rule_options(CLI::App& app, VerifyArguments& arguments) {
  std::string words;
  for (const auto& word : wrong_words()) words += (words.empty() ? "" : ", ") + word;
  app.add_option("--allow", arguments.allowed,
                 "Figure that may be above 0; may be repeated: " + words)
      ->check(CLI::IsMember(wrong_words()));
  app.add_option("--foreign", arguments.foreign,
                 "What must become of foreign addresses: deliver, refuse or either")
      ->check(CLI::IsMember({"deliver", "refuse", "either"}))
      ->capture_default_str();
  app.add_option(
      "--admin-socket", arguments.admin_socket,
      "Admin socket of the gateway: which recipients of which messages are still queued");
  app.add_option("--wait", arguments.wait, "Look again for so long until nothing is missing")
      ->capture_default_str();
}

void add_verify_options(CLI::App& app, VerifyArguments& arguments) {
  app.add_option("--sent", arguments.sent, "Log of waypost-load send; may be repeated")->required();
  app.add_option("--received", arguments.received, "Log of waypost-load sink; may be repeated")
      ->required();
  app.add_option("--old-system", arguments.old_system,
                 "Log of a sink that plays the old system: who is pending or rolled back gets mail "
                 "there, at the address that was sent to; may be repeated");
  add_rule_options(app, arguments);
  app.add_option(
      "--queued", arguments.queued,
      "So many messages are still queued, whichever they are (for servers that tell no ids); 0: "
      "none is");
  app.add_option("--queued-ids", arguments.queued_ids_file,
                 "File with the queue ids of those messages, one a line");
  app.add_option("--report", arguments.report_file,
                 "JSON report of the send: shown, and written again, with the accounting");
  app.footer(kExamples);
}

Result<Accounting> verify_logs(const VerifyArguments& arguments) {
  const auto wait = parse_duration(arguments.wait);
  if (!wait) return fail(ErrorKind::invalid, "--wait: " + wait.error().message);
  const SteadyTime until = Clock::system().steady_now() + *wait;
  std::chrono::milliseconds pause{250};
  for (bool was_whole = false;;) {
    auto accounting = verify_once(arguments);
    if (!accounting) return accounting;
    const bool whole = accounting->lost == 0 && accounting->unreported == 0 &&
                       accounting->queued == 0 && accounting->unjudged == 0;
    // Nothing is missing: a sink writes its log five times a second, and what comes twice comes
    // last. So it is looked at once more.
    if (whole && was_whole) return accounting;
    if (whole) pause = std::chrono::milliseconds(500);
    was_whole = whole;
    if (Clock::system().steady_now() + pause > until) return accounting;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(5000));
  }
}

int run_verify(const VerifyArguments& arguments, const ReportArguments& reports) {
  const auto failed = [](const Error& error) {
    std::cerr << "waypost-load verify: " << error.message << "\n";
    return 2;
  };
  auto accounting = verify_logs(arguments);
  if (!accounting) return failed(accounting.error());
  Report report;
  report.title = "waypost-load verify";
  if (!arguments.report_file.empty()) {
    const auto text = read_whole(arguments.report_file);
    if (!text) return failed(text.error());
    auto read = report_from_json(*text, arguments.report_file);
    if (!read) return failed(read.error());
    report = std::move(*read);
  }
  const bool good = accounting->good();
  report.accounting = std::move(*accounting);
  if (arguments.report_file.empty() && !reports.quiet) {
    std::cout << to_text(*report.accounting);
  }
  ReportArguments where = reports;
  where.quiet = reports.quiet || arguments.report_file.empty();
  if (auto done = publish(report, where); !done) return failed(done.error());
  return good ? 0 : 1;
}

}  // namespace waypost::load
