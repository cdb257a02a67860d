#include "waypost/routing/wave_turns.h"

namespace waypost::routing {

std::vector<WaveTurn> turns_between(const Waves& waves, WallTime seen, WallTime now) {
  std::vector<WaveTurn> turns;
  for (const auto& [name, wave] : waves.all()) {
    if (now < seen && wave.state_at(now) != wave.state_at(seen))
      turns.push_back({name, wave.change_at(now), true});
    for (std::size_t i = wave.base + 1; i < wave.changes.size(); ++i) {
      const auto& change = wave.changes[i];
      if (change.at > seen && change.at <= now) turns.push_back({name, change, false});
    }
  }
  return turns;
}

}  // namespace waypost::routing
