// A routing decision made readable: as text for a person, as JSON for a program. It adds nothing to
// the decision.
#pragma once

#include "waypost/admin/fields.h"
#include "waypost/config/config.h"
#include "waypost/routing/router.h"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <vector>

namespace waypost::app {

struct Explanation {
  routing::Decision decision;
  std::vector<routing::TraceStep> steps;
  std::string next_hop_summary;  // "mx of orgname.awsapps.com, TLS verify"; empty: none
};

boost::json::object to_json(const Explanation& explanation);

/// What is asked about, beside the address.
struct RouteQuestion {
  mail::Mailbox address;
  WallTime at{};
  std::optional<mail::ReversePath> sender;  // of `--sender`; nullopt: not asked
  std::uint64_t size = 0;                   // octets; 0: not asked
};
/// address=bob@corp.example, at, sender (<> is the null sender), size; a time that is left out is
/// now. What is wrong is in `fields`.
RouteQuestion read_question(admin::Fields& fields, WallTime now);

/// The whole answer as far as configuration and table tell it: decision, sender, size.
boost::json::object explain(const RouteQuestion& question, const routing::Router& router,
                            const config::Config& config);

}  // namespace waypost::app
