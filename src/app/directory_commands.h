// `waypost directory ...`: looking at a directory, and synchronising it without a daemon.
#pragma once

#include "app/commands.h"

#include <CLI/CLI.hpp>

#include <string>

namespace waypost::app {

struct DirectoryArguments {
  CommandOptions common;
  std::string name;
  bool full = false, confirm_shrink = false;
};

/// Adds `directory` with its verbs. `exit_code` is set when one of them ran: 0 done, 1 refused
/// because too many entries would leave, 64 no such directory, 69 no server can be used or the
/// reading broke off, 74 the snapshot can't be written, 78 no usable configuration.
void add_directory_commands(CLI::App& app, DirectoryArguments& arguments, int& exit_code);

}  // namespace waypost::app
