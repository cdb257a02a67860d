// verify() and dump(): a spool directory as it lies there, read only.
#include "waypost/spool/spool.h"

#include "spool/crc32c.h"
#include "spool/scan.h"

#include <algorithm>

namespace waypost::spool {
namespace {

struct Opened {
  std::string name;
  std::unique_ptr<File> file;
  Result<SegmentBlock> block;
};

Result<std::vector<Opened>> open_all(const std::string& directory, Disk& disk) {
  auto names = disk.list(directory);
  if (!names) return fail(names.error());
  std::vector<Opened> opened;
  for (const std::string& name : *names) {
    if (!segment_number(name)) continue;
    auto file = disk.open(directory + "/" + name, false);
    if (!file && file.error().kind == ErrorKind::not_found) continue;  // the daemon just freed it
    if (!file) return fail(file.error());
    auto block = read_segment_block(**file);
    opened.push_back({name, std::move(*file), std::move(block)});
  }
  const auto sequence = [](const Opened& o) {
    return o.block && o.block->header ? o.block->header->sequence : 0;
  };
  std::sort(opened.begin(), opened.end(),
            [&](const Opened& a, const Opened& b) { return sequence(a) < sequence(b); });
  return opened;
}

std::string describe(const RecordHeader& header, std::string_view head,
                     const std::function<std::string(std::string_view)>& decode_envelope) {
  if (header.type == RecordType::message) {
    const auto parts = decode_message_head(header, head);
    if (!parts) return "message with lengths that disagree";
    return "message " + QueueId{header.id}.to_string() + " recipients " +
           std::to_string(header.recipients) + " content " +
           std::to_string(header.content_octets + parts->streamed_octets) + " copy " +
           std::to_string(header.generation) + " " +
           (decode_envelope ? decode_envelope(parts->envelope) : std::string());
  }
  if (header.type == RecordType::chunk) return "chunk " + std::to_string(header.content_octets);
  std::string text = "settle";
  for (const Entry& entry : decode_entries(head)) {
    static constexpr const char* kNames[] = {"open", "delivered", "failed", "reported"};
    text += " " + QueueId{entry.id}.to_string();
    if (entry.what == kEntryHighest) {
      text += "=highest";
    } else if (entry.what == kEntryHeld || entry.what == kEntryReleased) {
      text += entry.what == kEntryHeld ? "=held" : "=released";
    } else {
      text += "/" + std::to_string(entry.recipient) + "=" +
              (entry.what < 4 ? kNames[entry.what] : "unknown");
    }
  }
  return text;
}

}  // namespace

Result<bool> verify(const std::string& directory, Disk& disk,
                    const std::function<void(std::string)>& line) {
  auto segments = open_all(directory, disk);
  if (!segments) return fail(segments.error());
  bool sound = true;
  for (Opened& segment : *segments) {
    if (!segment.block) {
      line(segment.name + ": its header can't be read: " + segment.block.error().message);
      sound = false;
      continue;
    }
    if (segment.block->foreign_version != 0 && !segment.block->header) {
      line(segment.name + ": format version " + std::to_string(segment.block->foreign_version) +
           " is not ours");
      sound = false;
      continue;
    }
    if (!segment.block->header || segment.block->freed()) {
      line(segment.name + ": spare");
      continue;
    }
    std::uint64_t records = 0;
    ScanVisitor visit;
    visit.record = [&](const RecordHeader&, std::uint64_t, std::string_view) { ++records; };
    visit.damage = [&](const Damage& damage) {
      // A running daemon may be writing there: look once more at the header before accusing.
      const auto now = read_segment_block(*segment.file);
      if (now && (now->freed() || !now->header ||
                  now->header->sequence != segment.block->header->sequence)) {
        return;
      }
      sound = false;
      line(segment.name + ": offset " + std::to_string(damage.offset) + ": " + damage.why);
    };
    const auto read = scan_segment(*segment.file, *segment.block->header, true, visit);
    if (!read) return fail(read.error());
    line(segment.name + ": sequence " + std::to_string(segment.block->header->sequence) + ", " +
         std::to_string(records) + " records");
  }
  return sound;
}

Result<> dump(const std::string& directory, Disk& disk,
              const std::function<std::string(std::string_view)>& decode_envelope,
              const std::function<void(std::string)>& line) {
  auto segments = open_all(directory, disk);
  if (!segments) return fail(segments.error());
  for (Opened& segment : *segments) {
    if (!segment.block) {
      line(segment.name + " 0 damaged: its header can't be read: " + segment.block.error().message);
      continue;
    }
    if (!segment.block->header || segment.block->freed()) continue;
    ScanVisitor visit;
    visit.record = [&](const RecordHeader& header, std::uint64_t offset, std::string_view head) {
      line(segment.name + " " + std::to_string(offset) + " " +
           describe(header, head, decode_envelope));
    };
    visit.damage = [&](const Damage& damage) {
      line(segment.name + " " + std::to_string(damage.offset) + " damaged: " + damage.why);
    };
    const auto read = scan_segment(*segment.file, *segment.block->header, false, visit);
    if (!read) return fail(read.error());
  }
  return {};
}

}  // namespace waypost::spool
