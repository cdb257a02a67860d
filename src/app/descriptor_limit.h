// How many files and connections the process may have open (LimitNOFILE=, ulimit -n).
#pragma once

#include "waypost/inbound/server.h"

namespace waypost::app {

/// Each session and delivery needs a descriptor; the hard limit is the operator's say.
void raise_descriptor_limit();
/// With no more sessions than leave 4,096 of the limit (at most half of it) to deliveries, the
/// spool and those who ask how Waypost is; a warning if that is fewer than were asked for.
inbound::Options within_descriptors(inbound::Options options);

}  // namespace waypost::app
