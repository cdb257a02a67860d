// Reads every file that the configuration names as `serve` does: what would keep the daemon from
// starting, or a next hop or directory from being used, is found by `waypost check`.
#pragma once

#include "waypost/config/config.h"

#include <vector>

namespace waypost::app {

/// Errors at the place where the configuration names the file. REQUIRES: config::Loaded::usable().
std::vector<config::Diagnostic> check_files(const config::Config& config);

}  // namespace waypost::app
