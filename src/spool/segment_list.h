// `segments`, the list of the files that hold mail, so that one that is missing, cut or from a
// backup shows. It is written beside the log's own work, after the fact: what it does not name is
// judged by itself, what it names must be there or have been freed since.
#pragma once

#include "waypost/base/disk.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waypost::spool {

struct ListedSegment {
  std::uint32_t number = 0;  // in the file's name
  std::uint64_t sequence = 0;
  std::uint64_t octets = 0;   // the file's size
  std::uint64_t written = 0;  // up to where; 0: it was in use
};

struct SegmentList {
  std::uint64_t last_sequence = 0;
  std::vector<ListedSegment> segments;
  const ListedSegment* find(std::uint32_t number) const;
};

std::string encode_segment_list(const SegmentList& list);
/// ErrorKind::corrupt unless every octet is as it was written.
Result<SegmentList> decode_segment_list(std::string_view text);

std::string segment_list_path(const std::string& directory);
/// Nothing: there is none (yet).
Result<std::optional<SegmentList>> read_segment_list(Disk& disk, const std::string& directory);

/// "mail that it held is not delivered: 12.5 MiB were written to it"
std::string loss_of(const ListedSegment& listed);

}  // namespace waypost::spool
