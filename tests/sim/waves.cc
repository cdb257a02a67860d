#include "sim/waves.h"

#include <algorithm>

namespace waypost::sim {
namespace {

std::optional<EntryState> meant_by(WaveVerb verb) {
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

/// No word has seen this time of the file, and it was not over when one was said.
bool is_live(const std::vector<std::pair<WallTime, WaveFile>>& spoken, WallTime at,
             std::optional<WallTime> WaveFile::* kind) {
  return std::none_of(spoken.begin(), spoken.end(),
                      [&](const auto& one) { return one.second.*kind == at || at <= one.first; });
}

bool is_the_same(const WaveWord& word, const routing::WaveCommand& found) {
  auto addresses = word.addresses;
  auto members = found.members;
  std::sort(addresses.begin(), addresses.end());
  std::sort(members.begin(), members.end());
  return word.verb == found.verb && word.wave == found.wave && addresses == members &&
         word.at == found.at && word.said_at == found.said_at;
}

}  // namespace

WaveFile WaveFile::drawn(Chance& chance, WallTime clock) {
  WaveFile file;
  constexpr EntryState kStates[] = {EntryState::active, EntryState::active, EntryState::migrating,
                                    EntryState::rolled_back, EntryState::pending};
  if (chance.odds(0.6)) file.state = kStates[chance.below(5)];
  // Some times are over. Whole minutes, so that some meet.
  const auto near = [&] {
    return std::chrono::floor<minutes>(clock) +
           minutes(static_cast<std::int64_t>(chance.below(240)) - 60);
  };
  if (chance.odds(0.3)) file.hold_at = near();
  if (chance.odds(0.3)) file.activate_at = near();
  file.shadow = chance.odds(0.2);
  return file;
}

WaveFile WaveBook::file_of(const std::string& wave) const {
  const auto found = file_.find(wave);
  return found == file_.end() ? WaveFile{} : found->second;
}

EntryState WaveBook::state(const std::string& wave, WallTime clock) const {
  static const Story kSilent;
  const auto told = stories_.find(wave);
  const Story& story = told == stories_.end() ? kSilent : told->second;
  const WaveFile file = file_of(wave);
  EntryState holds = story.word ? *story.word : file.state.value_or(EntryState::pending);
  // Of what has fallen due the latest counts; of one time what was said last, an operator's word
  // after the file's.
  std::optional<WallTime> latest;
  const auto consider = [&](WallTime at, EntryState to) {
    if (at > clock || (latest && at < *latest)) return;
    latest = at;
    holds = to;
  };
  if (file.hold_at && is_live(story.spoken, *file.hold_at, &WaveFile::hold_at))
    consider(*file.hold_at, EntryState::migrating);
  if (file.activate_at && is_live(story.spoken, *file.activate_at, &WaveFile::activate_at))
    consider(*file.activate_at, EntryState::active);
  for (const auto& [at, to] : story.scheduled) consider(at, to);
  return holds;
}

WaveWord WaveBook::remembered(WaveWord word) const {
  word.seen = file_of(word.wave);
  word.held = state(word.wave, word.said_at);
  return word;
}

void WaveBook::apply(const WaveWord& word) {
  const auto to = word.verb == WaveVerb::cancel ? word.held : meant_by(word.verb);
  if (!to) return;  // shadow mode changes no way
  if (!word.addresses.empty()) {
    for (const std::string& address : word.addresses) {
      if (word.verb == WaveVerb::reset) {
        people_.erase(address);
      } else {
        people_[address] = {*to, word.wave};
      }
    }
    return;
  }
  Story& story = stories_[word.wave];
  if (word.at && *word.at > word.said_at) {
    story.scheduled.emplace_back(*word.at, *to);
    return;
  }
  story.word = to;
  story.scheduled.clear();
  story.spoken.emplace_back(word.said_at, word.seen);
}

void WaveBook::say(WaveWord word) {
  word = remembered(std::move(word));
  apply(word);
  said_.push_back(std::move(word));
}

void WaveBook::say_in_vain(WaveWord word) { in_vain_.push_back(remembered(std::move(word))); }

std::string WaveBook::found(const std::vector<routing::WaveCommand>& commands, bool damaged) {
  std::map<std::uint64_t, WaveWord> known;
  for (const WaveWord& word : in_vain_) known.emplace(word.number, word);
  for (const WaveWord& word : said_) known.insert_or_assign(word.number, word);
  std::vector<WaveWord> there;
  newly_found_.clear();
  std::string wrong;
  for (const routing::WaveCommand& command : commands) {
    const auto word = known.find(std::strtoull(command.reason.c_str(), nullptr, 10));
    if (word == known.end() || !is_the_same(word->second, command) ||
        (!there.empty() && there.back().number >= word->first)) {
      wrong = "the waves' journal has a word that nobody has said so: " + command.reason;
      continue;
    }
    there.push_back(word->second);
  }
  const auto has = [](const std::vector<WaveWord>& words, std::uint64_t number) {
    return std::any_of(words.begin(), words.end(),
                       [number](const WaveWord& one) { return one.number == number; });
  };
  bool sure = false;
  for (const WaveWord& word : said_) {
    sure = sure || word.sure;
    if (word.sure && !has(there, word.number))
      wrong = "word " + std::to_string(word.number) + " about " + word.wave +
              " was acknowledged, and is forgotten";
  }
  // Only where nobody has ever said anything can a failing disk leave no trace of the journal.
  if (damaged && sure) wrong = "the waves' journal is damaged, though its disk has kept it";
  for (const WaveWord& word : there) {
    if (!has(said_, word.number)) newly_found_.push_back(word.number);
  }
  said_ = std::move(there);
  in_vain_.clear();
  stories_.clear();
  people_.clear();
  for (WaveWord& word : said_) {
    word.sure = true;
    apply(word);
  }
  known_ = !damaged;
  return wrong;
}

void WaveBook::doubt_what_was_found() {
  for (WaveWord& word : said_) {
    if (std::find(newly_found_.begin(), newly_found_.end(), word.number) != newly_found_.end())
      word.sure = false;
  }
}

Standing WaveBook::standing(WallTime clock) const {
  Standing standing;
  standing.known = known_;
  for (const char* wave : kWaves) standing.waves[wave] = state(wave, clock);
  for (const auto& [address, person] : people_) standing.people[address] = person.state;
  return standing;
}

std::optional<WallTime> WaveBook::next_change(WallTime clock) const {
  std::optional<WallTime> next;
  const auto consider = [&](const std::optional<WallTime>& at) {
    if (at && *at > clock && (!next || *at < *next)) next = at;
  };
  for (const auto& [wave, file] : file_) {
    consider(file.hold_at);
    consider(file.activate_at);
  }
  for (const auto& [wave, story] : stories_) {
    for (const auto& [at, to] : story.scheduled) consider(at);
  }
  return next;
}

bool WaveBook::is_needless(const WaveWord& word) const {
  WaveBook then = *this;
  then.say(word);
  if (then.standing(word.said_at) != standing(word.said_at)) return false;
  for (auto at = next_change(word.said_at); at; at = next_change(*at)) {
    if (then.standing(*at) != standing(*at)) return false;
  }
  for (auto at = then.next_change(word.said_at); at; at = then.next_change(*at)) {
    if (then.standing(*at) != standing(*at)) return false;
  }
  return true;
}

}  // namespace waypost::sim
