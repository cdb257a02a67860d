#include "waypost/routing/waves.h"

#include <algorithm>
#include <array>
#include <utility>

namespace waypost::routing {
namespace {

constexpr std::array<std::string_view, 7> kVerbs = {"hold",   "activate", "rollback", "reset",
                                                    "shadow", "unshadow", "cancel"};
const std::string kConfiguration = "configuration";

Wave fresh_wave(const std::string& name, EntryState state) {
  Wave wave;
  wave.name = name;
  wave.changes.push_back({kBeginningOfTime, state, kConfiguration, kBeginningOfTime, {}});
  return wave;
}

/// Of two changes at one time, the one that was said later counts.
void insert_change(Wave& wave, WaveChange change) {
  const auto place =
      std::upper_bound(wave.changes.begin(), wave.changes.end(), change.at,
                       [](WallTime at, const WaveChange& known) { return at < known.at; });
  wave.changes.insert(place, std::move(change));
}

/// What was to come after `now` does not come.
void drop_scheduled(Wave& wave, WallTime now) {
  const auto first = std::find_if(wave.changes.begin() + 1, wave.changes.end(),
                                  [&](const WaveChange& change) { return change.at > now; });
  wave.schedule_replaced =
      wave.schedule_replaced ||
      std::any_of(first, wave.changes.end(), [](const WaveChange& change) {
        return change.by == kConfiguration && change.said_at == kBeginningOfTime;
      });
  wave.changes.erase(first, wave.changes.end());
}

void say_of_members(Wave& wave, const WaveCommand& command) {
  const auto state = state_after(command.verb);
  for (const auto& member : command.members) {
    if (command.verb == WaveVerb::reset)
      wave.members.erase(member);
    else if (state)
      wave.members.insert_or_assign(member, *state);
  }
}

void apply(Wave& wave, const WaveCommand& command) {
  if (!command.members.empty()) return say_of_members(wave, command);
  switch (command.verb) {
    case WaveVerb::shadow:
    case WaveVerb::unshadow:
      wave.shadow = command.verb == WaveVerb::shadow;
      return;
    case WaveVerb::cancel:
      return drop_scheduled(wave, command.said_at);
    case WaveVerb::hold:
    case WaveVerb::activate:
    case WaveVerb::rollback:
    case WaveVerb::reset:
      break;
  }
  const bool scheduled = command.at && *command.at > command.said_at;
  if (!scheduled) drop_scheduled(wave, command.said_at);
  insert_change(wave, {scheduled ? *command.at : command.said_at,
                       state_after(command.verb).value_or(EntryState::pending), command.by,
                       command.said_at, command.reason});
}

}  // namespace

EntryState Wave::state_at(WallTime at) const {
  EntryState state = EntryState::pending;
  for (const auto& change : changes) {
    if (change.at > at) break;
    state = change.to;
  }
  return state;
}

const WaveChange* Wave::next_after(WallTime at) const {
  for (const auto& change : changes)
    if (change.at > at) return &change;
  return nullptr;
}

std::string_view to_string(WaveVerb verb) {
  const auto index = static_cast<std::size_t>(verb);
  return index < kVerbs.size() ? kVerbs[index] : "unknown";
}

std::optional<EntryState> state_after(WaveVerb verb) {
  switch (verb) {
    case WaveVerb::hold:
      return EntryState::migrating;
    case WaveVerb::activate:
      return EntryState::active;
    case WaveVerb::rollback:
      return EntryState::rolled_back;
    case WaveVerb::reset:
      return EntryState::pending;
    case WaveVerb::shadow:
    case WaveVerb::unshadow:
    case WaveVerb::cancel:
      break;
  }
  return std::nullopt;
}

std::shared_ptr<const Waves> Waves::make(const std::vector<WaveOptions>& options,
                                         const std::vector<WaveCommand>& commands) {
  auto waves = std::make_shared<Waves>();
  for (const auto& wanted : options) {
    auto wave = fresh_wave(wanted.name, wanted.state.value_or(EntryState::pending));
    wave.shadow = wanted.shadow;
    if (wanted.hold_at)
      insert_change(wave,
                    {*wanted.hold_at, EntryState::migrating, kConfiguration, kBeginningOfTime, {}});
    if (wanted.activate_at)
      insert_change(
          wave, {*wanted.activate_at, EntryState::active, kConfiguration, kBeginningOfTime, {}});
    waves->waves_.insert_or_assign(wanted.name, std::move(wave));
  }
  for (const auto& command : commands) {
    auto known = waves->waves_.find(command.wave);
    if (known == waves->waves_.end())
      known =
          waves->waves_.emplace(command.wave, fresh_wave(command.wave, EntryState::pending)).first;
    apply(known->second, command);
  }
  return waves;
}

const Wave* Waves::find(std::string_view name) const {
  const auto known = waves_.find(name);
  return known == waves_.end() ? nullptr : &known->second;
}

std::optional<WallTime> Waves::next_change_after(WallTime at) const {
  std::optional<WallTime> next;
  for (const auto& [name, wave] : waves_)
    if (const auto* change = wave.next_after(at); change != nullptr)
      next = next ? std::min(*next, change->at) : change->at;
  return next;
}

}  // namespace waypost::routing
