// Walks the records of one segment file, steps over what is torn or corrupt, and finds the way
// back.
//
// Reads heads only; content is read where ScanRules ask for it. Never trusts a length or a checksum
// it has not checked.
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

struct ScanRules {
  bool check_content = false;
  /// A record from here on whose content does not match its checksum is only damage; one before is
  /// a record too, whose content can't be had: it was acknowledged.
  std::uint64_t torn_from = kNowhere;
  /// If it is known: up to here the segment was written. What is no record there is damage, zeros
  /// too.
  std::uint64_t written_until = 0;
  /// Of a segment that the list names: its first batch was synced before.
  static constexpr std::uint64_t kFirstBatch = 2 * kPage;
  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};
};

/// Returns the octets read. Pages that the disk refuses to read are damage like any other; what
/// stands behind them is found. A record whose head is sound but whose content can't be read is
/// told of as a record and as damage.
Result<std::uint64_t> scan_segment(File& file, const SegmentHeader& segment, const ScanRules& rules,
                                   const ScanVisitor& visit);
/// Where the last batch begins of which anything is sound. All before it was synced, so what is
/// wrong there is damage; only what is wrong from here on may be a torn write.
Result<std::uint64_t> last_batch_of(File& file, const SegmentHeader& segment);
/// Fails when the disk refuses to read it.
Result<SegmentBlock> read_segment_block(File& file);

/// A segment file without a sound header.
struct Headless {
  bool lost = false;           // it may hold acknowledged mail; else it is fresh, or was freed
  std::uint64_t octets = 0;    // from the first to the last that is not zero
  std::uint64_t messages = 0;  // what looks like one
};
/// `mark`: of its header block, 0: none. Fails when the disk refuses to read it.
Result<Headless> judge_headless(File& file, std::uint64_t mark);
/// "12.5 MiB", "3.0 KiB"
std::string octets_in_words(std::uint64_t octets);
/// "12.5 MiB that look like 40 messages", "nothing"
std::string describe(const Headless& what);
/// "00000012.log"
std::string segment_name(std::uint32_t number);
/// The number in such a name.
std::optional<std::uint32_t> segment_number(std::string_view name);

}  // namespace waypost::spool
