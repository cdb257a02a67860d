// `waypost queue ...`: what an operator sees of the queue, and does to it.
#pragma once

#include "app/commands.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace waypost::app {

struct QueueArguments {
  CommandOptions common;
  std::vector<std::string> ids;
  std::string next_hop, sender, recipient, domain, wave, reply, state, older, younger;
  std::string to, reason, directory;
  bool all = false, dry_run = false;
};

/// Adds `queue` with its verbs. `exit_code` is set when one of them ran: 0 done, 1 nothing fits,
/// 64 usage, 69 no daemon.
void add_queue_commands(CLI::App& app, QueueArguments& arguments, int& exit_code);

}  // namespace waypost::app
