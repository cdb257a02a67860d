// `waypost reconcile`: the exports of both sides and the table, held against one another.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace waypost::app {

struct ReconcileArguments {
  std::string config_file = "/etc/waypost/waypost.yaml";
  std::vector<std::string> exchange, workmail, aliases, kinds, waves;
  std::string organisation, format = "table";
};

/// Adds `reconcile`. It asks no daemon and changes nothing. `exit_code`: 0 nothing to do, 1
/// findings, 64 usage, 66 an input can't be read, 78 configuration or table can't be used.
void add_reconcile_command(CLI::App& app, ReconcileArguments& arguments, int& exit_code);

}  // namespace waypost::app
