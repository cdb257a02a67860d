// `waypost check`: whether the daemon would start with this configuration and do its work.
//
// What is wrong goes to standard error, a line each; the verdict and what is configured to standard
// output. Private to app.
#pragma once

#include "app/commands.h"

#include <CLI/CLI.hpp>

#include <string>

namespace waypost::app {

struct CheckArguments {
  CommandOptions common;
  std::string as;  // the user whose eyes to look with; empty: become_user() decides
};

/// 0: usable. 1: errors. Warnings alone give 0. 64: nobody can check as that user.
int check(const CheckArguments& arguments);

void add_check_command(CLI::App& app, CheckArguments& arguments, int& exit_code);

}  // namespace waypost::app
