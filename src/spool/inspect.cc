// verify() and dump(): a spool directory as it lies there, read only.
#include "waypost/base/counted.h"
#include "waypost/base/crc32c.h"
#include "waypost/spool/spool.h"

#include "spool/scan.h"
#include "spool/segment_list.h"

#include <algorithm>
#include <set>

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

class Verification {
 public:
  Verification(const std::string& directory, Disk& disk,
               const std::function<void(std::string)>& line)
      : directory_(directory), disk_(disk), line_(line) {}

  Result<bool> run() {
    read_list();  // before the files: what it names is there or has been freed since
    auto segments = open_all(directory_, disk_);
    if (!segments) return fail(segments.error());
    for (Opened& segment : *segments) {
      present_.insert(*segment_number(segment.name));
      if (auto checked = check(segment, &segment == &segments->back()); !checked)
        return fail(checked.error());
    }
    tell_missing();
    return sound_;
  }

 private:
  void read_list() {
    auto list = read_segment_list(disk_, directory_);
    if (!list) return complain(segment_list_path(directory_) + ": " + list.error().message);
    if (*list) list_ = std::move(**list);
  }

  void complain(const std::string& what) {
    sound_ = false;
    line_(what);
  }

  void tell_missing() {
    for (const ListedSegment& listed : list_.segments) {
      if (present_.contains(listed.number)) continue;
      // A running daemon removes a file only after the list has ceased to name it.
      const auto now = read_segment_list(disk_, directory_);
      if (now && *now && (*now)->find(listed.number) == nullptr) continue;
      complain(segment_name(listed.number) + ": the file is missing; " + loss_of(listed));
    }
  }

  Result<> check(Opened& segment, bool newest) {
    if (!segment.block) {
      complain(segment.name + ": its header can't be read: " + segment.block.error().message);
      return {};
    }
    const SegmentBlock& block = *segment.block;
    if (block.header) return check_use(segment, newest);
    if (block.foreign_version != 0) {
      complain(segment.name + ": format version " + std::to_string(block.foreign_version) +
               " is not ours");
      return {};
    }
    const auto found = judge_headless(*segment.file, block.mark);
    const ListedSegment* listed = list_.find(*segment_number(segment.name));
    const bool held_mail = listed != nullptr && listed->sequence > block.mark;
    if (found && !found->lost && !held_mail) {
      line_(segment.name + ": spare");
      return {};
    }
    const auto now = read_segment_block(*segment.file);
    if (now && now->header) {  // a running daemon has just begun to use it
      segment.block = *now;
      return check_use(segment, newest);
    }
    complain(segment.name + ": no sound header, and behind it " +
             (found ? describe(*found) : found.error().message) + "; " +
             (listed != nullptr ? loss_of(*listed) : "mail that it held is not delivered"));
    return {};
  }

  Result<> check_use(Opened& segment, bool newest) {
    const SegmentHeader& header = *segment.block->header;
    const ListedSegment* listed = list_.find(*segment_number(segment.name));
    if (listed != nullptr && header.sequence < listed->sequence)
      complain(segment.name + ": older than the one that should be there; " + loss_of(*listed));
    if (segment.block->freed()) {
      line_(segment.name + ": spare");
      return {};
    }
    const auto size = segment.file->size();
    if (size && *size < header.segment_octets)
      complain(segment.name + ": the file was cut: " +
               counted(header.segment_octets - *size, "octet is", "octets are") +
               " missing at its end");
    ScanRules rules;
    rules.check_content = true;
    if (listed != nullptr && listed->sequence == header.sequence)
      rules.written_until = std::max(listed->written, ScanRules::kFirstBatch);
    std::uint64_t torn_from = ScanRules::kNowhere;
    if (newest) {
      const auto begin = last_batch_of(*segment.file, header);
      if (!begin) return fail(begin.error());
      torn_from = std::max(*begin, rules.written_until);
    }
    return scan(segment, header, rules, torn_from);
  }

  Result<> scan(Opened& segment, const SegmentHeader& header, const ScanRules& rules,
                std::uint64_t torn_from) {
    std::uint64_t records = 0;
    ScanVisitor visit;
    visit.record = [&](const RecordHeader&, std::uint64_t, std::string_view) { ++records; };
    visit.damage = [&](const Damage& damage) {
      // A running daemon may be writing there: look once more at the header before accusing.
      const auto now = read_segment_block(*segment.file);
      if (now && (now->freed() || !now->header || now->header->sequence != header.sequence)) {
        return;
      }
      complain(segment.name + ": offset " + std::to_string(damage.offset) + ": " + damage.why +
               (damage.offset >= torn_from && !damage.unreadable
                    ? "; perhaps only a write that was not finished"
                    : ""));
    };
    const auto read = scan_segment(*segment.file, header, rules, visit);
    if (!read) return fail(read.error());
    line_(segment.name + ": sequence " + std::to_string(header.sequence) + ", " +
          counted(records, "record"));
    return {};
  }

  const std::string& directory_;
  Disk& disk_;
  const std::function<void(std::string)>& line_;
  SegmentList list_;
  std::set<std::uint32_t> present_;
  bool sound_ = true;
};

}  // namespace

Result<bool> verify(const std::string& directory, Disk& disk,
                    const std::function<void(std::string)>& line) {
  return Verification(directory, disk, line).run();
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
    const auto read = scan_segment(*segment.file, *segment.block->header, {}, visit);
    if (!read) return fail(read.error());
  }
  return {};
}

}  // namespace waypost::spool
