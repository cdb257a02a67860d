// The command line of verify: logs in, figures out.
#pragma once

#include "load/accounting.h"
#include "load/cli_send.h"

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

namespace waypost::load {

struct VerifyArguments {
  std::vector<std::string> sent, received, old_system, allowed;
  std::string admin_socket, queued_ids_file, foreign = "either", wait = "5s", report_file;
  std::optional<std::uint64_t> queued;
  bool nothing_between = false;  // the sink was the target: nothing can be queued
};

/// Options that `run` has too.
void add_rule_options(CLI::App& app, VerifyArguments& arguments);
void add_verify_options(CLI::App& app, VerifyArguments& arguments);

/// Reads the logs until all is well or --wait is over.
Result<Accounting> verify_logs(const VerifyArguments& arguments);
int run_verify(const VerifyArguments& arguments, const ReportArguments& reports);

}  // namespace waypost::load
