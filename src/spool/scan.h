// Walks the records of one segment file, steps over what is torn or corrupt, and finds the way
// back.
//
// Reads heads only; content is read where `check_content` asks for it. Never trusts a length or a
// checksum it has not checked.
#pragma once

#include "waypost/base/disk.h"

#include "spool/record.h"

#include <functional>

namespace waypost::spool {

struct Damage {
  std::uint64_t offset = 0;
  std::uint64_t octets = 0;
  std::string why;
  bool unreadable = false;  // the disk refused to read some of it: nobody knows what it holds
};

struct ScanVisitor {
  /// `head` is valid during the call.
  std::function<void(const RecordHeader&, std::uint64_t offset, std::string_view head)> record;
  std::function<void(const Damage&)> damage;
};

/// Returns the octets read. Pages that the disk refuses to read are damage like any other; what
/// stands behind them is found. A record whose head is sound but whose content can't be read is
/// told of as a record and as damage.
Result<std::uint64_t> scan_segment(File& file, const SegmentHeader& segment, bool check_content,
                                   const ScanVisitor& visit);
/// Fails when the disk refuses to read it.
Result<SegmentBlock> read_segment_block(File& file);
/// "00000012.log"
std::string segment_name(std::uint32_t number);
/// The number in such a name.
std::optional<std::uint32_t> segment_number(std::string_view name);

}  // namespace waypost::spool
