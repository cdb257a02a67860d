// Waves in the running gateway: what operators see of them, say to them, and what the schedule
// brings. The states themselves are routing's; here they are put into use.
#include "waypost/ops/log.h"
#include "waypost/routing/spelling.h"
#include "waypost/routing/wave_plan.h"

#include "app/answers.h"
#include "app/gateway.h"

#include <algorithm>
#include <utility>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::size_t kMembersAtOnce = 2000;
constexpr std::chrono::milliseconds kMovesPatience{1000};

json::object change_json(const routing::WaveChange& change) {
  json::object object{{"to", routing::to_string(change.to)}, {"by", change.by}};
  if (change.at > WallTime{}) object["at"] = routing::format_time(change.at);
  if (change.said_at > WallTime{}) object["said_at"] = routing::format_time(change.said_at);
  if (!change.reason.empty()) object["reason"] = change.reason;
  return object;
}

/// One wave in a line of `wave list`.
json::object wave_json(const routing::Wave* wave, const std::string& name, std::uint64_t people,
                       WallTime now) {
  const auto state = wave != nullptr ? wave->state_at(now) : routing::EntryState::pending;
  json::object object{{"wave", name}, {"state", routing::to_string(state)}, {"people", people}};
  if (wave == nullptr) return object;
  if (wave->shadow) object["shadow"] = true;
  if (!wave->members.empty()) object["exceptions"] = wave->members.size();
  if (wave->schedule_replaced) object["schedule_replaced"] = true;
  if (const auto* next = wave->next_after(now)) object["next"] = change_json(*next);
  const routing::WaveChange* since = nullptr;
  for (const auto& change : wave->changes)
    if (change.at <= now) since = &change;
  if (since != nullptr) object["since"] = change_json(*since);
  return object;
}

Result<routing::WaveVerb> verb_of(const std::string& text) {
  std::vector<std::string_view> known;
  for (const auto verb :
       {routing::WaveVerb::hold, routing::WaveVerb::activate, routing::WaveVerb::rollback,
        routing::WaveVerb::reset, routing::WaveVerb::shadow, routing::WaveVerb::unshadow,
        routing::WaveVerb::cancel}) {
    if (routing::to_string(verb) == text) return verb;
    known.push_back(routing::to_string(verb));
  }
  return fail(ErrorKind::invalid, "no such verb '" + text + "'" + routing::suggestion(text, known));
}

}  // namespace

void Gateway::add_wave_actions(std::vector<admin::Action>& list) {
  list.push_back({"GET", "/v1/waves", false, [this](const admin::Call&) { return list_waves(); }});
  list.push_back({"POST", "/v1/wave/show", false,
                  [this](const admin::Call& call) { return show_wave(call.body); }});
  list.push_back({"POST", "/v1/wave/members", false,
                  [this](const admin::Call& call) { return wave_members(call.body); }});
  list.push_back({"POST", "/v1/wave/plan", false,
                  [this](const admin::Call& call) { return plan_wave(call); }});
  list.push_back({"POST", "/v1/wave/command", false,
                  [this](const admin::Call& call) { return command_wave(call); }});
}

/// Counted once a table: a million entries take a moment.
const std::map<std::string, std::uint64_t>& Gateway::people_of_waves() {
  const auto router = router_.get();
  if (counted_table_ != &router->table() || counted_at_ != router->loaded_at()) {
    people_of_waves_.clear();
    router->table().for_each([this](const routing::Entry& entry) {
      if (!entry.wave.empty()) ++people_of_waves_[entry.wave];
    });
    counted_table_ = &router->table();
    counted_at_ = router->loaded_at();
  }
  return people_of_waves_;
}

/// Empty: known. Else what to say.
std::string Gateway::unknown_wave(const std::string& name) {
  if (name.empty()) return "name a wave; 'waypost wave list' shows them";
  const auto router = router_.get();
  const auto& people = people_of_waves();
  if (people.contains(name) || router->waves().find(name) != nullptr) return {};
  std::vector<std::string_view> known;
  for (const auto& [wave, count] : people) known.push_back(wave);
  for (const auto& [wave, about] : router->waves().all())
    if (!people.contains(wave)) known.push_back(wave);
  if (known.empty())
    return "there is no wave '" + name +
           "': no entry of the table names one, nor does the "
           "section 'waves'";
  return "there is no wave '" + name + "'" + routing::suggestion(name, known);
}

admin::Answer Gateway::list_waves() {
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  const auto& people = people_of_waves();
  json::array waves;
  for (const auto& [name, count] : people)
    waves.emplace_back(wave_json(router->waves().find(name), name, count, now));
  for (const auto& [name, wave] : router->waves().all())
    if (!people.contains(name)) waves.emplace_back(wave_json(&wave, name, 0, now));
  return answer_json(200, json::object{{"waves", std::move(waves)}});
}

admin::Answer Gateway::show_wave(std::string_view body) {
  const std::string name = text_of(object_of(body), "wave");
  if (const auto why = unknown_wave(name); !why.empty()) return refuse_call(404, why);
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  const auto* wave = router->waves().find(name);
  const auto count = people_of_waves().find(name);
  json::object answer =
      wave_json(wave, name, count == people_of_waves_.end() ? 0 : count->second, now);
  std::map<std::string, std::uint64_t> states;
  std::map<std::string, std::uint64_t> sources;
  std::uint64_t own_state = 0;
  router->table().for_each([&](const routing::Entry& entry) {
    if (entry.wave != name) return;
    ++states[std::string(routing::to_string(router->state_of(entry, now)))];
    ++sources[entry.place.source];
    if (entry.has_state) ++own_state;
  });
  answer["states"] = json::value_from(states);
  answer["sources"] = json::value_from(sources);
  if (own_state > 0) answer["with_own_state"] = own_state;
  json::array history;
  for (const auto& command : wave_journal_->commands()) {
    if (command.wave == name) history.emplace_back(json::parse(routing::to_json(command)));
  }
  answer["history"] = std::move(history);
  if (wave != nullptr) {
    json::array changes;
    for (const auto& change : wave->changes) changes.emplace_back(change_json(change));
    answer["changes"] = std::move(changes);
    json::object exceptions;
    for (const auto& [address, state] : wave->members)
      exceptions[address] = routing::to_string(state);
    if (!exceptions.empty()) answer["exception_states"] = std::move(exceptions);
  }
  return answer_json(200, answer);
}

/// A page: {"wave":"wave-3","from":0} gives `members` and, if there are more, `from`.
admin::Answer Gateway::wave_members(std::string_view body) {
  const json::object request = object_of(body);
  const std::string name = text_of(request, "wave");
  if (const auto why = unknown_wave(name); !why.empty()) return refuse_call(404, why);
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  const std::uint64_t from = count_of(request, "from");
  std::uint64_t seen = 0;
  json::array members;
  router->table().for_each([&](const routing::Entry& entry) {
    if (entry.wave != name || seen++ < from || members.size() >= kMembersAtOnce) return;
    json::object member{{"address", entry.address.to_string()},
                        {"target", entry.target.to_string()},
                        {"state", routing::to_string(router->state_of(entry, now))},
                        {"place", entry.place.to_string()}};
    if (entry.has_state) member["own_state"] = true;
    members.emplace_back(std::move(member));
  });
  json::object answer{{"people", seen}};
  if (from + members.size() < seen) answer["from"] = from + members.size();
  answer["members"] = std::move(members);
  return answer_json(200, answer);
}

Result<routing::WaveCommand> Gateway::wave_command_of(const json::object& request) {
  routing::WaveCommand command;
  const auto verb = verb_of(text_of(request, "verb"));
  if (!verb) return fail(verb.error());
  command.verb = *verb;
  command.wave = text_of(request, "wave");
  command.reason = text_of(request, "reason");
  command.queued = count_of(request, "queued");
  command.said_at = Clock::system().now();
  if (const auto text = text_of(request, "at"); !text.empty()) {
    const auto at = routing::parse_time(text, command.said_at);
    if (!at) return fail(at.error());
    if (!routing::state_after(*verb))
      return fail(ErrorKind::invalid, "'" + std::string(routing::to_string(*verb)) +
                                          "' acts at once; it takes no time");
    if (*at <= command.said_at && text != "now")
      return fail(ErrorKind::invalid, routing::format_time(*at) +
                                          " is over; leave the time out to "
                                          "act now");
    if (*at > command.said_at) command.at = *at;
  }
  if (const auto* members = request.if_contains("members"); members != nullptr) {
    if (!members->is_array()) return fail(ErrorKind::invalid, "'members' must be a list");
    for (const auto& one : members->as_array()) {
      const std::string text = one.is_string() ? std::string(one.as_string()) : std::string();
      const auto mailbox = mail::parse_mailbox(text);
      auto key = mailbox ? routing::normalise_key(*mailbox) : fail(mailbox.error());
      if (!key) return fail(ErrorKind::invalid, "'" + text + "': " + key.error().message);
      command.members.push_back(std::move(*key));
    }
  }
  if (!command.members.empty() && (command.at || !routing::state_after(command.verb)))
    return fail(ErrorKind::invalid,
                "single people can be held, activated, rolled back and reset, and only at once");
  return command;
}

/// Empty: all of them are people of the wave.
std::string Gateway::strangers_to_wave(const routing::WaveCommand& command) const {
  const auto router = router_.get();
  for (const auto& member : command.members) {
    const auto entry = router->table().find(member);
    if (!entry) return "'" + member + "' is not in the table";
    if (entry->wave != command.wave)
      return "'" + member + "' (" + entry->place.to_string() + ") is " +
             (entry->wave.empty() ? "of no wave" : "of wave '" + entry->wave + "'") + ", not of '" +
             command.wave + "'";
  }
  return {};
}

/// Reads and checks a command; an Answer says why it can't be.
std::variant<routing::WaveCommand, admin::Answer> Gateway::checked_wave_command(
    const admin::Call& call) {
  auto command = wave_command_of(object_of(call.body));
  if (!command) return refuse_call(400, command.error().message);
  if (const auto why = unknown_wave(command->wave); !why.empty()) return refuse_call(404, why);
  if (const auto why = strangers_to_wave(*command); !why.empty()) return refuse_call(400, why);
  command->by = call.by;
  command->people = command->members.size();
  if (command->members.empty()) {
    const auto count = people_of_waves().find(command->wave);
    if (count != people_of_waves_.end()) command->people = count->second;
  }
  return std::move(*command);
}

/// What the command would change, by the very router that it would make.
admin::Answer Gateway::plan_wave(const admin::Call& call) {
  auto checked = checked_wave_command(call);
  if (auto* refused = std::get_if<admin::Answer>(&checked)) return std::move(*refused);
  const auto& command = std::get<routing::WaveCommand>(checked);
  const auto now = router_.get();
  auto commands = wave_journal_->commands();
  commands.push_back(command);
  const auto then = now->with_waves(routing::Waves::make(config_.routing.waves, commands));
  const WallTime at = command.at.value_or(command.said_at);
  const auto most = static_cast<std::size_t>(count_of(object_of(call.body), "names"));
  const auto plan = routing::plan_wave(*now, *then, command.wave, at, most);
  json::array moves;
  for (const auto& [move, count] : plan.moves)
    moves.emplace_back(json::object{{"from", routing::to_string(move.first)},
                                    {"to", routing::to_string(move.second)},
                                    {"people", count}});
  json::array changes;
  for (const auto& change : plan.changes)
    changes.emplace_back(json::object{{"address", change.entry.address.to_string()},
                                      {"from", routing::to_string(change.was)},
                                      {"to", routing::to_string(change.will_be)},
                                      {"target", change.target},
                                      {"next_hop", change.next_hop},
                                      {"place", change.entry.place.to_string()}});
  return answer_json(200, json::object{{"wave", command.wave},
                                       {"verb", routing::to_string(command.verb)},
                                       {"at", routing::format_time(at)},
                                       {"people", plan.people},
                                       {"changed", plan.changed()},
                                       {"moves", std::move(moves)},
                                       {"changes", std::move(changes)},
                                       {"conflict_count", plan.conflict_count},
                                       {"conflicts", json::value_from(plan.conflicts)}});
}

admin::Answer Gateway::command_wave(const admin::Call& call) {
  auto checked = checked_wave_command(call);
  if (auto* refused = std::get_if<admin::Answer>(&checked)) return std::move(*refused);
  auto* const command = &std::get<routing::WaveCommand>(checked);
  const auto before = router_.get()->waves().find(command->wave);
  json::object answer{
      {"wave", command->wave},
      {"verb", routing::to_string(command->verb)},
      {"people", command->people},
      {"state_before", routing::to_string(before != nullptr ? before->state_at(command->said_at)
                                                            : routing::EntryState::pending)}};
  if (command->at) answer["at"] = routing::format_time(*command->at);
  if (auto kept = wave_journal_->append(*command); !kept)
    return refuse_call(500, "nothing changed: " + kept.error().message);
  router_.set(router_.get()->with_waves(
      routing::Waves::make(config_.routing.waves, wave_journal_->commands())));
  note_wave_command(*command);
  if (!command->at) answer["moves"] = apply_wave(command->wave);
  const auto* after = router_.get()->waves().find(command->wave);
  if (after != nullptr) answer["state"] = routing::to_string(after->state_at(command->said_at));
  return answer_json(200, answer);
}

/// What is queued is asked again. Says what has come of it so far, which is all of it unless very
/// much is queued.
json::object Gateway::apply_wave(const std::string& wave) {
  auto moves = std::make_shared<WaveMoves>(shards_.size());
  auto counted = moves->all_counted.get_future();
  for (auto& shard : shards_) shard->apply_wave(wave, moves);
  const bool all = counted.wait_for(kMovesPatience) == std::future_status::ready;
  return {{"let_go", moves->let_go.load()},     {"in_delivery", moves->in_delivery.load()},
          {"rerouted", moves->rerouted.load()}, {"suspended", moves->suspended.load()},
          {"held", moves->held.load()},         {"all", all}};
}

/// Into the service log and the tracking log.
void Gateway::note_wave_command(const routing::WaveCommand& command) {
  std::string what =
      "wave '" + command.wave + "': " + std::string(routing::to_string(command.verb));
  if (command.at) what += " scheduled for " + routing::format_time(*command.at);
  what += ", " + std::to_string(command.people) +
          (command.members.empty() ? " people" : " people by name");
  if (!command.reason.empty()) what += " (" + command.reason + ")";
  ops::log().info("{}: {}", command.by, what);
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::control;
  event.at = command.said_at;
  event.wave = command.wave;
  event.by = command.by;
  const std::string action = "wave " + std::string(routing::to_string(command.verb));
  event.action = action;
  event.why = what;
  event.recipients = static_cast<std::uint32_t>(command.people);
  tracking_->write(event);
}

void Gateway::apply_due_waves() {
  const WallTime now = Clock::system().now();
  const WallTime seen = std::exchange(waves_seen_at_, now);
  if (now <= seen) return;
  const auto router = router_.get();
  for (const auto& [name, wave] : router->waves().all()) {
    for (const auto& change : wave.changes) {
      if (change.at <= seen || change.at > now || change.said_at >= change.at) continue;
      const std::string what = "wave '" + name + "' is " +
                               std::string(routing::to_string(change.to)) +
                               " now, as scheduled by " + change.by;
      ops::log().info("{}", what);
      ops::TrackingEvent event;
      event.kind = ops::TrackingKind::control;
      event.at = now;
      event.wave = name;
      event.by = change.by;
      event.action = "wave schedule";
      event.why = what;
      tracking_->write(event);
      for (auto& shard : shards_) shard->apply_wave(name, nullptr);
    }
  }
}

}  // namespace waypost::app
