// What an operator wants to know of waves and their people: how many, who belongs together, who
// goes another way than the wave, and what the configuration says in vain.
//
// A person is all entries with one target. Pure; any thread. Each function walks the table at most
// twice: a second for a million entries, so never on a shard.
#pragma once

#include "waypost/routing/router.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

struct WaveCount {
  std::uint64_t people = 0, addresses = 0;
  std::uint64_t with_own_state = 0;  // addresses whose source gives them a state
};
/// By name; only waves that an entry names.
std::map<std::string, WaveCount> count_waves(const Table& table);

/// Waves that an entry names.
std::set<std::string, std::less<>> names_of_waves(const Table& table);
/// "; there are: wave-3, wave-4".
std::string there_are(const std::set<std::string, std::less<>>& waves);
/// "nobody is in wave 'wave-2'; there are: wave-3".
std::string nobody_in(std::string_view wave, const std::set<std::string, std::less<>>& known);

/// What tells people apart; empty if the target makes no sense.
std::string person_key(const Entry& entry);

/// What an operator has said of this person or address; nullptr: nothing.
const Waves::Word* word_for(const Waves& waves, const Entry& entry);

/// All entries of the people whom these keys (normalised, each in the table) belong to, by person
/// and address.
std::vector<Entry> entries_of_people(const Table& table, const std::vector<std::string>& keys);
WaveCount count_people(const std::vector<Entry>& entries);
/// Fills `targets`: who the members are, for their addresses may be given to others. Of an address
/// that has left the table: who it was when the last word was said of it.
void note_targets(const Router& router, WaveCommand& command);

/// Addresses of the wave that are not in `state`, by their own word or that of their source: what
/// is said of the whole wave does not reach them. At most `most` are kept, by person; all are
/// counted.
struct Unmoved {
  struct One {
    Entry entry;
    EntryState state = EntryState::pending;
    bool by_word = false;  // an operator's; else the source's
  };
  std::vector<One> some;
  std::uint64_t count = 0;
};
Unmoved unmoved(const Router& router, const std::string& wave, EntryState state, WallTime at,
                std::size_t most);

/// What the configuration says of waves that does not happen, that is over, or that is of nobody,
/// and words about people that stand alone by now (their wave was renamed, they have a further
/// address). Warnings. `before`: the configuration that ran until now: what is over is told only if
/// it is new.
std::vector<Problem> wave_problems(const Router& router, WallTime now,
                                   const std::vector<WaveOptions>* before = nullptr);

}  // namespace waypost::routing
