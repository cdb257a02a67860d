// The bytes of the log: segment header, record header, settlement entries. FORMAT.md describes each
// field; this file and that page change together.
//
// Pure: no I/O. Everything read here may be torn, stale or hostile; decoding answers "no" and never
// asserts.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::spool {

static_assert(std::endian::native == std::endian::little, "the log is little-endian");

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint32_t kRecordMagic = 0x52505957;  // "WYPR"
inline constexpr std::uint64_t kMarkOffset = 1024;         // the freed mark inside the header block
inline constexpr std::uint32_t kMostRecipients = 1'000'000;  // of one message
inline constexpr std::uint64_t kSecondHeader = 2048;         // the header's second copy

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  return (value + step - 1) / step * step;
}

enum class RecordType : std::uint8_t { message = 1, chunk = 2, settle = 3 };
inline constexpr std::uint8_t kFlagCopy = 1;   // state block present: written by a move
inline constexpr std::uint8_t kFlagHeld = 2;   // held when it was copied
inline constexpr std::uint8_t kFlagBatch = 4;  // a batch begins here: all before it was synced

struct RecordHeader {
  std::uint32_t magic = kRecordMagic;
  RecordType type = RecordType::message;
  std::uint8_t flags = 0;
  std::uint16_t extents = 0;  // chunk extents at the end of the head
  std::uint64_t sequence = 0;
  std::uint64_t id = 0;
  std::uint32_t recipients = 0;
  std::uint32_t generation = 0;     // 0 as accepted, +1 for each move
  std::uint64_t from_sequence = 0;  // segment of the copy that this one replaces, 0: none
  std::uint32_t head_octets = 0;    // envelope, state block, extents (or entries)
  std::uint32_t envelope_octets = 0;
  std::uint64_t content_octets = 0;  // follows the head
  std::uint32_t content_crc = 0;
  std::uint32_t head_crc = 0;  // over this header with 0 here, then the head
};
static_assert(sizeof(RecordHeader) == 64);

/// Where one streamed piece of a message lies: the CHUNK record's content.
struct Extent {
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;
  std::uint32_t octets = 0;
  std::uint32_t crc = 0;
};
static_assert(sizeof(Extent) == 24);

inline constexpr std::uint32_t kEntryHeld = 16;
inline constexpr std::uint32_t kEntryReleased = 17;
inline constexpr std::uint32_t kEntryHighest = 18;  // its id is the highest that was ever stored

/// One line of a SETTLE record.
struct Entry {
  std::uint64_t id = 0;
  std::uint64_t home = 0;   // sequence of the segment that holds the newest copy of the message
  std::uint64_t stamp = 0;  // grows over the life of the spool
  std::uint32_t recipient = 0;
  std::uint32_t what = 0;  // a Settlement, or one of the above
};
static_assert(sizeof(Entry) == 32);

struct SegmentHeader {
  std::uint64_t sequence = 0;
  std::uint64_t salt = 0;
  std::uint64_t segment_octets = 0;
};

/// What the checksums of a segment's records start from.
std::uint32_t checksum_seed(const SegmentHeader& header);

/// The 4 KiB block at the start of a segment; `mark`: the sequence last marked free in this file.
std::string encode_segment_block(const SegmentHeader& header, std::uint64_t mark);
std::string encode_mark(std::uint64_t sequence);
struct SegmentBlock {
  std::optional<SegmentHeader> header;
  std::uint64_t mark = 0;
  std::uint32_t foreign_version = 0;  // not 0: written by another format version
  bool freed() const { return header && mark == header->sequence; }
};
SegmentBlock decode_segment_block(std::string_view block);

/// Fills in head_crc and returns header and head as they go to disk, padded to nothing.
std::string encode_record(RecordHeader header, std::uint32_t seed, std::string_view head);
/// The header if magic, sequence and lengths are possible within `room` octets; no checksum yet.
std::optional<RecordHeader> peek_record(std::string_view bytes, std::uint64_t sequence,
                                        std::uint64_t room);
bool head_is_sound(const RecordHeader& header, std::string_view head, std::uint32_t seed);
/// Octets to the next record.
inline std::uint64_t record_span(const RecordHeader& header) {
  return round_up(sizeof(RecordHeader) + header.head_octets + header.content_octets, 8);
}

/// The parts of a MESSAGE head. Empty if the lengths contradict each other.
struct MessageHead {
  std::string_view envelope;
  std::uint64_t held_stamp = 0;
  std::string_view states;  // one octet a recipient; empty: all open
  std::vector<Extent> extents;
  std::uint64_t streamed_octets = 0;
};
std::optional<MessageHead> decode_message_head(const RecordHeader& header, std::string_view head);
std::string encode_message_head(std::string_view envelope, bool copy, std::uint64_t held_stamp,
                                std::string_view states, std::span<const Extent> extents);
std::vector<Entry> decode_entries(std::string_view head);

}  // namespace waypost::spool
