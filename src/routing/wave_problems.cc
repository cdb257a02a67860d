// What the configuration or an old word says in vain.
#include "waypost/routing/local_time.h"
#include "waypost/routing/wave_facts.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace waypost::routing {
namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string words(EntryState state) { return std::string(to_string(state)); }

/// The key of the configuration that schedules this.
std::string key_of(const WaveChange& change) {
  return change.to == EntryState::migrating ? "hold_at" : "at";
}

std::string verb_for(EntryState state) {
  switch (state) {
    case EntryState::migrating:
      return "hold";
    case EntryState::active:
      return "activate";
    case EntryState::rolled_back:
      return "rollback";
    case EntryState::pending:
      break;
  }
  return "reset";
}

std::string said(WaveVerb verb, const WaveChange& by) {
  return quoted(to_string(verb)) + ", said by " + by.by + " at " + format_time(by.said_at);
}

void warn(std::vector<Problem>& problems, std::string message) {
  problems.push_back(Problem{false, {}, 0, 0, std::move(message)});
}

void judge_overruled(const Wave& wave, WallTime now, std::vector<Problem>& problems) {
  for (const auto& one : wave.overruled) {
    const auto& change = one.configured;
    if (change.at <= now) continue;  // it is over anyhow
    warn(problems, "wave " + quoted(wave.name) + ": its " + quoted(key_of(change)) + " " +
                       format_time(change.at) + " has no effect: " + said(one.verb, one.by) +
                       (one.knowingly ? ", has replaced it" : ", may be older and replaces it") +
                       "; to have it all the same: waypost wave " + verb_for(change.to) + " " +
                       wave.name + " --at " + format_time(change.at));
  }
  if (!wave.state_overruled) return;
  const auto& holds = wave.changes[wave.base];
  warn(problems, "wave " + quoted(wave.name) +
                     ": its 'state' was changed in the configuration, without effect: it is " +
                     words(wave.state_at(now)) + " because " + holds.by + " has said so at " +
                     format_time(holds.said_at) +
                     "; 'waypost wave' with hold, activate, rollback or reset changes it");
}

bool is_new(const WaveOptions& wave, std::optional<WallTime> WaveOptions::* time,
            const std::vector<WaveOptions>* before) {
  if (before == nullptr) return true;
  return std::none_of(before->begin(), before->end(), [&](const WaveOptions& old) {
    return old.name == wave.name && old.*time == wave.*time;
  });
}

/// A time that has passed before anybody could see it moves people at once: a wrong month is
/// quickly written.
void judge_over(const WaveOptions& options, const Waves& waves, WallTime now,
                const std::vector<WaveOptions>* before, std::vector<Problem>& problems) {
  const auto* wave = waves.find(options.name);
  if (wave == nullptr) return;
  for (const auto& [time, name] :
       {std::pair{&WaveOptions::hold_at, "hold_at"}, std::pair{&WaveOptions::activate_at, "at"}}) {
    const auto& at = options.*time;
    // The wave is active anyhow, unless it is held before.
    if (at && *at > now && options.state == EntryState::active && !options.hold_at)
      warn(problems, "wave " + quoted(options.name) + ": its " + quoted(name) + " " +
                         format_time(*at) +
                         " has no effect: by its 'state' it is active from the beginning; remove "
                         "'state' to have it move then");
    if (!at || *at > now || !is_new(options, time, before)) continue;
    const auto& holds = wave->change_at(now);
    warn(problems, "wave " + quoted(options.name) + ": its " + quoted(name) + " " +
                       format_time(*at) + " is over (" + duration_words(now - *at) +
                       " ago): the wave is " + words(holds.to) + " now, said by " + holds.by +
                       "; correct it if another time was meant" +
                       (is_configured(holds)
                            ? "; before it is removed say 'waypost wave " + verb_for(holds.to) +
                                  " " + options.name + "', or the wave is what it was before"
                            : std::string("; it can be removed")));
  }
}

using People = std::unordered_map<std::string, const Waves::Word*>;

std::string place_of(const std::string& address, const Entry& entry) {
  return quoted(address) + " (" + entry.place.to_string() + ")";
}

/// "waypost wave rollback w1 --member bob@corp.example".
std::string member_command(const std::string& verb, const std::string& wave,
                           const std::string& address) {
  return "waypost wave " + verb + " " + wave + " --member " + address;
}

/// The address of a word has another target now: the person's is another, or it was given to
/// somebody else. Nobody but the operator can tell.
void warn_of_another(std::vector<Problem>& problems, const Waves::Word& said, const Entry& entry) {
  const auto& [address, word] = said;
  warn(problems,
       place_of(address, entry) + " has the target " + quoted(entry.target.to_string()) +
           " now and stays " + words(word.state) + ": " + word.by + " has said so at " +
           format_time(word.said_at) + ", when its target was " + quoted(word.target) +
           "; if it belongs to another person now: " + member_command("reset", word.wave, address) +
           " --address-only" +
           (entry.wave.empty() ? std::string()
                               : "; if it is the same person: " +
                                     member_command(verb_for(word.state), entry.wave, address)));
}

/// Words that the table has moved away from. Gives the people whom the others are about.
People judge_words(const Router& router, std::vector<Problem>& problems) {
  People people;
  for (const auto& one : router.waves().words()) {
    const auto& [address, word] = one;
    const auto entry = router.table().find(address);
    if (!entry) continue;
    if (!word.target.empty() && word.target != person_key(*entry)) {
      warn_of_another(problems, one, *entry);
      continue;
    }
    if (!word.address_only) people.emplace(person_key(*entry), &one);
    if (entry->wave == word.wave) continue;
    warn(problems, place_of(address, *entry) + " is " +
                       (entry->wave.empty() ? "of no wave" : "of wave " + quoted(entry->wave)) +
                       " now and stays " + words(word.state) + ": " + word.by +
                       " has said so of this person at " + format_time(word.said_at) +
                       ", when it was of wave " + quoted(word.wave) +
                       "; to end that: " + member_command("reset", word.wave, address));
  }
  return people;
}

/// An address that came after the word about its person goes where the person goes; but whose it is
/// only the table says.
void warn_of_follower(std::vector<Problem>& problems, const Waves::Word& said,
                      const std::string& key, const Entry& entry) {
  const auto& [address, word] = said;
  warn(problems,
       place_of(key, entry) + " is " + words(word.state) + ": it has the same target as " +
           quoted(address) + ", of which " + word.by + " has said so at " +
           format_time(word.said_at) + ", before the table had this address" +
           (entry.wave.empty() ? std::string()
                               : "; if it is the same person: " +
                                     member_command(verb_for(word.state), entry.wave, key)) +
           "; to end it for the person: " + member_command("reset", word.wave, address));
}

/// Addresses of people of whom something was said, without a word of their own.
void judge_other_addresses(const Router& router, WallTime now, const People& people,
                           std::vector<Problem>& problems) {
  const auto& waves = router.waves();
  if (waves.words().empty()) return;
  router.table().for_each([&](const Entry& entry) {
    const auto person = person_key(entry);
    const auto key = normalise_key(entry.address);
    if (!key || waves.words().contains(*key)) return;
    if (const auto* said = waves.word_for(*key, [&] { return person; }); said != nullptr)
      return warn_of_follower(problems, *said, *key, entry);
    const auto known = people.find(person);
    if (known == people.end()) return;
    const auto& [address, word] = *known->second;
    const auto state = router.state_of(entry, now);
    if (state == word.state) return;
    warn(problems, place_of(*key, entry) + " is the same person as " + quoted(address) +
                       ", who is " + words(word.state) + " by the word of " + word.by +
                       ", but is " + words(state) +
                       "; say it again to bring the person together: " +
                       member_command(verb_for(word.state), word.wave, address));
  });
}

/// A wave under another name than the table's: its night would not happen.
void judge_empty(const Router& router, std::vector<Problem>& problems) {
  if (router.options().waves.empty()) return;
  const auto names = names_of_waves(router.table());
  for (const auto& options : router.options().waves)
    if (!names.contains(options.name))
      warn(problems, nobody_in(options.name, names) +
                         "; what the configuration says of this wave moves nobody");
}

}  // namespace

std::set<std::string, std::less<>> names_of_waves(const Table& table) {
  std::set<std::string, std::less<>> names;
  table.for_each([&](const Entry& entry) {
    if (!entry.wave.empty() && !names.contains(entry.wave)) names.insert(entry.wave);
  });
  return names;
}

std::string there_are(const std::set<std::string, std::less<>>& waves) {
  constexpr std::size_t kMost = 30;
  std::string out;
  std::size_t told = 0;
  for (const auto& name : waves) {
    if (told == kMost) return out + " and more ('waypost wave list')";
    out += (told++ == 0 ? "; there are: " : ", ") + name;
  }
  return out;
}

std::string nobody_in(std::string_view wave, const std::set<std::string, std::less<>>& known) {
  return "nobody is in wave " + quoted(wave) +
         (known.empty() ? ": no entry of the table names a wave" : there_are(known));
}

std::vector<Problem> wave_problems(const Router& router, WallTime now,
                                   const std::vector<WaveOptions>* before) {
  std::vector<Problem> problems;
  const auto& waves = router.waves();
  if (!waves.trouble().empty()) warn(problems, "waves: " + waves.trouble());
  for (const auto& [name, wave] : waves.all()) judge_overruled(wave, now, problems);
  for (const auto& options : router.options().waves)
    judge_over(options, waves, now, before, problems);
  judge_other_addresses(router, now, judge_words(router, problems), problems);
  judge_empty(router, problems);
  return problems;
}

}  // namespace waypost::routing
