// The program `waypost`: reads the command line and hands over.
#include "waypost/base/printable_output.h"
#include "waypost/base/process_signals.h"
#include "waypost/base/standard_descriptors.h"

#include "app/check_command.h"
#include "app/command_line.h"
#include "app/commands.h"
#include "app/directory_commands.h"
#include "app/queue_commands.h"
#include "app/reconcile_command.h"
#include "app/serve.h"
#include "app/start_signals.h"
#include "app/table_commands.h"
#include "app/version.h"
#include "app/wave_commands.h"

#include <exception>
#include <iostream>
#include <string_view>

namespace {

using waypost::app::CommandOptions;

void add_config(CLI::App* command, CommandOptions& options) {
  command->add_option("-c,--config", options.config_file, "Configuration file")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
}

void add_daemon(CLI::App* command, CommandOptions& options) {
  add_config(command, options);
  command->add_option("--socket", options.socket,
                      "Admin socket of the daemon; default: as the configuration says");
  command->add_flag("--json", options.json, "Answer as JSON");
}

int run(int argc, char** argv) {
  CommandOptions options;
  std::string directory, user;
  bool confirm_shrink = false;
  int exit_code = 0;
  CLI::App app(
      "Waypost: an SMTP routing gateway for mailbox migrations.\n"
      "Accepts mail from Exchange, rewrites the envelope of migrated users, keeps it durably, "
      "forwards it over TLS.");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help for all subcommands");
  app.set_version_flag("--version", "waypost " + std::string(waypost::app::kVersion));
  app.footer("Configuration: " WAYPOST_DOCS
             "configuration.md. Every error names file, line and column.");

  auto* serve = app.add_subcommand(
      "serve", "Run the gateway (SIGHUP: reload; SIGTERM: stop, twice: at once)");
  add_config(serve, options);
  serve->callback([&] { exit_code = waypost::app::serve(options.config_file); });

  waypost::app::CheckArguments checked;
  waypost::app::add_check_command(app, checked, exit_code);

  auto* reload = app.add_subcommand(
      "reload", "Make the daemon read configuration and tables again, all or nothing");
  add_daemon(reload, options);
  reload->add_flag("--confirm-shrink", confirm_shrink,
                   "The new table may be much smaller, or a source empty: it is meant");
  reload->callback([&] { exit_code = waypost::app::reload(options, confirm_shrink); });

  auto* status =
      app.add_subcommand("status", "What the daemon is doing: sessions, queue, spool, table");
  add_daemon(status, options);
  status->callback([&] { exit_code = waypost::app::status(options); });

  auto* route = app.add_subcommand("route", "Routing decisions");
  route->require_subcommand(1);
  auto* explain =
      route->add_subcommand("explain", "The decision for each address, step by step, and why");
  add_daemon(explain, options);
  waypost::app::ExplainArguments question;
  explain
      ->add_option("address", question.addresses,
                   "For example bob@corp.example; several are answered one by one; '-': those on "
                   "standard input, one a line")
      ->required();
  explain->add_option(
      "--at", question.at,
      "As it will be then: 2026-12-01T02:00:00Z, \"2026-12-01 02:00 Europe/Berlin\", "
      "+2h");
  explain->add_option("--sender", question.sender,
                      "From this reverse-path; '<>' is the null sender");
  explain->add_option("--size", question.size, "A message of so many octets");
  explain->footer(
      "Exit codes: 0 all go somewhere, 1 one is refused or deferred, 64 one is no address, 69 "
      "nobody can answer.");
  explain->callback([&] { exit_code = waypost::app::explain_route(options, question); });

  waypost::app::DirectoryArguments directories;
  waypost::app::add_directory_commands(app, directories, exit_code);

  waypost::app::QueueArguments queue;
  waypost::app::add_queue_commands(app, queue, exit_code);

  waypost::app::WaveArguments wave;
  waypost::app::add_wave_commands(app, wave, exit_code);
  waypost::app::TableArguments table;
  waypost::app::add_table_commands(app, table, exit_code);
  waypost::app::ReconcileArguments reconcile;
  waypost::app::add_reconcile_command(app, reconcile, exit_code);

  auto* spool =
      app.add_subcommand("spool", "Look into the spool, also of a running daemon; changes nothing");
  spool->require_subcommand(1);
  auto* verify =
      spool->add_subcommand("verify", "Check every record; exit 1 if anything is damaged");
  auto* dump = spool->add_subcommand("dump", "Print every record with its envelope");
  for (auto* command : {verify, dump}) {
    add_config(command, options);
    command->add_option("directory", directory,
                        "Spool directory; default: as the configuration says");
  }
  verify->callback([&] { exit_code = waypost::app::spool_verify(options, directory); });
  dump->callback([&] { exit_code = waypost::app::spool_dump(options, directory); });

  auto* passwd = app.add_subcommand("passwd", "Make a line for admission.password_file (argon2id)");
  passwd->add_option("user", user, "User name")->required();
  passwd->callback([&] { exit_code = waypost::app::make_password(user); });

  auto* version = app.add_subcommand("version", "Version of Waypost and its main libraries");
  version->add_flag("--json", options.json, "Answer as JSON");
  version->callback([&] { exit_code = waypost::app::version(options.json); });

  const auto ended = waypost::app::parse_command_line(app, "waypost", argc, argv);
  return ended.value_or(exit_code);
}

int run_guarded(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "waypost: unexpected: " << error.what() << "\n";
    return 70;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto start = waypost::hold_standard_descriptors();
  // What comes in the first moments is for the gateway that is about to be.
  const bool serves = argc > 1 && std::string_view(argv[1]) == "serve";
  waypost::begin_signals(serves ? waypost::app::signals_of_serve() : waypost::signals_of({}));
  waypost::PrintableOutput out(std::cout), errors(std::cerr);
  return waypost::exit_code_after(out, start, "waypost", run_guarded(argc, argv));
}
