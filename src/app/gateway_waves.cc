// Waves in the running gateway: what operators see of them, say to them, and what the schedule
// brings. The states themselves are routing's; here they are put into use.
#include "waypost/base/spelling.h"
#include "waypost/ops/log.h"
#include "waypost/routing/wave_plan.h"

#include "app/answers.h"
#include "app/gateway.h"
#include "app/wave_view.h"

#include <algorithm>
#include <array>
#include <future>
#include <memory>
#include <set>
#include <utility>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::size_t kMembersAtOnce = 2000;
constexpr std::size_t kMostMembers = 1024 * 1024;  // octets of a command with its members
constexpr std::size_t kMostNamed = 50;             // people whom an answer names
constexpr std::chrono::milliseconds kMovesPatience{1000};

constexpr std::array kVerbs = {routing::WaveVerb::hold,     routing::WaveVerb::activate,
                               routing::WaveVerb::rollback, routing::WaveVerb::reset,
                               routing::WaveVerb::shadow,   routing::WaveVerb::unshadow,
                               routing::WaveVerb::cancel};

/// nullopt: it is none, which the fields tell.
std::optional<routing::WaveVerb> read_verb(admin::Fields& fields) {
  std::array<std::string_view, kVerbs.size()> words;
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = routing::to_string(kVerbs[i]);
  const std::string given = fields.word("verb", words, admin::Need::required);
  for (std::size_t i = 0; i < words.size(); ++i)
    if (words[i] == given) return kVerbs[i];
  return std::nullopt;
}

}  // namespace

void Gateway::add_wave_actions(std::vector<admin::Action>& list) {
  list.push_back(
      {"GET", "/v1/waves", false, [this](const admin::Call& call) { return list_waves(call); }});
  list.push_back(
      {"GET", "/v1/wave/show", false, [this](const admin::Call& call) { return show_wave(call); }});
  list.push_back({"GET", "/v1/wave/members", false,
                  [this](const admin::Call& call) { return wave_members(call); }});
  list.push_back(
      {"GET", "/v1/wave/plan", false, [this](const admin::Call& call) { return plan_wave(call); }});
  list.push_back({"POST", "/v1/wave/accept-journal", false,
                  [this](const admin::Call& call) { return accept_wave_journal(call); }});
  list.push_back({"POST",
                  "/v1/wave/command",
                  false,
                  [this](const admin::Call& call) { return command_wave(call); },
                  {},
                  kMostMembers});
}

/// Counted once a table: a million entries take a moment.
const std::map<std::string, routing::WaveCount>& Gateway::people_of_waves() {
  const auto router = router_.get();
  if (counted_table_ != &router->table() || counted_at_ != router->loaded_at()) {
    people_of_waves_ = routing::count_waves(router->table());
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
  std::set<std::string, std::less<>> known;
  for (const auto& [wave, count] : people) known.insert(wave);
  for (const auto& [wave, about] : router->waves().all()) known.insert(wave);
  if (known.empty())
    return "there is no wave '" + name +
           "': no entry of the table names one, nor does the "
           "section 'waves'";
  // Names of waves are alike: which one was meant is not for us to guess.
  return "there is no wave '" + name + "'" + routing::there_are(known);
}

admin::Answer Gateway::list_waves(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  const auto& people = people_of_waves();
  json::array waves;
  for (const auto& [name, count] : people) waves.emplace_back(wave_json(*router, name, count, now));
  for (const auto& [name, wave] : router->waves().all())
    if (!people.contains(name)) waves.emplace_back(wave_json(*router, name, {}, now));
  return answer_json(200, json::object{{"waves", std::move(waves)}});
}

admin::Answer Gateway::show_wave(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  const std::string name = fields.text("wave", admin::Need::required);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  if (const auto why = unknown_wave(name); !why.empty()) return refuse_call(404, why);
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  const auto* wave = router->waves().find(name);
  const auto count = people_of_waves().find(name);
  json::object answer = wave_json(
      *router, name, count == people_of_waves_.end() ? routing::WaveCount{} : count->second, now);
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
    answer["changes"] = changes_json(wave->changes);
    if (wave->state_at(now) == routing::EntryState::migrating)
      answer["clocks"] = clocks_json(wave->change_at(now).at);
  }
  json::object exceptions;
  for (const auto& [address, word] : words_of_wave(*router, name))
    exceptions[address] = routing::to_string(word.state);
  if (!exceptions.empty()) answer["exception_states"] = std::move(exceptions);
  return answer_json(200, answer);
}

/// A page: wave=wave-3&from=0 gives `members` and, if there are more, `from`.
admin::Answer Gateway::wave_members(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  const std::string name = fields.text("wave", admin::Need::required);
  const std::uint64_t from = fields.count("from").value_or(0);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  if (const auto why = unknown_wave(name); !why.empty()) return refuse_call(404, why);
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  std::uint64_t seen = 0;
  json::array members;
  router->table().for_each([&](const routing::Entry& entry) {
    if (entry.wave != name || seen++ < from || members.size() >= kMembersAtOnce) return;
    members.emplace_back(member_json(*router, entry, now));
  });
  json::object answer{{"people", seen}};
  if (from + members.size() < seen) answer["from"] = from + members.size();
  answer["members"] = std::move(members);
  return answer_json(200, answer);
}

namespace {

void read_time(admin::Fields& fields, routing::WaveCommand& command) {
  const std::string text = fields.text("at");
  if (text.empty()) return;
  const auto at = routing::parse_time(text, command.said_at);
  if (!at) return fields.refuse("at", "is no time that is clear: " + at.error().message);
  if (!routing::state_after(command.verb))
    return fields.refuse(
        "at", "can't be: '" + std::string(routing::to_string(command.verb)) + "' acts at once");
  if (*at <= command.said_at && text != "now")
    return fields.refuse(
        "at", "is over (" + routing::format_time(*at) + "); leave the time out to act now");
  if (*at > command.said_at) command.at = *at;
}

void read_members(admin::Fields& fields, routing::WaveCommand& command) {
  command.address_only = fields.flag("address_only");
  for (const std::string& text : fields.texts("members")) {
    const auto mailbox = mail::parse_mailbox(text);
    auto key = mailbox ? routing::normalise_key(*mailbox) : fail(mailbox.error());
    if (!key) return fields.refuse("members", "can't have '" + text + "': " + key.error().message);
    command.members.push_back(std::move(*key));
  }
  if (command.address_only && command.members.empty())
    fields.refuse("address_only", "is about single people; name them in 'members' (--member)");
  if (!command.members.empty() && (command.at || !routing::state_after(command.verb)))
    fields.refuse("members",
                  "can't be: single people can be held, activated, rolled back and "
                  "reset, and only at once");
}

}  // namespace

/// What is wrong is in `fields`.
routing::WaveCommand Gateway::read_wave_command(admin::Fields& fields) {
  routing::WaveCommand command;
  command.said_at = Clock::system().now();
  const auto verb = read_verb(fields);
  if (verb) command.verb = *verb;
  command.wave = fields.text("wave", admin::Need::required);
  command.reason = fields.text("reason");
  command.queued = fields.count("queued").value_or(0);
  read_time(fields, command);
  read_members(fields, command);
  return command;
}

/// Empty: all of them are people of the wave.
std::string Gateway::strangers_to_wave(const routing::WaveCommand& command) const {
  const auto router = router_.get();
  for (const auto& member : command.members) {
    const auto entry = router->table().find(member);
    const auto word = router->waves().words().find(member);
    const bool renamed = command.verb == routing::WaveVerb::reset &&
                         word != router->waves().words().end() && word->second.wave == command.wave;
    if (!entry && renamed) continue;
    if (!entry) return "'" + member + "' is not in the table";
    if (entry->wave != command.wave && !renamed)
      return "'" + member + "' (" + entry->place.to_string() + ") is " +
             (entry->wave.empty() ? "of no wave" : "of wave '" + entry->wave + "'") + ", not of '" +
             command.wave + "'";
  }
  return {};
}

/// Reads and checks a command; an Answer says why it can't be.
std::variant<routing::WaveCommand, admin::Answer> Gateway::checked_wave_command(
    admin::Fields& fields, const std::string& by) {
  routing::WaveCommand read = read_wave_command(fields);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  auto* const command = &read;
  if (const auto why = unknown_wave(command->wave); !why.empty()) return refuse_call(404, why);
  if (const auto why = strangers_to_wave(*command); !why.empty()) return refuse_call(400, why);
  command->by = by;
  command->configured = routing::configured(config_.routing.waves, command->wave);
  if (command->members.empty()) {
    const auto count = people_of_waves().find(command->wave);
    if (count != people_of_waves_.end()) {
      command->people = count->second.people;
      command->addresses = count->second.addresses;
    }
  } else {
    name_all_addresses(*command);
  }
  return read;
}

/// A member is a person: all addresses with the same target, unless this one address is meant.
void Gateway::name_all_addresses(routing::WaveCommand& command) const {
  const auto router = router_.get();
  const auto& table = router->table();
  // A word about an address that has left the table can still be taken back, with what follows it.
  std::vector<std::string> named = command.members;
  for (const auto& member : command.members) {
    const auto word = router->waves().words().find(member);
    if (command.address_only || table.find(member) || word == router->waves().words().end())
      continue;
    if (word->second.target.empty()) continue;  // not known, in old lines
    const auto entry = table.find_target(word->second.target);
    if (!entry || routing::person_key(*entry) != word->second.target) continue;
    if (auto key = routing::normalise_key(entry->address)) named.push_back(std::move(*key));
  }
  auto entries = routing::entries_of_people(table, named);
  if (command.address_only)
    std::erase_if(entries, [&](const routing::Entry& entry) {
      const auto key = routing::normalise_key(entry.address);
      return !key || std::find(command.members.begin(), command.members.end(), *key) ==
                         command.members.end();
    });
  const auto count = routing::count_people(entries);
  std::set<std::string> keys(command.members.begin(), command.members.end());
  for (const auto& entry : entries)
    if (auto key = routing::normalise_key(entry.address)) keys.insert(std::move(*key));
  command.members.assign(keys.begin(), keys.end());
  command.people = count.people;
  command.addresses = count.addresses;
  routing::note_targets(*router, command);
}

/// When held mail runs out of time if it was accepted at `held_from`.
json::object Gateway::clocks_json(WallTime held_from) const {
  const auto seconds = [](Duration d) {
    return std::chrono::duration_cast<std::chrono::seconds>(d).count();
  };
  return {{"held_from", routing::format_time(held_from)},
          {"expiry_seconds", seconds(config_.queue.expiry)},
          {"first_bounce_at", routing::format_time(held_from + config_.queue.expiry)},
          {"delay_notice_seconds", seconds(config_.queue.delay_notice)}};
}

/// What the command would change, by the very router that it would make.
admin::Answer Gateway::plan_wave(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  const auto most = static_cast<std::size_t>(fields.count("names").value_or(0));
  auto checked = checked_wave_command(fields, call.by);
  if (auto* refused = std::get_if<admin::Answer>(&checked)) return std::move(*refused);
  const auto& command = std::get<routing::WaveCommand>(checked);
  const auto now = router_.get();
  auto commands = wave_journal_->commands();
  commands.push_back(command);
  const auto then = now->with_waves(routing::Waves::make(config_.routing.waves, commands));
  const WallTime at = command.at.value_or(command.said_at);
  const auto plan = routing::plan_wave(*now, *then, command.wave, command.members, at, most);
  json::object answer = plan_json(plan);
  answer["wave"] = command.wave;
  answer["verb"] = routing::to_string(command.verb);
  answer["at"] = routing::format_time(at);
  answer["named"] = !command.members.empty();
  if (const auto dropped =
          dropped_between(now->waves(), then->waves(), command.wave, command.said_at);
      !dropped.empty())
    answer["dropped"] = changes_json(dropped);
  if (command.verb == routing::WaveVerb::hold) answer["clocks"] = clocks_json(at);
  return answer_json(200, answer);
}

admin::Answer Gateway::command_wave(const admin::Call& call) {
  auto fields = admin::Fields::of_body(call.body);
  auto checked = checked_wave_command(fields, call.by);
  if (auto* refused = std::get_if<admin::Answer>(&checked)) return std::move(*refused);
  auto* const command = &std::get<routing::WaveCommand>(checked);
  apply_due_waves();  // by what was said before: with the command it may look as if nothing turned
  const auto before = router_.get();
  if (!wave_journal_->damage().empty())
    return refuse_call(503, "nothing changed: " + before->waves().trouble());
  const auto* wave = before->waves().find(command->wave);
  const auto state_before =
      wave != nullptr ? wave->state_at(command->said_at) : routing::EntryState::pending;
  if (command->verb == routing::WaveVerb::cancel) command->holds = state_before;
  if (const auto why = out_of_place(before->waves(), *command); !why.empty())
    return refuse_call(409, why);
  json::object answer{{"wave", command->wave},
                      {"verb", routing::to_string(command->verb)},
                      {"people", command->people},
                      {"addresses", command->addresses},
                      {"state_before", routing::to_string(state_before)}};
  if (command->at) answer["at"] = routing::format_time(*command->at);
  auto nothing = nothing_to_do(before->waves(), *command);
  if (nothing.empty()) nothing = nobody_to_move(*command);
  answer["changed"] = nothing.empty();
  if (!nothing.empty()) {
    answer["why"] = nothing;
  } else {
    if (auto kept = wave_journal_->append(*command); !kept)
      return refuse_call(500, "nothing changed: " + kept.error().message);
    router_.set(
        before->with_waves(routing::Waves::make(config_.routing.waves, wave_journal_->commands())));
    note_wave_command(*command);
    if (!command->at) answer["moves"] = apply_waves(waves_touched(*command));
  }
  tell_outcome(*before, *command, answer);
  return answer_json(200, answer);
}

/// A wave that the table does not name is a typing mistake in the configuration or in the table.
/// Empty: somebody is in it, or it is not known, or the word takes something back.
std::string Gateway::nobody_to_move(const routing::WaveCommand& command) {
  using routing::WaveVerb;
  const bool forward = command.verb == WaveVerb::activate || command.verb == WaveVerb::hold ||
                       command.verb == WaveVerb::shadow;
  if (!forward || !command.members.empty() || !table_loaded_) return {};
  const auto& people = people_of_waves();
  if (people.contains(command.wave)) return {};
  std::set<std::string, std::less<>> known;
  for (const auto& [name, count] : people) known.insert(name);
  return routing::nobody_in(command.wave, known);
}

/// People may be of another wave by now than the one that they are named for.
std::set<std::string> Gateway::waves_touched(const routing::WaveCommand& command) const {
  std::set<std::string> waves{command.wave};
  const auto router = router_.get();
  for (const auto& member : command.members)
    if (const auto entry = router->table().find(member); entry && !entry->wave.empty())
      waves.insert(entry->wave);
  return waves;
}

/// What the command has brought about, and whom it has not reached.
void Gateway::tell_outcome(const routing::Router& before, const routing::WaveCommand& command,
                           json::object& answer) const {
  const auto router = router_.get();
  const auto now = command.said_at;
  const auto* wave = router->waves().find(command.wave);
  answer["state"] =
      routing::to_string(wave != nullptr ? wave->state_at(now) : routing::EntryState::pending);
  if (wave != nullptr)
    if (auto scheduled = wave->scheduled_after(now); !scheduled.empty())
      answer["scheduled"] = changes_json(scheduled);
  if (const auto dropped = dropped_between(before.waves(), router->waves(), command.wave, now);
      !dropped.empty())
    answer["dropped"] = changes_json(dropped);
  if (!command.members.empty()) {
    json::array named;
    for (const auto& member : command.members) {
      if (named.size() >= kMostNamed) break;
      const auto entry = router->table().find(member);
      if (!entry) continue;
      auto one = member_json(*router, *entry, now);
      one["was"] = routing::to_string(before.state_of(*entry, now));
      named.emplace_back(std::move(one));
    }
    answer["named"] = std::move(named);
    return;
  }
  const auto state = routing::state_after(command.verb);
  if (!state) return;
  const auto others =
      routing::unmoved(*router, command.wave, *state, command.at.value_or(now), kMostNamed);
  if (others.count > 0) answer["unmoved"] = unmoved_json(others);
}

/// What is queued is asked again. Says what has come of it so far, which is all of it unless very
/// much is queued.
json::object Gateway::apply_waves(const std::set<std::string>& waves) {
  const auto until = Clock::system().steady_now() + kMovesPatience;
  std::vector<std::pair<std::shared_ptr<WaveMoves>, std::future<void>>> told;
  for (const auto& wave : waves) {
    const auto moves = std::make_shared<WaveMoves>(shards_.size());
    told.emplace_back(moves, moves->all_counted.get_future());
    for (auto& shard : shards_) shard->apply_wave(wave, moves);
  }
  bool all = true;
  std::uint64_t let_go = 0, in_delivery = 0, nowhere = 0, rerouted = 0, suspended = 0, held = 0;
  for (auto& [moves, counted] : told) {
    all = counted.wait_until(until) == std::future_status::ready && all;
    let_go += moves->let_go;
    in_delivery += moves->in_delivery;
    nowhere += moves->nowhere;
    rerouted += moves->rerouted;
    suspended += moves->suspended;
    held += moves->held;
  }
  return {{"let_go", let_go},
          {"in_delivery", in_delivery},
          {"nowhere", nowhere},
          {"rerouted", rerouted},
          {"suspended", suspended},
          {"held", held},
          {"all", all}};
}

/// Into the service log and the tracking log.
void Gateway::note_wave_command(const routing::WaveCommand& command) {
  std::string what =
      "wave '" + command.wave + "': " + std::string(routing::to_string(command.verb));
  if (command.at) what += " scheduled for " + routing::format_time(*command.at);
  what += ", " + people_words(command.people, command.addresses);
  if (!command.members.empty()) {
    what += " by name: ";
    for (std::size_t i = 0; i < std::min(command.members.size(), kMostNamed); ++i)
      what += (i > 0 ? ", " : "") + command.members[i];
    if (command.members.size() > kMostNamed) what += ", ...";
  }
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
  event.recipients =
      static_cast<std::uint32_t>(command.addresses > 0 ? command.addresses : command.people);
  tracking_->write(event);
}

}  // namespace waypost::app
