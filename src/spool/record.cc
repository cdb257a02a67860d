#include "spool/record.h"

#include "waypost/base/crc32c.h"

#include <cstring>

namespace waypost::spool {
namespace {

constexpr char kSegmentMagic[8] = {'W', 'P', 'S', 'E', 'G', 'M', 'N', 'T'};
constexpr char kMarkMagic[8] = {'W', 'P', 'F', 'R', 'E', 'E', 'D', 0};

struct DiskHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint64_t sequence;
  std::uint64_t salt;
  std::uint64_t segment_octets;
  std::uint32_t zero;
  std::uint32_t crc;
};
static_assert(sizeof(DiskHeader) == 48);

struct DiskMark {
  char magic[8];
  std::uint64_t sequence;
  std::uint32_t zero;
  std::uint32_t crc;
};
static_assert(sizeof(DiskMark) == 24);

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::optional<DiskHeader> read_header(std::string_view bytes) {
  DiskHeader header{};
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::uint32_t crc = header.crc;
  header.crc = 0;
  if (std::memcmp(header.magic, kSegmentMagic, 8) != 0 || crc32c(0, bytes_of(header)) != crc) {
    return std::nullopt;
  }
  return header;
}

}  // namespace

std::uint32_t checksum_seed(const SegmentHeader& header) {
  return crc32c(crc32c(0, bytes_of(header.sequence)), bytes_of(header.salt));
}

std::string encode_segment_block(const SegmentHeader& header, std::uint64_t mark) {
  DiskHeader disk{};
  std::memcpy(disk.magic, kSegmentMagic, 8);
  disk.version = kFormatVersion;
  disk.sequence = header.sequence;
  disk.salt = header.salt;
  disk.segment_octets = header.segment_octets;
  disk.crc = crc32c(0, bytes_of(disk));
  std::string block(kPage, '\0');
  std::memcpy(block.data(), &disk, sizeof disk);
  std::memcpy(block.data() + kSecondHeader, &disk, sizeof disk);
  if (mark != 0) {
    const std::string encoded = encode_mark(mark);
    std::memcpy(block.data() + kMarkOffset, encoded.data(), encoded.size());
  }
  return block;
}

std::string encode_mark(std::uint64_t sequence) {
  DiskMark mark{};
  std::memcpy(mark.magic, kMarkMagic, 8);
  mark.sequence = sequence;
  mark.crc = crc32c(0, bytes_of(mark));
  return std::string(bytes_of(mark));
}

SegmentBlock decode_segment_block(std::string_view block) {
  SegmentBlock result;
  if (block.size() < kPage) return result;
  for (const std::uint64_t at : {std::uint64_t{0}, kSecondHeader}) {
    const auto disk = read_header(block.substr(at));
    if (!disk) continue;
    if (disk->version != kFormatVersion) {
      result.foreign_version = disk->version;
      continue;
    }
    if (!result.header || disk->sequence > result.header->sequence) {
      result.header = SegmentHeader{disk->sequence, disk->salt, disk->segment_octets};
    }
  }
  DiskMark mark{};
  std::memcpy(&mark, block.data() + kMarkOffset, sizeof mark);
  const std::uint32_t crc = mark.crc;
  mark.crc = 0;
  if (std::memcmp(mark.magic, kMarkMagic, 8) == 0 && crc32c(0, bytes_of(mark)) == crc) {
    result.mark = mark.sequence;
  }
  return result;
}

std::string encode_record(RecordHeader header, std::uint32_t seed, std::string_view head) {
  header.head_octets = static_cast<std::uint32_t>(head.size());
  header.head_crc = 0;
  header.head_crc = crc32c(crc32c(seed, bytes_of(header)), head);
  std::string bytes;
  bytes.reserve(sizeof header + head.size());
  bytes.append(bytes_of(header)).append(head);
  return bytes;
}

std::optional<RecordHeader> peek_record(std::string_view bytes, std::uint64_t sequence,
                                        std::uint64_t room) {
  RecordHeader header;
  if (bytes.size() < sizeof header || room < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kRecordMagic || header.sequence != sequence) return std::nullopt;
  const std::uint64_t rest = room - sizeof header;
  if (header.head_octets > rest || header.content_octets > rest - header.head_octets) {
    return std::nullopt;
  }
  return header;
}

bool head_is_sound(const RecordHeader& header, std::string_view head, std::uint32_t seed) {
  RecordHeader plain = header;
  plain.head_crc = 0;
  return head.size() == header.head_octets &&
         crc32c(crc32c(seed, bytes_of(plain)), head) == header.head_crc;
}

std::optional<MessageHead> decode_message_head(const RecordHeader& header, std::string_view head) {
  MessageHead parts;
  const bool copy = (header.flags & kFlagCopy) != 0;
  const std::uint64_t state_octets = copy ? 8 + std::uint64_t{header.recipients} : 0;
  const std::uint64_t extent_octets = std::uint64_t{header.extents} * sizeof(Extent);
  if (head.size() != header.envelope_octets + state_octets + extent_octets) return std::nullopt;
  if (header.recipients == 0 || header.recipients > kMostRecipients) return std::nullopt;
  parts.envelope = head.substr(0, header.envelope_octets);
  if (copy) {
    std::memcpy(&parts.held_stamp, head.data() + header.envelope_octets, 8);
    parts.states = head.substr(header.envelope_octets + 8, header.recipients);
  }
  parts.extents.resize(header.extents);
  if (extent_octets != 0) {
    std::memcpy(parts.extents.data(), head.data() + header.envelope_octets + state_octets,
                extent_octets);
  }
  for (const Extent& extent : parts.extents) parts.streamed_octets += extent.octets;
  return parts;
}

std::string encode_message_head(std::string_view envelope, bool copy, std::uint64_t held_stamp,
                                std::string_view states, std::span<const Extent> extents) {
  std::string head;
  head.reserve(envelope.size() + (copy ? 8 + states.size() : 0) + extents.size_bytes());
  head.append(envelope);
  if (copy) head.append(bytes_of(held_stamp)).append(states);
  head.append(reinterpret_cast<const char*>(extents.data()), extents.size_bytes());
  return head;
}

std::vector<Entry> decode_entries(std::string_view head) {
  std::vector<Entry> entries(head.size() / sizeof(Entry));
  if (!entries.empty()) std::memcpy(entries.data(), head.data(), entries.size() * sizeof(Entry));
  return entries;
}

}  // namespace waypost::spool
