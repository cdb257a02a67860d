// What time alone makes of waves.
//
// Pure; any thread.
#pragma once

#include "waypost/routing/waves.h"

#include <string>
#include <vector>

namespace waypost::routing {

/// A wave that nobody has said anything of meanwhile, and that is `change.to` now.
struct WaveTurn {
  std::string wave;
  WaveChange change;
  bool back = false;  // the clock was set back: what had come due is to come once more
};

/// What has come due after `seen`, up to `now`, in order of waves and times. If the clock was set
/// back to before `seen`: which waves are something else again.
std::vector<WaveTurn> turns_between(const Waves& waves, WallTime seen, WallTime now);

}  // namespace waypost::routing
