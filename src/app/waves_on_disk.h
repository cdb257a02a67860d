// The waves as a daemon with this configuration would see them; for commands that work without one.
#pragma once

#include "waypost/config/config.h"
#include "waypost/routing/waves.h"

#include <memory>

namespace waypost::app {

/// Where a daemon keeps what operators have said of the waves.
inline std::string wave_journal_file(const config::Config& config) {
  return config.spool.directory + "/waves.journal";
}

/// A journal that can't be read counts as empty: the configuration alone decides then.
inline std::shared_ptr<const routing::Waves> waves_on_disk(const config::Config& config) {
  const auto journal =
      routing::WaveJournal::open(wave_journal_file(config), [](const std::string&) {});
  return routing::Waves::make(
      config.routing.waves, journal ? (*journal)->commands() : std::vector<routing::WaveCommand>());
}

}  // namespace waypost::app
