#include "spool/scan.h"

#include "waypost/base/counted.h"
#include "waypost/base/crc32c.h"
#include "waypost/base/queue_id.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <unordered_map>

namespace waypost::spool {
namespace {

constexpr std::size_t kWindow = 256 * 1024;
constexpr std::string_view kZeros = "nothing but zeros where something was written";

struct Range {
  std::uint64_t from = 0, to = 0;
};

/// A sliding view of the file. What the disk refuses to read is seen as zeros, page by page.
class Window {
 public:
  explicit Window(File& file) : file_(file) {}
  /// At most `octets` from `offset`; shorter at the end of the file or where it can't be read.
  std::string_view at(std::uint64_t offset, std::size_t octets) {
    if (offset < base_ || offset + octets > base_ + filled_) fill(offset, octets);
    if (offset < base_ || offset >= base_ + filled_) return {};
    const std::size_t skip = offset - base_;
    return {buffer_.data() + skip, std::min(octets, filled_ - skip)};
  }
  std::uint64_t octets_read() const { return read_; }
  /// True if some of this range could not be read.
  bool lost(std::uint64_t from, std::uint64_t to) const {
    return std::any_of(lost_.begin(), lost_.end(),
                       [&](const Range& range) { return range.from < to && from < range.to; });
  }
  const std::vector<Range>& lost() const { return lost_; }
  const std::string& why() const { return why_; }

 private:
  void fill(std::uint64_t offset, std::size_t octets) {
    const std::size_t wanted = std::max(octets, kWindow);
    if (buffer_.size() < wanted) buffer_.resize(wanted);
    base_ = offset;
    filled_ = 0;
    const auto got = file_.read_at(offset, {buffer_.data(), wanted});
    filled_ = got ? *got : fill_by_pages(offset, wanted);
    read_ += filled_;
  }

  std::size_t fill_by_pages(std::uint64_t offset, std::size_t wanted) {
    const auto size = file_.size();
    if (!size || *size <= offset) return 0;
    const std::uint64_t end = std::min<std::uint64_t>(offset + wanted, *size);
    for (std::uint64_t at = offset; at < end;) {
      const std::uint64_t page_end = std::min(round_up(at + 1, kPage), end);
      const std::span<char> piece(buffer_.data() + (at - offset), page_end - at);
      const auto got = file_.read_at(at, piece);
      if (!got || *got != piece.size()) {
        std::fill(piece.begin(), piece.end(), '\0');
        lose(page_end - piece.size(), page_end);
        if (!got) why_ = got.error().message;
      }
      at = page_end;
    }
    return end - offset;
  }

  void lose(std::uint64_t from, std::uint64_t to) {
    from -= from % kPage;
    if (lost(from, to)) return;  // seen before
    if (!lost_.empty() && lost_.back().to == from) {
      lost_.back().to = to;
    } else {
      lost_.push_back({from, to});
    }
  }

  File& file_;
  std::vector<char> buffer_;
  std::uint64_t base_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t read_ = 0;
  std::vector<Range> lost_;
  std::string why_;
};

bool all_zero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

class Scan {
 public:
  Scan(File& file, const SegmentHeader& segment, const ScanRules& rules, const ScanVisitor& visit)
      : window_(file),
        segment_(segment),
        seed_(checksum_seed(segment)),
        rules_(rules),
        visit_(visit) {}

  Result<std::uint64_t> run(std::uint64_t size) {
    size_ = size;
    for (std::uint64_t at = kPage; at + sizeof(RecordHeader) <= size_;) {
      if (const auto header = sound_at(at)) {
        deliver(*header, at);
        at += record_span(*header);
        continue;
      }
      const std::uint64_t page_end = round_up(at, kPage);
      if (page_end != at && all_zero(window_.at(at, page_end - at))) {
        at = page_end;
        continue;
      }
      const auto next = resync(at);
      if (!next) break;
      at = *next;
    }
    for (const Range& range : window_.lost()) {
      visit_.damage({range.from, range.to - range.from, "can't be read: " + window_.why(), true});
    }
    return window_.octets_read();
  }

 private:
  std::optional<RecordHeader> sound_at(std::uint64_t at) {
    const auto header =
        peek_record(window_.at(at, sizeof(RecordHeader)), segment_.sequence, size_ - at);
    if (!header || header->head_octets > checksum_allowance_) return std::nullopt;
    const auto head = window_.at(at + sizeof(RecordHeader), header->head_octets);
    if (!head_is_sound(*header, head, seed_)) {
      checksum_allowance_ -= header->head_octets;
      return std::nullopt;
    }
    return header;
  }

  /// No two batches begin alike (but with pieces of large messages, which have no name): ids,
  /// generations and stamps are given once. A disk that has written one to the place of another
  /// has lost that one.
  bool stands_elsewhere(const RecordHeader& header, std::uint64_t at) {
    const bool unique = header.type == RecordType::message || header.type == RecordType::settle;
    if (!unique || (header.flags & kFlagBatch) == 0) return false;
    const std::string_view octets(reinterpret_cast<const char*>(&header), sizeof header);
    const auto [first, fresh] = batches_.try_emplace(std::hash<std::string_view>()(octets), at);
    if (fresh) return false;
    damage({at, record_span(header),
            "what stands at offset " + std::to_string(first->second) +
                " stands here again; what was written at one of the two places is gone"});
    return true;
  }

  void deliver(const RecordHeader& header, std::uint64_t at) {
    if (stands_elsewhere(header, at)) return;
    const std::uint64_t head_at = at + sizeof(RecordHeader);
    const std::uint64_t content_at = head_at + header.head_octets;
    const bool sound = !rules_.check_content || content_is_sound(header, content_at);
    // What can't be read now may have been acknowledged: its message stays.
    if (!sound && !window_.lost(content_at, content_at + header.content_octets)) {
      visit_.damage({at, record_span(header), content_of(header) + " does not match its checksum"});
      if (at >= rules_.torn_from) return;
    }
    visit_.record(header, at, window_.at(head_at, header.head_octets));
  }

  static std::string content_of(const RecordHeader& header) {
    if (header.type == RecordType::chunk) return "a piece of a large message";
    return "the content of message " + QueueId{header.id}.to_string();
  }

  /// Of what stands where a record should: enough to find it in the tracking log.
  std::string guess_at(std::uint64_t at) {
    const auto bytes = window_.at(at, sizeof(RecordHeader));
    RecordHeader header;
    if (bytes.size() < sizeof header) return {};
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != kRecordMagic && header.sequence != segment_.sequence) return {};
    if (header.type == RecordType::chunk) return " (it looks like a piece of a large message)";
    if (header.type == RecordType::settle) return " (it looks like ends of recipients)";
    if (header.type != RecordType::message || header.id == 0) return {};
    return " (it looks like message " + QueueId{header.id}.to_string() + ")";
  }

  bool content_is_sound(const RecordHeader& header, std::uint64_t at) {
    std::uint32_t crc = seed_;
    for (std::uint64_t left = header.content_octets; left > 0;) {
      const auto piece = window_.at(at, std::min<std::uint64_t>(left, kWindow));
      if (piece.empty()) return false;
      crc = crc32c(crc, piece);
      at += piece.size();
      left -= piece.size();
    }
    return crc == header.content_crc;
  }

  /// The next sound record after `start`, which is not one. Tells of what lies between.
  std::optional<std::uint64_t> resync(std::uint64_t start) {
    std::optional<std::uint64_t> torn;
    for (std::uint64_t at = start; at + sizeof(RecordHeader) <= size_; at += 8) {
      const auto word = window_.at(at, 8);
      if (word.size() < 8) break;
      std::uint32_t magic = 0;
      std::memcpy(&magic, word.data(), 4);
      if (magic != kRecordMagic) continue;
      if (const auto next = at == start ? std::nullopt : sound_at(at)) {
        if (!zero_between(start, at)) {
          damage({start, at - start, "no sound record here" + guess_at(start)});
        } else if (at % kPage == 0 && (next->flags & kFlagBatch) != 0) {
          // Batches lie without gaps, and each was synced before the next was written.
          damage({start, at - start, std::string(kZeros)});
        }
        return at;
      }
      const auto bytes = window_.at(at, sizeof(RecordHeader));
      std::uint64_t sequence = 0;
      if (bytes.size() >= 16) std::memcpy(&sequence, bytes.data() + 8, 8);
      if (sequence == segment_.sequence && !torn) torn = at;
    }
    if (torn) {
      damage({*torn, size_ - *torn,
              "no sound record here" + guess_at(*torn) + ", and none behind it"});
    } else if (start < rules_.written_until) {
      const bool zeros = zero_between(start, rules_.written_until);
      damage({start, rules_.written_until - start,
              zeros ? std::string(kZeros)
                    : "no sound record here" + guess_at(start) + ", and none behind it"});
    }
    return std::nullopt;
  }

  void damage(Damage what) {
    what.unreadable = window_.lost(what.offset, what.offset + what.octets);
    visit_.damage(what);
  }

  bool zero_between(std::uint64_t from, std::uint64_t to) {
    while (from < to) {
      const auto piece = window_.at(from, std::min<std::uint64_t>(to - from, kPage));
      if (piece.empty() || !all_zero(piece)) return false;
      from += piece.size();
    }
    return true;
  }

  Window window_;
  SegmentHeader segment_;
  std::uint32_t seed_;
  ScanRules rules_;
  const ScanVisitor& visit_;
  std::uint64_t size_ = 0;
  std::unordered_map<std::size_t, std::uint64_t> batches_;  // hash of the first header, offset
  // Hostile lengths in a damaged region must not make resynchronising quadratic.
  std::uint64_t checksum_allowance_ = 256ull * 1024 * 1024;
};

}  // namespace

Result<std::uint64_t> scan_segment(File& file, const SegmentHeader& segment, const ScanRules& rules,
                                   const ScanVisitor& visit) {
  const auto size = file.size();
  if (!size) return fail(size.error());
  return Scan(file, segment, rules, visit).run(*size);
}

Result<std::uint64_t> last_batch_of(File& file, const SegmentHeader& segment) {
  std::uint64_t flagged = 0;
  std::uint64_t aligned = 0;  // earlier versions did not say where a batch begins
  ScanVisitor visit;
  visit.record = [&](const RecordHeader& header, std::uint64_t offset, std::string_view) {
    if (offset % kPage != 0) return;
    aligned = offset;
    if ((header.flags & kFlagBatch) != 0) flagged = offset;
  };
  visit.damage = [](const Damage&) {};
  const auto read = scan_segment(file, segment, {}, visit);
  if (!read) return fail(read.error());
  return std::max(kPage, flagged != 0 ? flagged : aligned);
}

Result<SegmentBlock> read_segment_block(File& file) {
  std::string block(kPage, '\0');
  const auto got = file.read_at(0, {block.data(), block.size()});
  if (!got) return fail(got.error());
  return decode_segment_block(block);
}

Result<Headless> judge_headless(File& file, std::uint64_t mark) {
  const auto size = file.size();
  if (!size) return fail(size.error());
  Headless found;
  std::uint64_t first = *size;
  bool newer = false;  // than the use of the file that was freed last
  Window window(file);
  for (std::uint64_t at = 0; at < *size; at += kPage) {
    const auto page = window.at(at, std::min(kPage, *size - at));
    if (page.empty() || all_zero(page)) continue;
    first = std::min(first, at);
    found.octets = at + page.size() - first;
    for (std::size_t i = 0; at != 0 && i + sizeof(RecordHeader) <= page.size(); i += 8) {
      RecordHeader header;
      std::memcpy(&header, page.data() + i, sizeof header);
      if (header.magic != kRecordMagic || header.sequence <= mark) continue;
      newer = true;
      if (header.type == RecordType::message && header.id != 0) ++found.messages;
    }
  }
  if (!window.lost().empty()) return fail(ErrorKind::io, window.why());
  // A torn activation of a freed file may have spoilt the header too; then nothing behind it is
  // new.
  found.lost = found.octets != 0 && (mark == 0 || newer);
  return found;
}

std::string octets_in_words(std::uint64_t octets) {
  const bool small = octets < 1024 * 1024;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s",
                static_cast<double>(octets) / (small ? 1024 : 1024 * 1024), small ? "KiB" : "MiB");
  return text;
}

std::string describe(const Headless& what) {
  if (what.octets == 0) return "nothing";
  return octets_in_words(what.octets) + " that look like " + counted(what.messages, "message");
}

std::string segment_name(std::uint32_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "%08u.log", number);
  return text;
}

std::optional<std::uint32_t> segment_number(std::string_view name) {
  if (name.size() < 12 || !name.ends_with(".log")) return std::nullopt;
  std::uint32_t number = 0;
  const char* end = name.data() + name.size() - 4;
  const auto parsed = std::from_chars(name.data(), end, number);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return number;
}

}  // namespace waypost::spool
