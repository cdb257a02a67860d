#include "waypost/routing/wave_facts.h"

#include "waypost/routing/local_time.h"

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace waypost::routing {
namespace {

std::string key_of(const mail::Mailbox& address) {
  auto key = normalise_key(address);
  return key ? std::move(*key) : std::string();
}

/// Counts each person once. Sixty-four bits of a million people: two are taken for one once in
/// thirty million tables.
class PeopleSeen {
 public:
  bool add(const Entry& entry) {
    return seen_.insert(std::hash<std::string>{}(person_key(entry))).second;
  }

 private:
  std::unordered_set<std::uint64_t> seen_;
};

bool by_person(const Entry& one, const Entry& other) {
  const auto order = [](const Entry& entry) {
    return std::pair(person_key(entry), key_of(entry.address));
  };
  return order(one) < order(other);
}

}  // namespace

std::string person_key(const Entry& entry) { return key_of(entry.target); }

const Waves::Word* word_for(const Waves& waves, const Entry& entry) {
  return waves.word_for(key_of(entry.address), [&] { return person_key(entry); });
}

std::map<std::string, WaveCount> count_waves(const Table& table) {
  std::map<std::string, WaveCount> counts;
  std::map<std::string, PeopleSeen> people;
  table.for_each([&](const Entry& entry) {
    if (entry.wave.empty()) return;
    auto& count = counts[entry.wave];
    ++count.addresses;
    if (entry.has_state) ++count.with_own_state;
    if (people[entry.wave].add(entry)) ++count.people;
  });
  return counts;
}

std::vector<Entry> entries_of_people(const Table& table, const std::vector<std::string>& keys) {
  std::unordered_set<std::string> people;
  for (const auto& key : keys)
    if (const auto entry = table.find(key)) people.insert(person_key(*entry));
  std::vector<Entry> found;
  table.for_each([&](const Entry& entry) {
    if (people.contains(person_key(entry))) found.push_back(entry);
  });
  std::sort(found.begin(), found.end(), by_person);
  return found;
}

WaveCount count_people(const std::vector<Entry>& entries) {
  WaveCount count;
  PeopleSeen people;
  for (const auto& entry : entries) {
    ++count.addresses;
    if (entry.has_state) ++count.with_own_state;
    if (people.add(entry)) ++count.people;
  }
  return count;
}

void note_targets(const Router& router, WaveCommand& command) {
  command.targets.clear();
  const auto& words = router.waves().words();
  for (const auto& member : command.members) {
    const auto entry = router.table().find(member);
    const auto word = words.find(member);
    command.targets.push_back(entry                 ? person_key(*entry)
                              : word != words.end() ? word->second.target
                                                    : std::string());
  }
}

Unmoved unmoved(const Router& router, const std::string& wave, EntryState state, WallTime at,
                std::size_t most) {
  Unmoved out;
  const auto& words = router.waves().words();
  const auto less = [](const Unmoved::One& one, const Unmoved::One& other) {
    return by_person(one.entry, other.entry);
  };
  std::set<Unmoved::One, decltype(less)> first(less);
  router.table().for_each([&](const Entry& entry) {
    if (entry.wave != wave) return;
    const auto own = router.state_of(entry, at);
    if (own == state) return;
    ++out.count;
    const bool by_word = !words.empty() && word_for(router.waves(), entry) != nullptr;
    first.insert({entry, own, by_word});
    if (first.size() > most) first.erase(std::prev(first.end()));
  });
  out.some.assign(first.begin(), first.end());
  return out;
}

}  // namespace waypost::routing
