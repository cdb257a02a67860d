// What the gateway says about itself: metrics, health, readiness, status, explanations.
#include "waypost/ops/log.h"

#include "app/answers.h"
#include "app/gateway.h"
#include "app/version.h"

#include <boost/json.hpp>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::chrono::milliseconds kShardPatience{500};
constexpr std::chrono::seconds kShardSilence{20};
constexpr std::chrono::seconds kTrackingPatience{2};

std::int64_t unix_seconds(WallTime at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

admin::Answer json_answer(unsigned status, const json::value& value) {
  return {status, "application/json", json::serialize(value) + "\n"};
}

}  // namespace

std::vector<admin::Action> Gateway::actions() {
  std::vector<admin::Action> list;
  list.push_back({"GET", "/metrics", true, [this](const admin::Call&) {
                    refresh_gauges();
                    return admin::Answer{200, "text/plain; version=0.0.4; charset=utf-8",
                                         metrics_.serialize()};
                  }});
  list.push_back({"GET", "/healthz", true, [this](const admin::Call&) { return health(); }});
  list.push_back({"GET", "/readyz", true, [this](const admin::Call&) { return ready(); }});
  list.push_back({"GET", "/v1/status", false, [this](const admin::Call&) { return status(); }});
  list.push_back({"POST", "/v1/explain", false, nullptr,
                  [this](const admin::Call& call, std::function<void(admin::Answer)> done) {
                    explain(call.body, std::move(done));
                  }});
  list.push_back({"POST", "/v1/reload", false, nullptr,
                  [this](const admin::Call& call, std::function<void(admin::Answer)> done) {
                    reload(flag_of(object_of(call.body), "confirm_shrink"),
                           [done = std::move(done)](const ReloadReport& report) {
                             json::array problems;
                             for (const auto& one : report.problems) problems.emplace_back(one);
                             done(json_answer(report.applied ? 200 : 409,
                                              {{"applied", report.applied},
                                               {"summary", report.summary},
                                               {"problems", std::move(problems)}}));
                           });
                  }});
  add_queue_actions(list);
  add_wave_actions(list);
  add_table_actions(list);
  add_directory_actions(list);
  return list;
}

admin::Answer Gateway::health() {
  const auto spool = spool_->health();
  if (spool.read_only) {
    return json_answer(
        503,
        {{"status", "red"},
         {"spool", "read-only: " + spool.reason},
         {"what_to_do", "mend the disk, then restart waypost; what is held is still delivered"}});
  }
  if (spool.stuck)
    return json_answer(
        503, {{"status", "red"},
              {"spool", "the disk does not answer: a write or sync hangs"},
              {"what_to_do", "look at the disk; new mail gets 452 4.3.0 until it answers"}});
  if (!alive()) return json_answer(503, {{"status", "red"}, {"shards", "a shard does not answer"}});
  return json_answer(200, {{"status", "green"}});
}

admin::Answer Gateway::ready() {
  if (stopping_) return json_answer(503, {{"ready", false}, {"why", "shutting down"}});
  if (!table_loaded_)
    return json_answer(503, {{"ready", false}, {"why", "routing table: " + table_trouble_}});
  if (spool_->read_only())
    return json_answer(503, {{"ready", false}, {"why", "the spool is read-only"}});
  if (spool_->stuck())
    return json_answer(503, {{"ready", false}, {"why", "the spool's disk does not answer"}});
  if (!spool_->has_room())
    return json_answer(503, {{"ready", false}, {"why", "too little free space for the spool"}});
  return json_answer(200, {{"ready", true}});
}

admin::Answer Gateway::status() {
  const auto spool = spool_->health();
  const auto router = router_.get();
  json::object next_hops;
  std::uint64_t messages = 0;
  std::uint64_t held = 0;
  for (auto& shard : shards_) {
    const auto stats = shard->queue_stats(kShardPatience);
    if (!stats) continue;
    messages += stats->messages;
    held += stats->held;
    for (const auto& hop : stats->next_hops) {
      auto& shown = next_hops[hop.name];
      if (!shown.is_object())
        shown = json::object{{"ready", 0},  {"waiting", 0},       {"active", 0},
                             {"window", 0}, {"suspended", false}, {"last_reply", ""}};
      auto& object = shown.as_object();
      const auto add = [&object](std::string_view key, std::uint64_t n) {
        object[key] = object[key].to_number<std::uint64_t>() + n;
      };
      add("ready", hop.ready);
      add("waiting", hop.waiting);
      add("active", hop.active);
      add("window", hop.window);
      if (hop.suspended) object["suspended"] = true;
      if (hop.paused_until != WallTime{}) object["paused_until"] = unix_seconds(hop.paused_until);
      if (!hop.last_reply.empty()) object["last_reply"] = hop.last_reply;
    }
  }
  // Whoever waits for an empty queue reads the tracking log next: what is counted here is in it.
  flush_tracking();
  return json_answer(
      200,
      {{"version", kVersion},
       {"started_at", unix_seconds(started_at_)},
       {"sessions", server_->sessions()},
       {"table",
        {{"entries", router->table().size()},
         {"loaded_at", unix_seconds(router->loaded_at())},
         {"trouble", table_trouble_}}},
       {"queue", {{"messages", messages}, {"held", held}, {"next_hops", std::move(next_hops)}}},
       {"spool",
        {{"read_only", spool.read_only},
         {"stuck", spool.stuck},
         {"reason", spool.reason},
         {"messages", spool.messages},
         {"used_octets", spool.used_octets},
         {"free_octets", spool.free_octets},
         {"segments_live", spool.segments_live},
         {"segments_spare", spool.segments_spare}}},
       {"memory_for_content", {{"used", budget_.used()}, {"limit", budget_.limit()}}}});
}

bool Gateway::flush_tracking() {
  if (tracking_->flush(kTrackingPatience)) return true;
  ops::log().error("tracking log: not written within {} s; look at its disk",
                   kTrackingPatience.count());
  return false;
}

void Gateway::refresh_gauges() {
  const auto count_up = [](ops::Counter& counter, std::uint64_t now) {
    counter.add(now - std::min(now, counter.value()));
  };
  count_up(metrics_.counter("waypost_log_lines_dropped_total",
                            "Lines of the service log that nobody could be given"),
           ops::log_lines_dropped());
  count_up(metrics_.counter("waypost_tracking_lines_lost_total",
                            "Lines of the tracking log that could not be written"),
           tracking_->lines_lost());
  const auto spool = spool_->health();
  metrics_.gauge("waypost_spool_read_only", "1 after a failed sync").set(spool.read_only ? 1 : 0);
  metrics_.gauge("waypost_spool_stuck", "1 while the spool's disk does not answer")
      .set(spool.stuck ? 1 : 0);
  metrics_.gauge("waypost_spool_messages", "Messages in the spool")
      .set(static_cast<std::int64_t>(spool.messages));
  metrics_.gauge("waypost_spool_used_bytes", "Octets that the spool takes on disk")
      .set(static_cast<std::int64_t>(spool.used_octets));
  metrics_.gauge("waypost_spool_free_bytes", "Octets free on the spool's file system")
      .set(static_cast<std::int64_t>(spool.free_octets));
  metrics_.gauge("waypost_sessions", "SMTP sessions that are open")
      .set(static_cast<std::int64_t>(server_->sessions()));
  metrics_.gauge("waypost_content_memory_bytes", "Octets of message content in memory")
      .set(static_cast<std::int64_t>(budget_.used()));
  metrics_.gauge("waypost_table_entries", "Entries of the routing table")
      .set(static_cast<std::int64_t>(router_.get()->table().size()));
  metrics_.gauge("waypost_table_loaded", "0 while no routing table could be loaded")
      .set(table_loaded_ ? 1 : 0);
  metrics_.gauge("waypost_table_loaded_timestamp_seconds", "When the table in use was loaded")
      .set(unix_seconds(router_.get()->loaded_at()));
  std::map<std::string, queue::NextHopState> sums;
  std::int64_t held = 0;
  std::int64_t oldest = 0;
  for (auto& shard : shards_) {
    const auto stats = shard->queue_stats(kShardPatience);
    if (!stats) continue;
    held += static_cast<std::int64_t>(stats->held);
    if (stats->oldest != WallTime{}) {
      oldest = std::max(oldest, unix_seconds(Clock::system().now()) - unix_seconds(stats->oldest));
    }
    for (const auto& hop : stats->next_hops) {
      auto& sum = sums[hop.name];
      sum.ready += hop.ready;
      sum.waiting += hop.waiting;
      sum.active += hop.active;
      sum.window += hop.window;
      sum.suspended = sum.suspended || hop.suspended;
      sum.consecutive_site_troubles += hop.consecutive_site_troubles;
    }
  }
  metrics_.gauge("waypost_queue_held_messages", "Messages held for a wave").set(held);
  metrics_.gauge("waypost_queue_oldest_seconds", "Age of the oldest message in the queue")
      .set(oldest);
  for (const auto& [name, sum] : sums) {
    const auto set = [&](std::string_view state, std::uint64_t n) {
      metrics_
          .gauge("waypost_queue_jobs", "Deliveries in the queue, by next hop and state",
                 {{"next_hop", name}, {"state", std::string(state)}})
          .set(static_cast<std::int64_t>(n));
    };
    set("ready", sum.ready);
    set("waiting", sum.waiting);
    set("active", sum.active);
    const ops::Labels labels = {{"next_hop", name}};
    metrics_.gauge("waypost_queue_window", "Deliveries that may run at once, by next hop", labels)
        .set(sum.window);
    metrics_.gauge("waypost_queue_suspended", "1 while an operator has suspended it", labels)
        .set(sum.suspended ? 1 : 0);
    metrics_
        .gauge("waypost_queue_site_troubles", "Pauses in a row, all shards; 0: it is well", labels)
        .set(sum.consecutive_site_troubles);
  }
}

void Gateway::request_beats() {
  for (auto& shard : shards_) shard->request_beat();
}

bool Gateway::alive() const {
  const auto now = Clock::system().steady_now();
  return std::all_of(shards_.begin(), shards_.end(),
                     [now](const auto& shard) { return now - shard->last_beat() < kShardSilence; });
}

std::string Gateway::status_line() const {
  if (spool_->read_only()) return "spool read-only; refusing new mail, delivering what is held";
  if (spool_->stuck()) return "the spool's disk does not answer; refusing new mail";
  if (!table_loaded_) return "no routing table: " + table_trouble_;
  return std::to_string(router_.get()->table().size()) + " routing entries, " +
         std::to_string(server_->sessions()) + " sessions, " +
         std::to_string(spool_->health().messages) + " messages in the spool";
}

}  // namespace waypost::app
