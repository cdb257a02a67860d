// What the daemon needs of this machine beside the files that it reads: folders that it may write
// to, ports that it can have. Private to app.
//
// Changes nothing, and disturbs no daemon that runs or starts.
#pragma once

#include "waypost/config/config.h"

#include "app/service_user.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace waypost::app {

struct MachineReport {
  std::vector<config::Diagnostic> findings;  // at the place where the configuration says so
  std::vector<std::string> notes;            // good to know, not wrong
  std::optional<pid_t> running;              // a waypost that runs on this spool
};

/// `as`: the user that this process is. REQUIRES: config::Loaded::usable().
MachineReport check_machine(const config::Config& config, const CheckedAs& as);

}  // namespace waypost::app
