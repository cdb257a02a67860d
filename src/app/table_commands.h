// `waypost table ...`: the routing table before it is loaded, against what runs, and as it runs.
#pragma once

#include "app/commands.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace waypost::app {

struct TableArguments {
  CommandOptions common;
  std::vector<std::string> files;
  std::string address;
  std::uint64_t names = 0;
  bool strict = false;
};

/// Adds `table` with its verbs. Exit codes: 0 good, or no difference; 1 warnings with --strict, a
/// difference, or nobody found; 2 errors, the table would be refused; 64 usage; 69 no daemon; 78
/// the configuration has errors.
void add_table_commands(CLI::App& app, TableArguments& arguments, int& exit_code);

}  // namespace waypost::app
