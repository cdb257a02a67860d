#include "spool/segment_index.h"

#include "waypost/base/crc32c.h"

#include <cstring>

namespace waypost::spool {
namespace {

constexpr char kIndexMagic[8] = {'W', 'P', 'I', 'N', 'D', 'E', 'X', 0};
constexpr std::uint32_t kIndexVersion = 1;
constexpr std::size_t kJoin = 32 * 1024;  // small pieces are put together up to this

struct DiskIndex {
  char magic[8];
  std::uint32_t version;
  std::uint32_t zero;
  std::uint64_t sequence;
  std::uint64_t salt;
  std::uint64_t records;
  std::uint64_t octets;
  std::uint64_t reserved;
  std::uint32_t payload_crc;
  std::uint32_t crc;
};
static_assert(sizeof(DiskIndex) == 64);

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

}  // namespace

void IndexPieces::add(std::uint64_t offset, std::string_view record) {
  RecordHeader header;
  std::memcpy(&header, record.data(), sizeof header);
  add(offset, header, record.substr(sizeof header, header.head_octets));
}

void IndexPieces::add(std::uint64_t offset, const RecordHeader& header, std::string_view head) {
  if (header.type == RecordType::chunk) return;
  if (pieces_.empty() || pieces_.back().size() >= kJoin) pieces_.emplace_back();
  std::string& piece = pieces_.back();
  piece.append(bytes_of(offset)).append(bytes_of(header)).append(head);
  octets_ += sizeof offset + sizeof header + head.size();
  ++records_;
}

void IndexPieces::append(IndexPieces&& other) {
  for (std::string& piece : other.pieces_) {
    if (!pieces_.empty() && pieces_.back().size() + piece.size() <= kJoin) {
      pieces_.back().append(piece);
    } else {
      pieces_.push_back(std::move(piece));
    }
  }
  octets_ += other.octets_;
  records_ += other.records_;
  other.clear();
}

std::string index_name(std::uint32_t number) {
  std::string name = segment_name(number);
  return name.replace(name.size() - 3, 3, "idx");
}

std::optional<std::uint32_t> index_number(std::string_view name) {
  if (!name.ends_with(".idx")) return std::nullopt;
  return segment_number(std::string(name.substr(0, name.size() - 3)) + "log");
}

std::string encode_index_header(const SegmentHeader& segment, std::uint64_t records,
                                std::uint64_t octets, std::uint32_t crc) {
  DiskIndex disk{};
  std::memcpy(disk.magic, kIndexMagic, 8);
  disk.version = kIndexVersion;
  disk.sequence = segment.sequence;
  disk.salt = segment.salt;
  disk.records = records;
  disk.octets = octets;
  disk.payload_crc = crc;
  disk.crc = crc32c(0, bytes_of(disk));
  return std::string(bytes_of(disk));
}

Result<> write_index(Disk& disk, const IndexOrder& order, bool sync) {
  auto file = disk.open(order.path, true);
  if (!file) return fail(file.error());
  std::uint32_t crc = checksum_seed(order.segment);
  std::uint64_t at = sizeof(DiskIndex);
  // Piece by piece to the disk: a commit meanwhile waits behind one of them at most.
  std::vector<iovec> gathered;
  std::uint64_t octets = 0;
  const auto write = [&]() -> Result<> {
    if (auto written = (*file)->write_at(at, gathered); !written) return written;
    if (sync) (*file)->write_back(at, octets);
    at += octets;
    octets = 0;
    gathered.clear();
    return {};
  };
  for (const std::string& piece : order.pieces.pieces()) {
    crc = crc32c(crc, piece);
    gathered.push_back({const_cast<char*>(piece.data()), piece.size()});
    octets += piece.size();
    if (octets < 8 * kJoin) continue;
    if (auto written = write(); !written) return written;
  }
  if (octets != 0) {
    if (auto written = write(); !written) return written;
  }
  std::string header =
      encode_index_header(order.segment, order.pieces.records(), order.pieces.octets(), crc);
  const iovec piece{header.data(), header.size()};
  if (auto written = (*file)->write_at(0, {&piece, 1}); !written) return written;
  return sync ? (*file)->sync_data() : Result<>{};
}

std::optional<std::string> read_index(Disk& disk, const std::string& path,
                                      const SegmentHeader& segment) {
  auto file = disk.open(path, false);
  if (!file) return std::nullopt;
  const auto size = (*file)->size();
  DiskIndex header{};
  if (!size || *size < sizeof header) return std::nullopt;
  const auto got = (*file)->read_at(0, {reinterpret_cast<char*>(&header), sizeof header});
  if (!got || *got != sizeof header) return std::nullopt;
  const std::uint32_t crc = header.crc;
  header.crc = 0;
  if (std::memcmp(header.magic, kIndexMagic, 8) != 0 || crc32c(0, bytes_of(header)) != crc ||
      header.version != kIndexVersion || header.sequence != segment.sequence ||
      header.salt != segment.salt || header.octets > *size - sizeof header) {
    return std::nullopt;
  }
  std::string index(header.octets, '\0');
  const auto rest = (*file)->read_at(sizeof header, {index.data(), index.size()});
  if (!rest || *rest != index.size() ||
      crc32c(checksum_seed(segment), index) != header.payload_crc) {
    return std::nullopt;
  }
  return index;
}

bool walk_index(std::string_view index, const SegmentHeader& segment, std::uint64_t segment_size,
                const RecordVisitor& record) {
  std::uint64_t behind = kPage;  // records follow one another, as in the segment
  while (!index.empty()) {
    std::uint64_t offset = 0;
    if (index.size() < sizeof offset) return false;
    std::memcpy(&offset, index.data(), sizeof offset);
    index.remove_prefix(sizeof offset);
    if (offset < behind || offset % 8 != 0 || offset > segment_size) return false;
    const auto header = peek_record(index, segment.sequence, segment_size - offset);
    if (!header || header->head_octets > index.size() - sizeof(RecordHeader)) return false;
    record(*header, offset, index.substr(sizeof(RecordHeader), header->head_octets));
    index.remove_prefix(sizeof(RecordHeader) + header->head_octets);
    behind = offset + record_span(*header);
  }
  return true;
}

}  // namespace waypost::spool
