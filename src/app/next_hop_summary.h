// A next hop in a few words, for explanations and `check`.
#pragma once

#include "waypost/config/config.h"
#include "waypost/outbound/next_hop.h"

#include <string>
#include <string_view>
#include <vector>

namespace waypost::app {

/// "MX of orgname.awsapps.com, TLS verify" or "10.0.0.1:25, 10.0.0.2:25, TLS none"; empty if there
/// is no such name.
std::string summarise_next_hop(const std::vector<outbound::NextHopOptions>& next_hops,
                               std::string_view name);

/// What a good configuration still lacks for the promise that senders are told of failures; empty:
/// nothing.
std::string advice_on_reports(const config::Config& config);

}  // namespace waypost::app
