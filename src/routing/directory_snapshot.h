// The snapshot: what the last good synchronisation has found, as a CSV file.
//
// Private to routing. The routing table reads its rows as those of any table; what only the next
// synchronisation needs stands in comments. docs/directory.md describes the format. Reading never
// trusts the file: unless its checksum is right, nothing is merged into it.
#pragma once

#include "waypost/base/durable.h"

#include "routing/directory_person.h"

#include <cstdint>
#include <optional>
#include <string>

namespace waypost::routing {

/// What the directory was some hours ago, and how many entries have left or lost a word since.
struct DirectoryBase {
  WallTime at{};  // the epoch: not known
  std::size_t entries = 0, lost = 0;
};

struct DirectorySnapshot {
  std::string settings;  // what was asked for; another question needs a full reading
  std::string server;
  std::string invocation_id;
  std::optional<std::uint64_t> usn;  // highestCommittedUSN before the reading
  WallTime full_at{};
  WallTime written_at{};
  DirectoryBase base{};
  DirectoryPeople people;
};

struct LoadedSnapshot {
  DirectorySnapshot snapshot;
  bool trusted = false;
  std::string why_not;  // trusted is false: "there is none", "its checksum is wrong"
};

std::string write_snapshot(const DirectorySnapshot& snapshot);
/// Why it is not what a synchronisation has written; empty: it is.
std::string snapshot_damage(std::string_view content);
/// What could be read also of one that is not trusted: to know what would leave.
LoadedSnapshot read_snapshot(std::string_view content);
LoadedSnapshot load_snapshot(const std::string& path);
inline constexpr unsigned kSnapshotMode = 0640;
Result<> save_snapshot(DurableFile& file, std::string_view content);

}  // namespace waypost::routing
