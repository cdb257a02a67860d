// waypost-load: rehearses a wave. Sends as Exchange does, receives as WorkMail does, and accounts
// for every message.
#include "load/cli_send.h"
#include "load/cli_sink.h"

#include <csignal>
#include <exception>
#include <iostream>

namespace load = waypost::load;

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("waypost-load: sends, receives and accounts for mail, to rehearse and to measure.");
  app.require_subcommand(1);
  load::SendArguments send_arguments;
  load::ReportArguments send_reports;
  auto* send = app.add_subcommand("send", "Send messages and measure how they are taken");
  load::add_send_options(*send, send_arguments);
  send->add_option("--log", send_arguments.options.log_file, "What was sent, for verify");
  load::add_report_options(*send, send_reports);
  load::SinkArguments sink_arguments;
  auto* sink = app.add_subcommand("sink", "Stand in for WorkMail: receive, record, misbehave");
  load::add_sink_options(*sink, sink_arguments);
  CLI11_PARSE(app, argc, argv);
  try {
    if (sink->parsed()) return load::run_sink(sink_arguments);
    if (send->parsed()) return load::run_send(send_arguments, send_reports);
  } catch (const std::exception& error) {
    std::cerr << "waypost-load: unexpected: " << error.what() << "\n";
    return 2;
  }
  return 2;
}
