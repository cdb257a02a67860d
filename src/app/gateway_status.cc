// What the gateway says about itself: metrics, health, readiness, status, explanations.
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"

#include "app/answers.h"
#include "app/disk_room.h"
#include "app/gateway.h"
#include "app/version.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::chrono::milliseconds kShardPatience{500};
constexpr std::chrono::seconds kShardSilence{20};
constexpr std::chrono::seconds kTrackingPatience{2};
constexpr std::chrono::minutes kSayEnds{1};          // at most one such line in that time
constexpr std::chrono::seconds kControlSilence{10};  // until then it may just be slow
constexpr std::chrono::minutes kLongPatience{10};    // reading all sources
constexpr std::size_t kMostFields = 64 * 1024;

std::int64_t unix_seconds(WallTime at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

/// By name, over all shards that have answered.
std::map<std::string, queue::NextHopState> sum_next_hops(const QueueSurvey& survey) {
  std::map<std::string, queue::NextHopState> sums;
  for (const auto& stats : survey) {
    if (!stats) continue;
    for (const auto& hop : stats->next_hops) {
      auto& sum = sums[hop.name];
      sum.ready += hop.ready;
      sum.waiting += hop.waiting;
      sum.active += hop.active;
      sum.window += hop.window;
      sum.suspended = sum.suspended || hop.suspended;
      sum.consecutive_site_troubles += hop.consecutive_site_troubles;
      sum.paused_until = std::max(sum.paused_until, hop.paused_until);
      if (!hop.last_reply.empty() && hop.answered_at >= sum.answered_at) {
        sum.last_reply = hop.last_reply;
        sum.answered_at = hop.answered_at;
      }
    }
  }
  return sums;
}

}  // namespace

std::vector<admin::Action> Gateway::actions() {
  using Done = std::function<void(admin::Answer)>;
  std::vector<admin::Action> list;
  list.push_back({"POST", "/v1/reload", false, nullptr,
                  [this](const admin::Call& call, Done done) { reload_for(call, std::move(done)); },
                  kMostFields, kLongPatience});
  list.push_back({"GET", "/v1/explain", false, nullptr,
                  [this](const admin::Call& call, Done done) { explain(call, std::move(done)); }});
  add_queue_actions(list);
  add_wave_actions(list);
  add_table_actions(list);
  add_directory_actions(list);
  for (auto& action : list) action = control_->carry_out(std::move(action));
  // These answer whatever else hangs: on the main thread, without waiting.
  list.push_back({"GET", "/metrics", true, nullptr,
                  [this](const admin::Call&, Done done) { metrics_answer(std::move(done)); }});
  list.push_back({"GET", "/healthz", true, [this](const admin::Call&) { return health(); }});
  list.push_back({"GET", "/readyz", true, nullptr,
                  [this](const admin::Call&, Done done) { ready(std::move(done)); }});
  list.push_back({"GET", "/v1/status", false, nullptr,
                  [this](const admin::Call& call, Done done) { status(call, std::move(done)); }});
  return list;
}

void Gateway::metrics_answer(std::function<void(admin::Answer)> done) {
  survey_queues(shards_, main_io_, kShardPatience,
                [this, done = std::move(done)](const QueueSurvey& survey) {
                  refresh_gauges(survey);
                  done({200, "text/plain; version=0.0.4; charset=utf-8", metrics_.serialize()});
                });
}

admin::Answer Gateway::health() {
  const auto spool = spool_->health();
  if (spool.read_only) {
    return answer_json(
        503,
        {{"status", "red"},
         {"spool", "read-only: " + spool.reason},
         {"what_to_do", "mend the disk, then restart waypost; what is held is still delivered"}});
  }
  if (!spool.displaced.empty())
    return answer_json(503,
                       {{"status", "red"},
                        {"spool", spool.displaced},
                        {"what_to_do",
                         "do not stop waypost before it has passed: a restart would not find the "
                         "mail; new mail gets 452 4.3.0 until then"}});
  if (spool.stuck)
    return answer_json(
        503, {{"status", "red"},
              {"spool", "the disk does not answer: a write or sync hangs"},
              {"what_to_do", "look at the disk; new mail gets 452 4.3.0 until it answers"}});
  if (!spool.failing.empty())
    return answer_json(
        503, {{"status", "red"},
              {"spool", spool.failing},
              {"what_to_do", "look at the disk; it passes with the first write that succeeds"}});
  if (!alive()) return answer_json(503, {{"status", "red"}, {"shards", "a shard does not answer"}});
  return answer_json(200, {{"status", "green"}});
}

/// Empty: it takes mail.
std::string Gateway::not_ready() const {
  const auto standing = standing_.load();
  if (stopping_) return "shutting down";
  if (!standing->table_loaded) return "routing table: " + standing->table_trouble;
  if (!standing->wave_trouble.empty()) return "waves: " + standing->wave_trouble;
  return why_no_mail();
}

void Gateway::ready(std::function<void(admin::Answer)> done) {
  survey_queues(shards_, main_io_, kShardPatience,
                [this, done = std::move(done)](const QueueSurvey& survey) {
                  const std::string why = not_ready();
                  json::object answer{{"ready", why.empty()}};
                  if (!why.empty()) answer["why"] = why;
                  json::array all;
                  for (const auto& one : warnings(survey)) all.emplace_back(one);
                  answer["warnings"] = std::move(all);
                  done(answer_json(why.empty() ? 200 : 503, answer));
                });
}

/// For people: what is wrong beside the question whether mail is taken.
std::vector<std::string> Gateway::warnings(const QueueSurvey& survey) const {
  std::vector<std::string> all = standing_.load()->warnings;
  for (const auto shard : silent_shards(survey))
    all.push_back("shard " + std::to_string(shard) + " does not answer");
  if (auto ends = unwritten_ends(); !ends.empty()) all.push_back(std::move(ends));
  const auto now = Clock::system().now();
  bool stopped = false;
  for (const auto& [name, hop] : sum_next_hops(survey)) {
    stopped = stopped || hop.suspended;
    const std::string waits = counted(hop.ready + hop.waiting, "delivery waits", "deliveries wait");
    if (hop.suspended) all.push_back("next hop " + name + " is suspended by an operator; " + waits);
    if (hop.paused_until > now)
      all.push_back("next hop " + name + " is paused after trouble until " +
                    routing::format_time(hop.paused_until) + "; " + waits +
                    (hop.last_reply.empty() ? "" : "; last answer: " + hop.last_reply));
  }
  if (auto damage = control_damage(); stopped && !damage.empty()) all.push_back(std::move(damage));
  const auto task = control_->now();
  const auto steady = Clock::system().steady_now();
  if (task && steady - task->since >= kControlSilence)
    all.push_back("commands wait: " + task->what + " hangs, a disk or a directory does not answer");
  return all;
}

void Gateway::status(const admin::Call& call, std::function<void(admin::Answer)> done) {
  auto fields = admin::Fields::of_query(call.query);
  if (const auto wrong = fields.finish(); !wrong.empty()) return done(refuse_fields(wrong));
  survey_queues(shards_, main_io_, kShardPatience,
                [this, done = std::move(done)](const QueueSurvey& survey) {
                  const auto answer = answer_json(200, status_json(survey));
                  // Whoever waits for an empty queue reads the tracking log next: what is counted
                  // here is in it.
                  flush_tracking_then([done, answer] { done(answer); });
                });
}

/// By the worker; if it or the disk hangs `done` is called all the same.
void Gateway::flush_tracking_then(std::function<void()> done) {
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock>;
  const auto timer = std::make_shared<Timer>(main_io_, kTrackingPatience);
  timer->async_wait([done = std::move(done)](boost::system::error_code) { done(); });
  control_->post("the tracking log", [this, timer] {
    flush_tracking();
    boost::asio::post(main_io_, [timer] { timer->cancel(); });
  });
}

json::object Gateway::status_json(const QueueSurvey& survey) {
  const auto spool = spool_->health();
  const auto router = router_.get();
  json::object next_hops;
  for (const auto& [name, hop] : sum_next_hops(survey)) {
    json::object object{{"ready", hop.ready},         {"waiting", hop.waiting},
                        {"active", hop.active},       {"window", hop.window},
                        {"suspended", hop.suspended}, {"last_reply", hop.last_reply}};
    if (hop.paused_until != WallTime{})
      object["paused_until"] = routing::format_time(hop.paused_until);
    next_hops[name] = std::move(object);
  }
  std::uint64_t messages = 0;
  std::uint64_t held = 0;
  WallTime held_until = WallTime::max();
  for (const auto& stats : survey) {
    messages += stats ? stats->messages : 0;
    held += stats ? stats->held : 0;
    if (stats) held_until = std::min(held_until, stats->held_until);
  }
  json::object queue{{"messages", messages}, {"held", held}, {"next_hops", std::move(next_hops)}};
  if (held_until != WallTime::max()) queue["held_until"] = routing::format_time(held_until);
  json::array silent;
  for (const auto shard : silent_shards(survey)) silent.emplace_back(shard);
  return {{"version", kVersion},
          {"started_at", routing::format_time(started_at_)},
          {"sessions", server_->sessions()},
          {"shards", {{"running", shards_.size()}, {"not_answering", std::move(silent)}}},
          {"table",
           {{"entries", router->table().size()},
            {"loaded_at", routing::format_time(router->loaded_at())},
            {"trouble", standing_.load()->table_trouble}}},
          {"queue", std::move(queue)},
          {"spool",
           {{"read_only", spool.read_only},
            {"stuck", spool.stuck},
            {"displaced", spool.displaced},
            {"failing", spool.failing},
            {"reason", spool.reason},
            {"messages", spool.messages},
            {"used_octets", spool.used_octets},
            {"free_octets", spool.free_octets},
            {"segments_live", spool.segments_live},
            {"segments_spare", spool.segments_spare}}},
          {"memory_for_content_octets", {{"used", budget_.used()}, {"limit", budget_.limit()}}},
          {"warnings", json::value_from(warnings(survey))}};
}

/// Nobody asked for it, so it keeps no mail; but whoever looks for a message shall know.
void Gateway::tell_no_tracking(const std::string& why) {
  untracked_ = "no tracking log is written: " + why +
               "; 'tracking: {file: none}' if none is wanted, 'waypost reload' tries again";
  ops::log().warn("{}", untracked_);
}

bool Gateway::flush_tracking() {
  if (tracking_->flush(kTrackingPatience)) return true;
  ops::log().error("tracking log: not written within {} s; look at what reads it, or at its disk",
                   kTrackingPatience.count());
  return false;
}

void Gateway::refresh_gauges(const QueueSurvey& survey) {
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
  metrics_
      .gauge("waypost_spool_failing",
             "1 while nothing could be written to, or read from, the spool for ten seconds")
      .set(spool.failing.empty() ? 0 : 1);
  metrics_
      .gauge("waypost_spool_displaced",
             "1 while a file of the spool was removed, moved or covered in use")
      .set(spool.displaced.empty() ? 0 : 1);
  metrics_.gauge("waypost_spool_has_room", "0 while spool.minimum_free keeps mail out")
      .set(spool.room || spool.read_only ? 1 : 0);
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
      .set(standing_.load()->table_loaded ? 1 : 0);
  metrics_.gauge("waypost_table_loaded_timestamp_seconds", "When the table in use was loaded")
      .set(unix_seconds(router_.get()->loaded_at()));
  std::int64_t held = 0;
  std::int64_t oldest = 0;
  for (std::size_t i = 0; i < survey.size(); ++i) {
    metrics_
        .gauge("waypost_shard_answers",
               "0 while the shard does not answer in time: its part is "
               "missing in the numbers of the queue",
               {{"shard", std::to_string(i)}})
        .set(survey[i] ? 1 : 0);
    if (!survey[i]) continue;
    held += static_cast<std::int64_t>(survey[i]->held);
    if (survey[i]->oldest != WallTime{})
      oldest =
          std::max(oldest, unix_seconds(Clock::system().now()) - unix_seconds(survey[i]->oldest));
  }
  metrics_.gauge("waypost_queue_held_messages", "Messages held for a wave").set(held);
  metrics_.gauge("waypost_queue_oldest_seconds", "Age of the oldest message in the queue")
      .set(oldest);
  for (const auto& [name, sum] : sum_next_hops(survey)) {
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
  watch_spool();
  for (auto& shard : shards_) shard->request_beat();
}

bool Gateway::alive() const {
  const auto now = Clock::system().steady_now();
  return std::all_of(shards_.begin(), shards_.end(),
                     [now](const auto& shard) { return now - shard->last_beat() < kShardSilence; });
}

std::string Gateway::why_no_mail() const {
  const auto spool = spool_->health();
  if (spool.read_only) return "the spool is read-only";
  if (!spool.displaced.empty()) return spool.displaced;
  if (spool.stuck) return "the spool's disk does not answer";
  if (!spool.failing.empty()) return "the spool's disk: " + spool.failing;
  if (spool.room) return {};
  return too_little_room(spool.free_octets, spool_options_);
}

/// Said once when it begins, and once when it has passed.
void Gateway::watch_spool() {
  const std::string why = why_no_mail();
  if (why.empty() != spool_trouble_.empty()) {
    if (why.empty())
      ops::log().warn("spool: mail is taken again; {} free in {}",
                      mebibytes(spool_->health().free_octets), spool_options_.directory);
    else
      ops::log().error("spool: {}", why);
  }
  spool_trouble_ = why;
  const std::string ends = unwritten_ends();
  const SteadyTime now = Clock::system().steady_now();
  if (ends.empty()) {
    if (std::exchange(ends_are_told_, false))
      ops::log().warn("spool: the ends of recipients are written again");
  } else if (ends_said_at_ == SteadyTime{} || now - ends_said_at_ >= kSayEnds) {
    ops::log().error("spool: {}", ends);
    ends_said_at_ = now;
    ends_are_told_ = true;
  }
}

std::string Gateway::unwritten_ends() const {
  const auto spool = spool_->health();
  if (spool.unwritten_ends == 0) return {};
  const bool one = spool.unwritten_ends == 1;
  return "the " + std::string(one ? "end" : "ends") + " of " +
         counted(spool.unwritten_ends, "recipient") + " can't be written (" + spool.ends_trouble +
         "); after a restart " + (one ? "it is" : "they are") + " delivered again: make room in " +
         spool_options_.directory + " first";
}

std::string Gateway::status_line() const {
  if (spool_->health().read_only)
    return "spool read-only; refusing new mail, delivering what is held";
  if (const auto why = why_no_mail(); !why.empty()) return why;
  const auto standing = standing_.load();
  if (!standing->table_loaded) return "no routing table: " + standing->table_trouble;
  if (!standing->wave_trouble.empty())
    return "waves.journal is damaged; everybody of a wave gets 451";
  return counted(router_.get()->table().size(), "routing entry", "routing entries") + ", " +
         counted(server_->sessions(), "session") + ", " +
         counted(spool_->health().messages, "message") + " in the spool";
}

}  // namespace waypost::app
