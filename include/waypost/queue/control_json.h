// Commands and lists as JSON: what the admin API takes and gives, and what the journal keeps.
#pragma once

#include "waypost/queue/control.h"

#include <string>
#include <string_view>

namespace waypost::queue {

/// {"verb":"hold","selector":{"next_hop":"workmail",...},"by":"root",...}; what is not set is left
/// out.
std::string to_json(const Command& command);
std::string to_json(const Selector& selector);
/// ErrorKind::invalid names the member that makes no sense.
Result<Command> command_from_json(std::string_view text);
/// One object, one line.
std::string to_json(const ListedMessage& message);

}  // namespace waypost::queue
