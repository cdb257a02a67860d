// send, sink and verify in one process, for convenience.
#pragma once

#include "load/cli_send.h"
#include "load/cli_verify.h"
#include "sink/stand_in.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace waypost::load {

struct RunArguments {
  SendArguments send;
  VerifyArguments verify;
  ReportArguments reports;
  sink::StandInOptions sink;
  std::vector<std::string> old_system_listen;  // empty: there is no old system
  std::string work_folder, tls_folder;
};

void add_run_options(CLI::App& app, RunArguments& arguments);
int run_all(const RunArguments& arguments);

}  // namespace waypost::load
