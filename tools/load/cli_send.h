// The command line of the sender: options into SendOptions, and the run itself.
#pragma once

#include "load/report.h"
#include "load/send_options.h"
#include "load/sender.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>

namespace waypost::load {

struct SendArguments {
  SendOptions options;
  std::string rate, ramp_up, duration, timeout = "5m", give_up = "30s";
  std::string shape = "exchange", pipelining = "exchange", tls = "verify", auth, run_id;
  std::vector<std::string> waves;
  std::uint64_t count = 0;
  bool plain = false, data = false, insecure = false, no_resumption = false;
};

struct ReportArguments {
  std::string json_file, html_file, compare_file;
  bool progress = false, quiet = false;
};

void add_send_options(CLI::App& app, SendArguments& arguments);
void add_report_options(CLI::App& app, ReportArguments& arguments);
/// Turns words into values; errors name the option.
Result<SendOptions> finish_options(const SendArguments& arguments);
Report report_of(const Sender& sender, const std::string& title, WallTime started);
/// Sends until done (or SIGINT/SIGTERM), with the progress line.
void run_sender(Sender& sender, const ReportArguments& arguments,
                std::function<std::string()> extra = {});
/// Before a long run: can the files be read and written?
Result<> check_reports(const ReportArguments& arguments);
/// Text to stdout, JSON, HTML, comparison.
Result<> publish(const Report& report, const ReportArguments& arguments);

int run_send(const SendArguments& arguments, const ReportArguments& reports);

}  // namespace waypost::load
