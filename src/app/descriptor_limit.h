// How many files and connections the process may have open (LimitNOFILE=, ulimit -n).
#pragma once

#include "waypost/inbound/server.h"

namespace waypost::app {

/// Each session and delivery needs a descriptor; the hard limit is the operator's say.
void raise_descriptor_limit();
/// With no more sessions than half of the limit, and a warning if that is fewer than were asked
/// for: the rest is for deliveries, the spool, and those who ask how Waypost is.
inbound::Options within_descriptors(inbound::Options options);

}  // namespace waypost::app
