// What a wave command would change, person by person, before it is said.
//
// Pure; any thread; walks the table twice. The plan compares the router that runs with the one that
// would run, so that it can't differ from what the command does.
#pragma once

#include "waypost/routing/router.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace waypost::routing {

struct PlannedChange {
  Entry entry;
  EntryState was = EntryState::pending, will_be = EntryState::pending;
  bool held = false;     // after the change
  std::string next_hop;  // after the change; empty: deferred or refused
  std::string target;
};

struct WavePlan {
  struct Count {
    std::uint64_t people = 0, addresses = 0;
  };
  Count all;                                                 // of the wave
  std::map<std::pair<EntryState, EntryState>, Count> moves;  // from and to, equal ones too
  std::vector<PlannedChange> changes;  // by person; at most as many as asked for
  /// What the operator should look at first: people with a state of their own, mail that would be
  /// deferred, addresses of the same person in another wave. With places; at most 200.
  std::vector<std::string> conflicts;
  std::uint64_t conflict_count = 0;

  Count changed;
};

/// `then`: the same table with the waves as they would be; both are asked about the time `at`.
/// `members`: normalised keys of those who are meant; empty: the whole wave.
WavePlan plan_wave(const Router& now, const Router& then, const std::string& wave,
                   const std::vector<std::string>& members, WallTime at, std::size_t most_changes);

}  // namespace waypost::routing
