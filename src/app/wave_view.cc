#include "app/wave_view.h"

#include "waypost/base/counted.h"

#include <algorithm>
#include <set>

namespace waypost::app {
namespace {

namespace json = boost::json;
using routing::EntryState;
using routing::WaveVerb;

bool is_same(const routing::WaveChange& one, const routing::WaveChange& other) {
  return one.at == other.at && one.to == other.to && one.by == other.by &&
         one.said_at == other.said_at;
}

std::string quoted(const std::string& wave) { return "wave '" + wave + "'"; }

EntryState state_of(const routing::Waves& waves, const std::string& wave, WallTime at) {
  const auto* found = waves.find(wave);
  return found != nullptr ? found->state_at(at) : EntryState::pending;
}

bool has_schedule(const routing::Waves& waves, const std::string& wave, WallTime at) {
  const auto* found = waves.find(wave);
  return found != nullptr && !found->scheduled_after(at).empty();
}

/// People with a word, and addresses with a state of their source.
std::uint64_t own_ways(const routing::Router& router, const std::string& name,
                       const routing::WaveCount& count) {
  std::set<std::string> people;
  for (const auto& [key, word] : words_of_wave(router, name))
    if (const auto entry = router.table().find(key); entry && entry->wave == name)
      people.insert(routing::person_key(*entry));
  return people.size() + count.with_own_state;
}

json::array overruled_json(const routing::Wave& wave, WallTime now) {
  json::array all;
  for (const auto& one : wave.overruled) {
    if (one.configured.at <= now) continue;
    auto object = change_json(one.configured);
    object["overruled_by"] = one.by.by;
    object["overruled_at"] = routing::format_time(one.by.said_at);
    object["verb"] = routing::to_string(one.verb);
    all.emplace_back(std::move(object));
  }
  return all;
}

}  // namespace

std::string people_words(std::uint64_t people, std::uint64_t addresses) {
  auto words = counted(people, "person", "people");
  if (addresses == 0 || addresses == people) return words;
  return counted(addresses, "address", "addresses") + " of " + words;
}

json::object change_json(const routing::WaveChange& change) {
  json::object object{{"to", routing::to_string(change.to)}, {"by", change.by}};
  if (change.at > WallTime{}) object["at"] = routing::format_time(change.at);
  if (change.said_at > WallTime{}) object["said_at"] = routing::format_time(change.said_at);
  if (!change.reason.empty()) object["reason"] = change.reason;
  return object;
}

json::array changes_json(const std::vector<routing::WaveChange>& changes) {
  json::array all;
  for (const auto& change : changes) all.emplace_back(change_json(change));
  return all;
}

std::vector<std::pair<std::string, routing::MemberWord>> words_of_wave(
    const routing::Router& router, const std::string& wave) {
  std::vector<std::pair<std::string, routing::MemberWord>> found;
  for (const auto& [key, word] : router.waves().words()) {
    const auto entry = router.table().find(key);
    if (word.wave == wave || (entry && entry->wave == wave)) found.emplace_back(key, word);
  }
  return found;
}

json::object wave_json(const routing::Router& router, const std::string& name,
                       const routing::WaveCount& count, WallTime now) {
  const auto* wave = router.waves().find(name);
  json::object object{{"wave", name},
                      {"state", routing::to_string(state_of(router.waves(), name, now))},
                      {"people", count.people},
                      {"addresses", count.addresses}};
  if (const auto own = own_ways(router, name, count); own > 0) object["own"] = own;
  if (!router.waves().trouble().empty()) object["trouble"] = router.waves().trouble();
  if (wave == nullptr) return object;
  if (wave->shadow) object["shadow"] = true;
  if (!wave->members.empty()) object["exceptions"] = wave->members.size();
  if (wave->schedule_replaced) object["schedule_replaced"] = true;
  if (const auto* next = wave->next_after(now)) object["next"] = change_json(*next);
  if (auto scheduled = wave->scheduled_after(now); !scheduled.empty())
    object["scheduled"] = changes_json(scheduled);
  if (auto overruled = overruled_json(*wave, now); !overruled.empty())
    object["overruled"] = std::move(overruled);
  object["since"] = change_json(wave->change_at(now));
  return object;
}

json::object member_json(const routing::Router& router, const routing::Entry& entry, WallTime now) {
  json::object member{{"address", entry.address.to_string()},
                      {"target", entry.target.to_string()},
                      {"person", routing::person_key(entry)},
                      {"state", routing::to_string(router.state_of(entry, now))},
                      {"place", entry.place.to_string()}};
  const auto decision = router.decide(entry.address, now);
  switch (decision.verdict) {
    case routing::Verdict::hold:
      member["now"] = "held";
      break;
    case routing::Verdict::defer:
      member["now"] = "deferred";
      break;
    case routing::Verdict::refuse:
      member["now"] = "refused";
      break;
    case routing::Verdict::rewrite:
    case routing::Verdict::pass:
      member["now"] = decision.next_hop;
      break;
  }
  if (routing::word_for(router.waves(), entry) != nullptr)
    member["own_word"] = true;
  else if (entry.has_state)
    member["own_state"] = true;
  return member;
}

json::object plan_json(const routing::WavePlan& plan) {
  json::array moves;
  for (const auto& [move, count] : plan.moves)
    moves.emplace_back(json::object{{"from", routing::to_string(move.first)},
                                    {"to", routing::to_string(move.second)},
                                    {"people", count.people},
                                    {"addresses", count.addresses}});
  json::array changes;
  for (const auto& change : plan.changes)
    changes.emplace_back(json::object{{"address", change.entry.address.to_string()},
                                      {"from", routing::to_string(change.was)},
                                      {"to", routing::to_string(change.will_be)},
                                      {"target", change.target},
                                      {"next_hop", change.next_hop},
                                      {"held", change.held},
                                      {"place", change.entry.place.to_string()}});
  return {{"people", plan.all.people},
          {"addresses", plan.all.addresses},
          {"changed", plan.changed.people},
          {"changed_addresses", plan.changed.addresses},
          {"moves", std::move(moves)},
          {"changes", std::move(changes)},
          {"conflict_count", plan.conflict_count},
          {"conflicts", json::value_from(plan.conflicts)}};
}

json::object unmoved_json(const routing::Unmoved& unmoved) {
  json::array some;
  for (const auto& one : unmoved.some)
    some.emplace_back(json::object{{"address", one.entry.address.to_string()},
                                   {"state", routing::to_string(one.state)},
                                   {"why", one.by_word ? "word" : "source"}});
  return {{"count", unmoved.count}, {"some", std::move(some)}};
}

std::vector<routing::WaveChange> dropped_between(const routing::Waves& before,
                                                 const routing::Waves& after,
                                                 const std::string& wave, WallTime now) {
  const auto* was = before.find(wave);
  const auto* is = after.find(wave);
  if (was == nullptr) return {};
  auto dropped = was->scheduled_after(now);
  const auto kept = is != nullptr ? is->scheduled_after(now) : std::vector<routing::WaveChange>();
  std::erase_if(dropped, [&](const routing::WaveChange& one) {
    return std::any_of(kept.begin(), kept.end(),
                       [&](const routing::WaveChange& other) { return is_same(one, other); });
  });
  return dropped;
}

std::vector<std::string> wave_states_changed(const routing::Waves& before,
                                             const routing::Waves& after, WallTime now) {
  std::vector<std::string> changes;
  std::set<std::string> names;
  for (const auto& [name, wave] : before.all()) names.insert(name);
  for (const auto& [name, wave] : after.all()) names.insert(name);
  for (const auto& name : names) {
    const auto was = state_of(before, name, now);
    const auto is = state_of(after, name, now);
    if (was != is)
      changes.push_back(quoted(name) + " is " + std::string(routing::to_string(is)) +
                        " now and was " + std::string(routing::to_string(was)) +
                        ": the section 'waves' has changed; 'waypost wave' with hold, activate, "
                        "rollback or reset says otherwise");
  }
  return changes;
}

namespace {

/// The word stands already, about this address and the person who has it now.
bool is_said(const routing::Waves& before, const routing::WaveCommand& command, std::size_t i) {
  const bool known = i < command.targets.size();
  const auto target = [&] { return known ? command.targets[i] : std::string(); };
  if (command.verb == WaveVerb::reset)
    return before.word_for(command.members[i], target) == nullptr;
  const auto own = before.words().find(command.members[i]);
  if (own == before.words().end()) return false;
  const auto& word = own->second;
  const bool wider = word.address_only && !command.address_only;
  return word.state == routing::state_after(command.verb) && !wider &&
         (!known || word.target == command.targets[i]);
}

/// Somebody has said the same for the same time. (What the configuration says may be taken away
/// there.)
bool is_scheduled(const routing::Waves& before, const routing::WaveCommand& command) {
  const auto* wave = before.find(command.wave);
  if (wave == nullptr) return false;
  const auto scheduled = wave->scheduled_after(command.said_at);
  return std::any_of(scheduled.begin(), scheduled.end(), [&](const routing::WaveChange& change) {
    return change.at == *command.at && change.to == routing::state_after(command.verb) &&
           !is_configured(change);
  });
}

}  // namespace

std::string nothing_to_do(const routing::Waves& before, const routing::WaveCommand& command) {
  const auto& name = command.wave;
  const auto state = routing::state_after(command.verb);
  if (!command.members.empty()) {
    bool all_said = true;
    for (std::size_t i = 0; i < command.members.size() && all_said; ++i)
      all_said = is_said(before, command, i);
    if (!all_said) return {};
    return command.verb == WaveVerb::reset
               ? "nobody of them has a word of their own; they follow their wave"
               : "they are " + std::string(routing::to_string(*state)) +
                     " by a word of their own already";
  }
  const auto* wave = before.find(name);
  const bool shadowed = wave != nullptr && wave->shadow;
  switch (command.verb) {
    case WaveVerb::cancel:
      if (has_schedule(before, name, command.said_at)) return {};
      return "nothing is scheduled for " + quoted(name);
    case WaveVerb::shadow:
      return shadowed ? quoted(name) + " is in shadow mode already" : std::string();
    case WaveVerb::unshadow:
      return shadowed ? std::string() : quoted(name) + " is not in shadow mode";
    case WaveVerb::hold:
    case WaveVerb::activate:
    case WaveVerb::rollback:
    case WaveVerb::reset:
      break;
  }
  if (command.at && is_scheduled(before, command))
    return quoted(name) + " becomes " + std::string(routing::to_string(*state)) + " at " +
           routing::format_time(*command.at) + " already";
  if (command.at || state_of(before, name, command.said_at) != state ||
      has_schedule(before, name, command.said_at))
    return {};
  // What only the configuration says is gone when it is written otherwise there; a word stays.
  if (wave == nullptr || is_configured(wave->change_at(command.said_at))) return {};
  return quoted(name) + " is " + std::string(routing::to_string(*state)) + " already";
}

std::string out_of_place(const routing::Waves& waves, const routing::WaveCommand& command) {
  if (command.verb != WaveVerb::shadow) return {};
  const auto state = state_of(waves, command.wave, command.said_at);
  if (state == EntryState::pending) return {};
  return "nothing changed: " + quoted(command.wave) + " is " +
         std::string(routing::to_string(state)) +
         "; shadow mode watches a wave while it is pending, its mail goes the old way then" +
         (state == EntryState::active
              ? std::string(", and that of an active wave goes the new way already")
              : " ('waypost wave reset " + command.wave + "' makes it pending)");
}

}  // namespace waypost::app
