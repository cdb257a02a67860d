// `waypost serve`: the daemon's life from the first signal mask to the exit code.
#pragma once

#include <string>

namespace waypost::app {

/// Exit codes as in sysexits(3): 0 stopped in order, 78 the configuration has errors, 69 something
/// could not be opened, 70 threads had to be left behind (nothing acknowledged is lost).
int serve(const std::string& config_file);

}  // namespace waypost::app
