// The waves as a daemon with this configuration would see them; for commands that work without one.
#pragma once

#include "waypost/config/config.h"
#include "waypost/routing/waves.h"

#include <filesystem>
#include <iostream>
#include <memory>

namespace waypost::app {

/// Where a daemon keeps what operators have said of the waves.
inline std::string wave_journal_file(const config::Config& config) {
  return config.spool.directory + "/waves.journal";
}

/// A table has been in use with this spool (gateway_table.cc writes its size): it has had a
/// gateway, which leaves at least a mark of the waves' journal.
inline bool spool_was_used(const config::Config& config) {
  std::error_code ignored;
  return std::filesystem::exists(config.spool.directory + "/table-size.json", ignored);
}

/// A journal that can't be read is told; the configuration alone decides then.
inline std::shared_ptr<const routing::Waves> waves_on_disk(const config::Config& config) {
  const auto record = routing::read_wave_journal(wave_journal_file(config), spool_was_used(config));
  if (!record) {
    std::cerr << record.error().message
              << "; what operators have said of the waves is left out here\n";
    return routing::Waves::make(config.routing.waves, {});
  }
  return routing::Waves::make(config.routing.waves, record->commands,
                              routing::wave_trouble(record->damage));
}

}  // namespace waypost::app
