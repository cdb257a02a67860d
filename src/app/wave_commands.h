// `waypost wave ...`: groups of people who move together, seen and moved by an operator.
#pragma once

#include "app/commands.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace waypost::app {

struct WaveArguments {
  CommandOptions common;
  std::string wave, verb, at, reason, state;
  std::vector<std::string> members;
  bool address_only = false;
  std::uint64_t names = 20;
};

/// Adds `wave` with its verbs. `exit_code` is set when one of them ran: 0 done, 1 nothing there or
/// nothing would change, 64 usage, 69 no daemon, 74 it failed and nothing changed.
void add_wave_commands(CLI::App& app, WaveArguments& arguments, int& exit_code);

}  // namespace waypost::app
