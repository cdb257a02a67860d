#include "app/next_hop_summary.h"

#include <algorithm>

namespace waypost::app {

std::string summarise_next_hop(const std::vector<outbound::NextHopOptions>& next_hops,
                               std::string_view name) {
  const auto found = std::find_if(next_hops.begin(), next_hops.end(),
                                  [name](const auto& next_hop) { return next_hop.name == name; });
  if (found == next_hops.end()) return {};
  std::string text;
  if (found->mx_of_recipient) {
    text = "MX of the recipient's domain";
  } else if (!found->mx_domain.empty()) {
    text = "MX of " + found->mx_domain;
  } else {
    for (const auto& host : found->hosts) {
      if (!text.empty()) text += ", ";
      text += host.host + ":" + std::to_string(host.port);
    }
  }
  text += found->implicit_tls ? ", implicit TLS " : ", TLS ";
  text += net::to_string(found->tls.policy);
  return text;
}

std::string advice_on_reports(const config::Config& config) {
  if (!config.queue.report_next_hop.empty() || !config.routing.default_next_hop.empty()) return {};
  return "senders who are not in the table can't be told when their mail fails; name your Exchange "
         "as a next hop and set "
         "queue.report_next_hop";
}

}  // namespace waypost::app
