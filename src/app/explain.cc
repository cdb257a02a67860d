#include "app/explain.h"

#include <boost/json.hpp>

namespace waypost::app {
namespace {

bool has_target(const routing::Decision& decision) {
  return decision.verdict == routing::Verdict::rewrite ||
         decision.verdict == routing::Verdict::pass || decision.verdict == routing::Verdict::hold;
}

}  // namespace

std::string to_json(const Explanation& explanation) {
  const routing::Decision& decision = explanation.decision;
  boost::json::object object;
  object["address"] = decision.original.to_string();
  object["verdict"] = std::string(routing::to_string(decision.verdict));
  if (has_target(decision)) object["target"] = decision.target.to_string();
  if (!decision.next_hop.empty()) object["next_hop"] = decision.next_hop;
  if (!explanation.next_hop_summary.empty())
    object["next_hop_summary"] = explanation.next_hop_summary;
  if (decision.state) object["state"] = std::string(routing::to_string(*decision.state));
  if (!decision.wave.empty()) object["wave"] = decision.wave;
  if (!decision.place.source.empty()) {
    object["source"] = decision.place.source;
    object["line"] = decision.place.line;
  }
  object["why"] = decision.why;
  object["reply"] = decision.reply.to_line();
  boost::json::array steps;
  for (const auto& step : explanation.steps) {
    steps.push_back(boost::json::object{{"step", step.step}, {"detail", step.detail}});
  }
  object["steps"] = std::move(steps);
  return boost::json::serialize(object);
}

}  // namespace waypost::app
