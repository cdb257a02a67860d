// waypost-load: rehearses a wave. Sends as Exchange does, receives as WorkMail does, and accounts
// for every message.
#include "waypost/base/printable_output.h"
#include "waypost/base/process_signals.h"
#include "waypost/base/standard_descriptors.h"

#include "app/command_line.h"
#include "app/version.h"
#include "load/cli_run.h"
#include "load/cli_send.h"
#include "load/cli_sink.h"
#include "load/cli_verify.h"

#include <csignal>
#include <exception>
#include <iostream>

namespace load = waypost::load;

namespace {

int run_command(int argc, char** argv) {
  CLI::App app("waypost-load: sends, receives and accounts for mail, to rehearse and to measure.");
  app.require_subcommand(1);
  app.set_version_flag("--version", "waypost-load " + std::string(waypost::app::kVersion));
  load::SendArguments send_arguments;
  load::ReportArguments send_reports;
  auto* send = app.add_subcommand("send", "Send messages and measure how they are taken");
  load::add_send_options(*send, send_arguments);
  send->add_option("--log", send_arguments.options.log_file, "What was sent, for verify");
  load::add_report_options(*send, send_reports);
  load::SinkArguments sink_arguments;
  auto* sink = app.add_subcommand("sink", "Stand in for WorkMail: receive, record, misbehave");
  load::add_sink_options(*sink, sink_arguments);
  load::VerifyArguments verify_arguments;
  load::ReportArguments verify_reports;
  auto* verify = app.add_subcommand("verify", "Account for each recipient of each message");
  load::add_verify_options(*verify, verify_arguments);
  load::add_report_options(*verify, verify_reports);
  load::RunArguments run_arguments;
  auto* run = app.add_subcommand("run", "send, sink and verify in one process");
  load::add_run_options(*run, run_arguments);
  if (const auto ended = waypost::app::parse_command_line(app, "waypost-load", argc, argv))
    return *ended;
  try {
    if (sink->parsed()) return load::run_sink(sink_arguments);
    if (verify->parsed()) return load::run_verify(verify_arguments, verify_reports);
    if (run->parsed()) return load::run_all(run_arguments);
    if (send->parsed()) return load::run_send(send_arguments, send_reports);
  } catch (const std::exception& error) {
    std::cerr << "waypost-load: unexpected: " << error.what() << "\n";
    return 2;
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const auto start = waypost::hold_standard_descriptors();
  waypost::begin_signals(waypost::signals_of({}));
  std::signal(SIGPIPE, SIG_IGN);
  waypost::PrintableOutput out(std::cout);
  return waypost::exit_code_after(out, start, "waypost-load", run_command(argc, argv));
}
