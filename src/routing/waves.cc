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

/// Behind the base, by time; of two changes at one time, the one that was said later counts.
void schedule(Wave& wave, WaveChange change) {
  const auto scheduled = wave.changes.begin() + static_cast<std::ptrdiff_t>(wave.base) + 1;
  const auto place =
      std::upper_bound(scheduled, wave.changes.end(), change.at,
                       [](WallTime at, const WaveChange& known) { return at < known.at; });
  wave.changes.insert(place, std::move(change));
}

/// True if the one who said this saw the configuration schedule `change`. Of an old line nothing is
/// known: it saw all.
bool has_seen(const WaveCommand& command, const WaveChange& change) {
  if (!command.configured) return true;
  const auto& seen = change.to == EntryState::migrating ? command.configured->hold_at
                                                        : command.configured->activate_at;
  return seen == change.at;
}

/// `word` holds from here on and drops what was to come, but for what the configuration has said
/// since. What has taken effect by the clock of that time is history.
void put_word(Wave& wave, WaveChange word, const WaveCommand& command) {
  std::vector<WaveChange> scheduled(
      std::make_move_iterator(wave.changes.begin() + static_cast<std::ptrdiff_t>(wave.base) + 1),
      std::make_move_iterator(wave.changes.end()));
  wave.changes.resize(wave.base + 1);
  std::vector<WaveChange> to_come;
  for (auto& change : scheduled) {
    const bool passed = change.at <= command.said_at;
    const bool configured = is_configured(change);
    const bool seen = has_seen(command, change);
    if (configured && !seen && !passed) {
      to_come.push_back(std::move(change));
      continue;
    }
    if (configured && !(seen && passed)) {
      wave.schedule_replaced = wave.schedule_replaced || !passed;
      wave.overruled.push_back(
          {change, word, command.verb, command.configured.has_value() && seen});
      wave.overruled.back().by.by = command.by;
      wave.overruled.back().by.said_at = command.said_at;
    }
    if (passed) wave.changes.push_back(std::move(change));
  }
  wave.changes.push_back(std::move(word));
  wave.base = wave.changes.size() - 1;
  for (auto& change : to_come) wave.changes.push_back(std::move(change));
}

/// What is to come does not come; what holds goes on to hold.
void cancel(Wave& wave, const WaveCommand& command) {
  std::size_t holds = wave.base;
  for (std::size_t i = wave.base + 1; i < wave.changes.size(); ++i) {
    const auto& change = wave.changes[i];
    const bool unseen = is_configured(change) && !has_seen(command, change);
    if (change.at <= command.said_at && !unseen) holds = i;
  }
  WaveChange word = wave.changes[holds];
  // The configuration may have forgotten by now what made it so.
  if (command.holds && word.to != *command.holds)
    word = {command.said_at, *command.holds, command.by, command.said_at, command.reason};
  put_word(wave, std::move(word), command);
}

/// Whoever has changed `shadow` in the configuration since has said it later.
void set_shadow(Wave& wave, const WaveCommand& command, bool configured_now) {
  if (command.configured && command.configured->shadow != configured_now) return;
  wave.shadow = command.verb == WaveVerb::shadow;
}

void apply(Wave& wave, const WaveCommand& command, const WaveConfigured& configured_now) {
  const auto state = state_after(command.verb);
  if (!state)
    return command.verb == WaveVerb::cancel ? cancel(wave, command)
                                            : set_shadow(wave, command, configured_now.shadow);
  const bool scheduled = command.at && *command.at > command.said_at;
  WaveChange change{scheduled ? *command.at : command.said_at, *state, command.by, command.said_at,
                    command.reason};
  if (scheduled) return schedule(wave, std::move(change));
  put_word(wave, std::move(change), command);
  wave.state_overruled = command.configured && configured_now.state &&
                         command.configured->state != configured_now.state;
}

Wave wave_of(const WaveOptions& options) {
  auto wave = fresh_wave(options.name, options.state.value_or(EntryState::pending));
  wave.shadow = options.shadow;
  const auto add = [&wave](const std::optional<WallTime>& at, EntryState to) {
    if (at) schedule(wave, {*at, to, kConfiguration, kBeginningOfTime, {}});
  };
  add(options.hold_at, EntryState::migrating);
  add(options.activate_at, EntryState::active);
  return wave;
}

}  // namespace

bool is_configured(const WaveChange& change) {
  return change.by == kConfiguration && change.said_at == kBeginningOfTime;
}

const WaveChange& Wave::change_at(WallTime at) const {
  std::size_t holds = base;
  while (holds + 1 < changes.size() && changes[holds + 1].at <= at) ++holds;
  return changes[holds];
}

const WaveChange* Wave::next_after(WallTime at) const {
  const WaveChange* next = nullptr;
  for (std::size_t i = base + 1; i < changes.size(); ++i) {
    if (changes[i].at <= at) continue;
    if (next != nullptr && std::chrono::floor<std::chrono::seconds>(changes[i].at) !=
                               std::chrono::floor<std::chrono::seconds>(next->at))
      break;
    next = &changes[i];
  }
  return next;
}

std::vector<WaveChange> Wave::scheduled_after(WallTime at) const {
  std::vector<WaveChange> scheduled;
  for (std::size_t i = base + 1; i < changes.size(); ++i)
    if (changes[i].at > at) scheduled.push_back(changes[i]);
  return scheduled;
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

WaveConfigured configured(const std::vector<WaveOptions>& options, std::string_view wave) {
  for (const auto& one : options)
    if (one.name == wave) return {one.state, one.hold_at, one.activate_at, one.shadow};
  return {};
}

std::shared_ptr<const Waves> Waves::make(const std::vector<WaveOptions>& options,
                                         const std::vector<WaveCommand>& commands,
                                         std::string trouble) {
  auto waves = std::make_shared<Waves>();
  waves->trouble_ = std::move(trouble);
  for (const auto& wanted : options) waves->waves_.insert_or_assign(wanted.name, wave_of(wanted));
  std::size_t number = 0;
  for (const auto& command : commands) {
    ++number;
    auto known = waves->waves_.find(command.wave);
    if (known == waves->waves_.end())
      known =
          waves->waves_.emplace(command.wave, fresh_wave(command.wave, EntryState::pending)).first;
    if (command.members.empty())
      apply(known->second, command, configured(options, command.wave));
    else
      waves->say_of_members(command, number);
  }
  waves->note_people();
  for (const auto& [member, word] : waves->words_)
    waves->waves_.find(word.wave)->second.members.emplace(member, word.state);
  return waves;
}

void Waves::say_of_members(const WaveCommand& command, std::size_t number) {
  const auto state = state_after(command.verb);
  for (std::size_t i = 0; i < command.members.size(); ++i) {
    const auto& member = command.members[i];
    const auto target = i < command.targets.size() ? command.targets[i] : std::string();
    apart_.erase(member);
    if (command.verb == WaveVerb::reset) {
      words_.erase(member);
      if (command.address_only)
        apart_.insert(member);
      else if (!target.empty())
        reset_at_.insert_or_assign(target, number);
    } else if (state) {
      words_.insert_or_assign(
          member, MemberWord{*state, command.wave, command.by, command.reason, command.said_at,
                             command.address_only, target, number});
    }
  }
}

/// What was said of people as such, of each the last word that was not taken back. It is about the
/// mailbox, so it goes with the target: an address alone may be given to somebody else.
void Waves::note_people() {
  for (const auto& word : words_) {
    const auto& [state, wave, by, reason, said_at, address_only, target, number] = word.second;
    if (address_only || target.empty()) continue;
    const auto reset = reset_at_.find(target);
    if (reset != reset_at_.end() && reset->second > number) continue;
    const auto [known, fresh] = people_.try_emplace(target, &word);
    if (!fresh && known->second->second.number < number) known->second = &word;
  }
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
