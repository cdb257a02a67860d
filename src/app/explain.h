// A routing decision made readable: as text for a person, as JSON for a program. It adds nothing to
// the decision.
#pragma once

#include "waypost/routing/router.h"

#include <string>
#include <vector>

namespace waypost::app {

struct Explanation {
  routing::Decision decision;
  std::vector<routing::TraceStep> steps;
  std::string next_hop_summary;  // "mx of orgname.awsapps.com, TLS verify"; empty: none
};

std::string to_json(const Explanation& explanation);

}  // namespace waypost::app
