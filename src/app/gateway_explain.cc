// `route explain` in the running gateway: the decision, and how the next hop is doing right now.
#include "waypost/base/counted.h"

#include "app/answers.h"
#include "app/explain.h"
#include "app/gateway.h"

#include <algorithm>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::chrono::milliseconds kShardPatience{500};
constexpr std::chrono::milliseconds kDnsPatience{3000};

}  // namespace

/// Summed over the shards: waiting mail, pauses, the last answer.
json::object Gateway::health_of(const std::string& next_hop) {
  std::uint64_t ready = 0, waiting = 0, active = 0, window = 0;
  WallTime paused_until{};
  bool suspended = false;
  std::string last_reply;
  for (const auto& stats : survey_queues_now(shards_, kShardPatience)) {
    if (!stats) continue;
    for (const auto& hop : stats->next_hops) {
      if (hop.name != next_hop) continue;
      ready += hop.ready;
      waiting += hop.waiting;
      active += hop.active;
      window += hop.window;
      suspended = suspended || hop.suspended;
      paused_until = std::max(paused_until, hop.paused_until);
      if (!hop.last_reply.empty()) last_reply = hop.last_reply;
    }
  }
  json::object object{
      {"ready", ready}, {"waiting", waiting}, {"active", active}, {"window", window}};
  std::string words = "no trouble known";
  if (suspended) {
    words = "suspended by an operator";
  } else if (paused_until > Clock::system().now()) {
    words = "left alone until " + routing::format_time(paused_until) + " after trouble";
  } else if (waiting > 0) {
    words =
        counted(waiting, "delivery waits for its", "deliveries wait for their") + " next attempt";
  }
  object["words"] = words;
  if (!last_reply.empty()) object["last_reply"] = last_reply;
  return object;
}

void Gateway::explain(const admin::Call& call, std::function<void(admin::Answer)> done) {
  auto fields = admin::Fields::of_query(call.query);
  const auto question = read_question(fields, Clock::system().now());
  if (const auto wrong = fields.finish(); !wrong.empty()) return done(refuse_fields(wrong));
  auto object =
      std::make_shared<json::object>(waypost::app::explain(question, *router_.get(), config_));
  const std::string next_hop = text_of(*object, "next_hop");
  const auto hop = std::find_if(config_.next_hops.begin(), config_.next_hops.end(),
                                [&](const auto& one) { return one.name == next_hop; });
  if (hop == config_.next_hops.end()) return done(answer_json(200, *object));
  (*object)["next_hop_health"] = health_of(next_hop);
  std::string domain = hop->mx_domain;
  if (hop->mx_of_recipient) {
    const std::string target = text_of(*object, "target");
    domain = target.substr(target.rfind('@') + 1);
  }
  if (domain.empty()) return done(answer_json(200, *object));
  shards_.front()->ask_mx(
      domain, kDnsPatience, [object, done = std::move(done)](Result<net::MxAnswer> answer) {
        if (!answer) {
          (*object)["mx_trouble"] = answer.error().message;
        } else if (answer->null_mx) {
          (*object)["mx_trouble"] = "a null MX: the domain takes no mail (RFC 7505)";
        } else {
          json::array hosts;
          for (const auto& host : answer->hosts)
            hosts.emplace_back(std::to_string(host.preference) + " " + host.name);
          (*object)["mx"] = std::move(hosts);
        }
        done(answer_json(200, *object));
      });
}

}  // namespace waypost::app
