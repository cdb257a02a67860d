// The index of a sealed segment, in a file beside it: the heads of its MESSAGE and SETTLE records,
// so that a restart need not read past a million bodies to find them.
//
// Never needed: what is missing, torn, stale or damaged is found by scanning the segment instead.
// So nothing waits for an index, and its writing proves nothing to anybody.
#pragma once

#include "waypost/base/disk.h"

#include "spool/scan.h"

namespace waypost::spool {

using RecordVisitor =
    std::function<void(const RecordHeader&, std::uint64_t offset, std::string_view head)>;

/// Records as they go into an index, gathered while their segment is written.
class IndexPieces {
 public:
  /// `record`: header and head (anything behind them is left out). Chunks are not kept.
  void add(std::uint64_t offset, std::string_view record);
  void add(std::uint64_t offset, const RecordHeader& header, std::string_view head);
  void append(IndexPieces&& other);
  void clear() { *this = IndexPieces(); }
  bool empty() const { return octets_ == 0; }
  std::uint64_t octets() const { return octets_; }
  std::uint64_t records() const { return records_; }
  const std::vector<std::string>& pieces() const { return pieces_; }

 private:
  std::vector<std::string> pieces_;
  std::uint64_t octets_ = 0, records_ = 0;
};

/// An index to be written: by whom does not matter, the segment is sealed.
struct IndexOrder {
  std::string path;
  SegmentHeader segment;
  IndexPieces pieces;
};

/// "00000012.idx"
std::string index_name(std::uint32_t number);
std::optional<std::uint32_t> index_number(std::string_view name);

std::string encode_index_header(const SegmentHeader& segment, std::uint64_t records,
                                std::uint64_t octets, std::uint32_t crc);
/// `sync`: false where the next restart may as well scan again.
Result<> write_index(Disk& disk, const IndexOrder& order, bool sync);
/// What is behind the header, if every octet is as it was written for this use of the segment.
std::optional<std::string> read_index(Disk& disk, const std::string& path,
                                      const SegmentHeader& segment);
/// False, having visited some records, if a length in it cannot be.
bool walk_index(std::string_view index, const SegmentHeader& segment, std::uint64_t segment_size,
                const RecordVisitor& record);

}  // namespace waypost::spool
