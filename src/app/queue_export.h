// `waypost queue export`: copies of queued messages in a folder.
#pragma once

#include "app/commands.h"

#include <boost/json/object.hpp>

#include <string>

namespace waypost::app {

/// One ID.eml (the content as it will be sent) and one ID.json (the envelope) for each message that
/// `request` selects; only their owner may read them. What it returns is for the process to end
/// with: 74 if one could not be written, which has been told on standard error.
int export_queue(const CommandOptions& common, const std::string& directory,
                 const boost::json::object& request);

}  // namespace waypost::app
