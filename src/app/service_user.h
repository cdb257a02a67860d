// Judging files as the daemon will see them: `waypost check` becomes its user. Private to app.
#pragma once

#include "waypost/base/result.h"

#include <string>

namespace waypost::app {

inline constexpr const char* kServiceUser = "waypost";  // the unit's User=

struct CheckedAs {
  std::string user;
  std::string remark;    // what to know of it; empty: nothing
  bool by_root = false;  // so it has all that the unit can give
};

/// Makes this process the user `wanted`, for good; empty: as root the service user if there is one,
/// else who calls. Keeps what the unit's AmbientCapabilities give, ports below 1024, where root has
/// it to give. To be called before any file is read and any thread runs. ErrorKind::invalid: there
/// is no such user, or only root could become it.
Result<CheckedAs> become_user(const std::string& wanted);

}  // namespace waypost::app
