// Commands as JSON values; control_json.cc implements them, journal.cc uses them too.
#pragma once

#include "waypost/queue/control.h"

#include <boost/json.hpp>

namespace waypost::queue {

boost::json::object command_object(const Command& command);
Result<Command> command_from(const boost::json::value& value);
Result<boost::json::value> parse_json(std::string_view text);

}  // namespace waypost::queue
