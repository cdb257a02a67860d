// How much room the spool has, in words: for the log, /readyz and `waypost check`.
#pragma once

#include "waypost/base/disk.h"
#include "waypost/spool/spool.h"

#include <filesystem>
#include <string>

namespace waypost::app {

inline std::string mebibytes(std::uint64_t octets) {
  constexpr std::uint64_t kMiB = 1024 * 1024;
  return std::to_string(octets / kMiB) + " MiB";
}

/// "no mail is taken: 22 MiB free in /var/lib/waypost/spool, spool.minimum_free is 512 MiB"
inline std::string too_little_room(std::uint64_t free, const spool::Options& options) {
  const std::string text =
      "no mail is taken: " + mebibytes(free) + " free in " + options.directory + ", ";
  if (free < options.minimum_free_octets || free >= options.segment_octets)
    return text + "spool.minimum_free is " + mebibytes(options.minimum_free_octets);
  return text + "the next segment takes " + mebibytes(options.segment_octets) +
         " (spool.segment_size)";
}

/// Before a daemon runs; empty: there is room, or nobody can say. The folder need not be there yet.
inline std::string room_trouble(const spool::Options& options) {
  std::filesystem::path folder = options.directory;
  std::error_code ignored;
  while (!folder.empty() && !std::filesystem::exists(folder, ignored) &&
         folder != folder.parent_path())
    folder = folder.parent_path();
  const auto free = Disk::system().free_octets(folder.empty() ? "." : folder.string());
  if (!free || *free >= options.minimum_free_octets) return {};
  return too_little_room(*free, options) + "; make room, or lower the limit";
}

}  // namespace waypost::app
