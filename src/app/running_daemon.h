// A waypost that runs already on the same spool, seen from outside. Private to app.
//
// Only looks: taking the spool's lock to test it would turn away a daemon that starts just then.
#pragma once

#include "waypost/net/stream.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace waypost::app {

/// Who holds the lock of this spool folder; nullopt: nobody who can be seen from here.
std::optional<pid_t> holder_of_spool(const std::string& directory);

/// The TCP ports on which a process listens; nullopt: this user may not know.
std::optional<std::vector<std::uint16_t>> ports_of(pid_t process);

/// Whether a process listens at this Unix socket.
bool somebody_answers_at(const std::string& socket);

}  // namespace waypost::app
