// The admin API's part about the queue. Every request looks at one slice of one shard and says
// where to go on, so that neither this thread nor a shard is ever busy with it for long.
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"
#include "waypost/queue/control_json.h"

#include "app/answers.h"
#include "app/gateway.h"
#include "app/queue_request.h"

#include <boost/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::chrono::milliseconds kShardPatience{5000};
constexpr std::uint32_t kSlice = 512;
constexpr std::uint32_t kQuickSlice = 1 << 20;  // by queue id: nothing is read
constexpr std::size_t kMostIds = 1024 * 1024;   // octets of a command with its queue ids

/// Where the walk goes on; absent at its end.
void add_next(json::object& answer, QueueCursor cursor, std::uint32_t next, std::size_t shards) {
  if (next != 0) {
    answer["shard"] = cursor.shard;
    answer["from"] = next;
  } else if (cursor.shard + 1 < shards) {
    answer["shard"] = cursor.shard + 1;
    answer["from"] = 0;
  }
}

json::array as_json(const std::vector<queue::Selector>& selectors) {
  json::array all;
  for (const auto& one : selectors) all.emplace_back(json::parse(queue::to_json(one)));
  return all;
}

queue::Slice slice_of(QueueCursor cursor, const queue::Selector& selector) {
  return {cursor.from, selector.ids.empty() ? kSlice : kQuickSlice};
}

}  // namespace

void Gateway::add_queue_actions(std::vector<admin::Action>& list) {
  list.push_back({"GET", "/v1/queue/list", false, [this](const admin::Call& call) {
                    auto fields = admin::Fields::of_query(call.query);
                    auto request = read_queue_question(fields, shards_.size());
                    if (const auto wrong = fields.finish(); !wrong.empty())
                      return refuse_fields(wrong);
                    return list_queue(std::move(request));
                  }});
  list.push_back({"POST",
                  "/v1/queue/export",
                  false,
                  [this](const admin::Call& call) { return export_queue(call); },
                  {},
                  kMostIds});
  list.push_back({"POST",
                  "/v1/queue/control",
                  false,
                  [this](const admin::Call& call) { return control_queue(call); },
                  {},
                  kMostIds});
  list.push_back({"GET", "/v1/queue/content", false,
                  [this](const admin::Call& call) { return content_of(call); }});
}

admin::Answer Gateway::list_queue(QueueRequest request) {
  const QueueCursor cursor = request.cursor;
  queue::Selector& selector = request.command.selector;
  if (const auto why = cursor.at_begin() ? unknown_in(selector) : std::string(); !why.empty())
    return refuse_call(400, why);
  const queue::Slice slice = slice_of(cursor, selector);
  if (!selector.ids.empty()) flush_tracking();  // `show` reads its history next
  const auto result = shards_[cursor.shard]->ask_queue<queue::ListResult>(
      kShardPatience, [selector = std::move(selector), slice](queue::Queue& queue) {
        return queue.list(selector, slice);
      });
  if (!result) return refuse_call(503, "a shard does not answer in time; try again");
  json::object answer;
  add_next(answer, cursor, result->next, shards_.size());
  std::string text = json::serialize(answer);
  text.pop_back();  // the messages are serialised already
  text += answer.empty() ? "\"messages\":[" : ",\"messages\":[";
  for (const auto& message : result->messages) {
    if (text.back() != '[') text += ',';
    text += queue::to_json(message);
  }
  return {200, "application/json", printable(text) + "]}\n"};
}

/// A list whose contents are fetched next: who took copies of people's mail is on record.
admin::Answer Gateway::export_queue(const admin::Call& call) {
  auto fields = admin::Fields::of_body(call.body);
  auto request = read_queue_export(fields, shards_.size());
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  if (request.cursor.at_begin())
    track_command(call.by, "export", request.command.selector, request.command.reason);
  return list_queue(std::move(request));
}

/// What only the whole process can say: the journal has it, then all shards, before any of them
/// begins to walk. So no shard ever stands otherwise than the journal says.
std::optional<admin::Answer> Gateway::let_stand(const queue::Command& command) {
  if (auto kept = journal_->append(command, {}); !kept)
    return refuse_call(
        500, "nothing is done, for it would not survive a restart: " + kept.error().message);
  track_command(command.by, to_string(command.verb), command.selector, command.reason);
  std::vector<std::future<void>> told;
  for (auto& shard : shards_)
    told.push_back(shard->tell_queue([command](queue::Queue& queue) { queue.stand(command); }));
  const auto until = Clock::system().steady_now() + kShardPatience;
  for (auto& one : told) {
    if (one.wait_until(until) != std::future_status::ready)
      return refuse_call(
          503, "a shard is busy; it is noted and will stand as soon as the shard hears of it");
  }
  return std::nullopt;
}

/// A line of the tracking log for a command as a whole.
void Gateway::track_command(std::string_view by, std::string_view action,
                            const queue::Selector& selector, const std::string& reason) {
  const std::string meant = selector.everything() ? "everything" : queue::to_json(selector);
  const std::string why = reason.empty() ? meant : reason + "; " + meant;
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::control;
  event.at = Clock::system().now();
  event.by = by;
  event.action = action;
  event.why = why;
  tracking_->write(event);
  flush_tracking();
}

admin::Answer Gateway::control_queue(const admin::Call& call) {
  auto fields = admin::Fields::of_body(call.body);
  auto request = read_queue_command(fields, shards_.size());
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  queue::Command* const command = &request.command;
  command->by = call.by;
  if (command->verb == queue::Verb::reroute &&
      std::none_of(config_.next_hops.begin(), config_.next_hops.end(),
                   [&](const auto& hop) { return hop.name == command->next_hop; }))
    return refuse_call(400, "there is no next hop '" + command->next_hop + "'");
  const QueueCursor cursor = request.cursor;
  if (queue::must_survive(command->verb) && !command->dry_run) {
    if (auto usable = journal_->usable(); !usable)
      return refuse_call(
          500, "nothing is done, for it would not survive a restart: " + usable.error().message);
  }
  const bool standing =
      command->verb == queue::Verb::suspend || command->verb == queue::Verb::resume;
  const auto& stand = journal_->state().suspensions;
  const bool stood = std::find(stand.begin(), stand.end(), command->selector) != stand.end();
  // Once: a walk goes on though its own beginning has ended what it names, as a resume does, or has
  // given up the last mail of a next hop. What stands may be ended, whether what it names is still
  // there or not.
  if (cursor.at_begin() && !stood) {
    if (const auto why = unknown_in(command->selector); !why.empty()) return refuse_call(400, why);
  }
  const bool nothing_to_end = command->verb == queue::Verb::resume && cursor.at_begin() && !stood &&
                              (stand.empty() || !command->selector.everything());
  if (standing && !command->dry_run && cursor.at_begin()) {
    if (auto refused = let_stand(*command)) return *refused;
  }
  const queue::Slice slice = slice_of(cursor, command->selector);
  const auto result = shards_[cursor.shard]->ask_queue<queue::ControlResult>(
      kShardPatience,
      [what = *command, slice](queue::Queue& queue) { return queue.control(what, slice); });
  if (!result)
    return refuse_call(503,
                       "a shard does not answer in time; look at what is done, then try again");
  flush_tracking();  // who did it is on record before it is answered
  auto kept = standing ? Result<>() : journal_->append(*command, result->touched);
  if (!kept)
    return refuse_call(500, "done, but it will not survive a restart: " + kept.error().message);
  json::array ids;
  for (const auto& touched : result->touched) ids.emplace_back(touched.id.to_string());
  json::object answer{{"messages", result->touched.size()},
                      {"recipients", result->recipients},
                      {"queue_ids", std::move(ids)},
                      {"suspended", result->suspended},
                      {"in_delivery", result->in_delivery}};
  if (standing) answer["suspensions"] = as_json(journal_->state().suspensions);
  if (nothing_to_end) answer["nothing_to_end"] = true;
  add_next(answer, cursor, result->next, shards_.size());
  return answer_json(200, answer);
}

/// nullopt: a shard does not answer in time.
std::optional<std::set<std::string>> Gateway::next_hops_with_mail() {
  std::set<std::string> names;
  for (auto& shard : shards_) {
    const auto stats = shard->ask_queue<queue::QueueStats>(
        kShardPatience, [](queue::Queue& queue) { return queue.stats(); });
    if (!stats) return std::nullopt;
    for (const auto& hop : stats->next_hops)
      if (hop.ready + hop.waiting + hop.active > 0) names.insert(hop.name);
  }
  return names;
}

/// Next hops that are not in this configuration, but that mail waits for: an operator has rerouted
/// it there, for routing names only what there is.
std::vector<std::string> Gateway::mail_left_behind(const config::Config& config) {
  std::set<std::string> gone;
  for (const auto& hop : config_.next_hops) gone.insert(hop.name);
  for (const auto& hop : config.next_hops) gone.erase(hop.name);
  std::vector<std::string> told;
  if (gone.empty()) return told;
  const auto queued = next_hops_with_mail();
  for (const auto& name : gone)
    if (!queued || queued->contains(name))
      told.push_back("next hop '" + name +
                     "' is gone: mail that waits for it, what was rerouted to it included, goes "
                     "where routing sends it; should the next hop come back, 'waypost queue "
                     "reroute' holds again for what is still queued");
  return told;
}

/// At the start: an order whose next hop has left the configuration rests.
void Gateway::tell_resting_reroutes() {
  std::map<std::string, std::size_t> resting;
  for (const auto& [id, ways] : journal_->state().rerouted)
    for (const auto& [recipient, way] : ways) ++resting[way.next_hop];
  for (const auto& hop : config_.next_hops) resting.erase(hop.name);
  for (const auto& [name, count] : resting)
    ops::log().warn(
        "{} rerouted to next hop '{}', which is not configured any more: they go where routing "
        "sends them",
        counted(count, "queued recipient was", "queued recipients were"), name);
}

/// Empty: all that it names is there. A typing mistake must not look like an empty queue.
std::string Gateway::unknown_in(const queue::Selector& selector) {
  if (!selector.wave.empty()) {
    if (auto why = unknown_wave(selector.wave); !why.empty()) return why;
  }
  if (selector.next_hop.empty()) return {};
  std::set<std::string> known;
  for (const auto& hop : config_.next_hops) known.insert(hop.name);
  if (known.contains(selector.next_hop)) return {};
  // One that has left the configuration may still have mail.
  const auto queued = next_hops_with_mail();
  if (!queued) return {};
  known.insert(queued->begin(), queued->end());
  if (known.contains(selector.next_hop)) return {};
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
  return "there is no next hop '" + selector.next_hop + "'; there are: " + names;
}

/// The message as it will be sent, without its envelope.
admin::Answer Gateway::content_of(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  const std::string text = fields.text("queue_id", admin::Need::required);
  const auto id = QueueId::parse(text);
  if (!id && !text.empty())
    fields.refuse("queue_id", "can't be '" + text + "': " + id.error().message);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  for (auto& shard : shards_) {
    const auto found = shard->ask_queue<std::optional<spool::MessageRef>>(
        kShardPatience, [id = *id](queue::Queue& queue) { return queue.find(id); });
    if (!found || !*found) continue;
    auto reader = spool_->read(**found);
    if (!reader) return refuse_call(500, reader.error().message);
    std::string content;
    for (;;) {
      const auto piece = (*reader)->next();
      if (!piece) return refuse_call(500, piece.error().message);
      if (piece->empty()) return {200, "message/rfc822", std::move(content)};
      content += *piece;
    }
  }
  return refuse_call(404, "message " + id->to_string() + " is not in the queue (any more)");
}

}  // namespace waypost::app
