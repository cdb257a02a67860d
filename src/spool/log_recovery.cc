// Recovery: reads every segment in order of its sequence, keeps the newest copy of each message,
// applies settlements, and sets aside what is torn or corrupt.
#include "spool/log.h"

#include <algorithm>
#include <cstring>

namespace waypost::spool {

class Recovery {
 public:
  Recovery(Log& log, RecoveryReport& report) : log_(log), report_(report) {}

  Result<> run(const std::function<void(StoredMessage)>& found) {
    if (auto opened = open_segments(); !opened) return opened;
    for (std::uint32_t i : order_) {
      if (auto scanned = scan(i); !scanned) return scanned;
    }
    log_.highest_id_ = report_.highest_id.value;
    apply_entries();
    restore_references();
    restore_messages(found);
    for (bool freed = true; freed;) {
      freed = false;
      for (const auto& segment : log_.segments_) {
        if (segment->file && log_.free_if_possible(*segment)) freed = true;
      }
    }
    log_.count_segments();
    if (log_.read_only()) return fail(ErrorKind::io, log_.read_only_reason());
    return {};
  }

 private:
  struct Found {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    RecordHeader header;
    std::vector<Extent> extents;
    std::string states;  // empty: all open
    std::uint64_t held_stamp = 0;
    bool held = false;
  };

  Result<> open_segments() {
    if (auto synced = log_.disk_.sync_directory(log_.options_.directory); !synced) return synced;
    auto names = log_.disk_.list(log_.options_.directory);
    if (!names) return fail(names.error());
    for (const std::string& name : *names) {
      const auto number = segment_number(name);
      if (!number) continue;
      log_.next_number_ = std::max(log_.next_number_, *number + 1);
      if (auto opened = open_segment(*number); !opened) return opened;
    }
    std::sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      return log_.segments_[a]->header.sequence < log_.segments_[b]->header.sequence;
    });
    return {};
  }

  Result<> open_segment(std::uint32_t number) {
    const std::string path = log_.path(number);
    auto file = log_.disk_.open(path, false);
    if (!file) return fail(file.error());
    // What a killed process wrote is perhaps only in memory, and after a failed sync the memory may
    // show what the disk never got: nothing is built on octets that a power cut could still take.
    if (auto synced = (*file)->sync_data(); !synced) return synced;
    (*file)->forget_cached();
    const auto block = read_segment_block(**file);
    if (!block) return fail(block.error());
    const auto size = (*file)->size();
    if (!size) return fail(size.error());
    if (block->foreign_version != 0 && !block->header) {
      return fail(ErrorKind::unsupported,
                  path + " has spool format version " + std::to_string(block->foreign_version) +
                      ", this program writes version " + std::to_string(kFormatVersion) +
                      "; run the program that wrote it until the spool is empty");
    }
    if (block->header) {
      log_.last_sequence_ = std::max(log_.last_sequence_, block->header->sequence);
    }
    if (!block->header || block->freed())
      return keep_spare(number, *block, std::move(*file), *size);
    Segment& segment = log_.add_segment(number, std::move(*file));
    segment.state = Segment::State::sealed;
    segment.header = *block->header;
    segment.seed = checksum_seed(segment.header);
    segment.mark = block->mark;
    segment.write_at = *size;
    log_.used_octets_.fetch_add(*size);
    if (!log_.sequences_.emplace(segment.header.sequence, &segment).second) {
      return fail(ErrorKind::corrupt, path +
                                          " has the same sequence as another segment: was a "
                                          "file copied into the spool? move it out");
    }
    order_.push_back(static_cast<std::uint32_t>(log_.segments_.size() - 1));
    return {};
  }

  Result<> keep_spare(std::uint32_t number, const SegmentBlock& block, std::unique_ptr<File> file,
                      std::uint64_t size) {
    if (!block.header) {
      std::string start(kPage, '\0');
      const auto got = file->read_at(0, {start.data(), start.size()});
      if (!got) return fail(got.error());
      // Both copies of the header torn: either never activated (nothing in it was acknowledged) or
      // damaged beyond reading. A person may want to look.
      if (std::any_of(start.begin(), start.end(), [](char c) { return c != '\0'; }) &&
          block.mark == 0) {
        const std::string name = segment_name(number);
        report_.set_aside.push_back("segment " + name +
                                    ": its header is unreadable; the file was "
                                    "moved to set-aside");
        return log_.disk_.rename(log_.path(number), aside_directory() + "/" + name);
      }
    }
    if (size != log_.options_.segment_octets) return log_.disk_.remove(log_.path(number));
    Segment& segment = log_.add_segment(number, std::move(file));
    segment.mark = block.mark;
    return {};
  }

  std::string aside_directory() const { return log_.options_.directory + "/set-aside"; }

  Result<> scan(std::uint32_t index) {
    Segment& segment = *log_.segments_[index];
    // Every batch but the last of the log was synced before something was written behind it.
    const bool last = index == order_.back();
    std::vector<Damage> torn;
    ScanVisitor visit;
    visit.record = [&](const RecordHeader& header, std::uint64_t offset, std::string_view head) {
      take_record(index, header, offset, head);
    };
    visit.damage = [&](const Damage& damage) {
      set_aside(segment, damage);
      if (last) torn.push_back(damage);
    };
    const auto octets = scan_segment(*segment.file, segment.header, last, visit);
    if (!octets) return fail(octets.error());
    ++report_.segments;
    report_.octets_read += *octets;
    return blot_out(segment, torn);
  }

  /// The head of a record with torn content is sound; at the next start this segment is not the
  /// last one any more, so nobody would look at its content.
  Result<> blot_out(Segment& segment, const std::vector<Damage>& torn) {
    if (torn.empty()) return {};
    char zeros[sizeof(RecordHeader)] = {};
    for (const Damage& damage : torn) {
      // No further than the damage: a sound record may begin right behind it.
      const iovec piece{zeros, std::min<std::uint64_t>(sizeof zeros, damage.octets)};
      if (auto written = segment.file->write_at(damage.offset, {&piece, 1}); !written) {
        return written;
      }
    }
    return segment.file->sync_data();
  }

  void set_aside(Segment& segment, const Damage& damage) {
    const std::string name = segment_name(segment.number);
    report_.set_aside.push_back("segment " + name + " offset " + std::to_string(damage.offset) +
                                ": " + damage.why);
    constexpr std::uint64_t kMost = 16ull * 1024 * 1024;
    std::string bytes(std::min(damage.octets, kMost), '\0');
    const auto got = segment.file->read_at(damage.offset, {bytes.data(), bytes.size()});
    if (!got) return;
    auto copy = log_.disk_.open(aside_directory() + "/" + name + "." +
                                    std::to_string(segment.header.sequence) + "." +
                                    std::to_string(damage.offset),
                                true);
    if (!copy) return;  // the report stands; a full disk must not stop recovery
    const iovec piece{bytes.data(), *got};
    if ((*copy)->write_at(0, {&piece, 1})) (void)(*copy)->sync_data();
  }

  void take_record(std::uint32_t index, const RecordHeader& header, std::uint64_t offset,
                   std::string_view head) {
    log_.newest_written_ = std::max(log_.newest_written_, log_.segments_[index]->header.sequence);
    if (header.type == RecordType::settle) {
      for (const Entry& entry : decode_entries(head)) {
        entries_.push_back(entry);
        report_.highest_id = std::max(report_.highest_id, QueueId{entry.id});
        top_stamp_ = std::max(top_stamp_, entry.stamp);
        references_.push_back({index, entry.home, false});
      }
      return;
    }
    if (header.type != RecordType::message) return;
    const auto parts = decode_message_head(header, head);
    if (!parts || header.id == 0) {
      set_aside(*log_.segments_[index], {offset, record_span(header), "its lengths disagree"});
      return;
    }
    report_.highest_id = std::max(report_.highest_id, QueueId{header.id});
    top_stamp_ = std::max(top_stamp_, parts->held_stamp);
    if (header.from_sequence != 0) references_.push_back({index, header.from_sequence, true});
    Found& kept = found_[header.id];
    if (kept.header.id != 0 && kept.header.generation > header.generation) return;
    kept = {index,
            offset,
            header,
            parts->extents,
            std::string(parts->states),
            parts->held_stamp,
            (header.flags & kFlagHeld) != 0};
  }

  void apply_entries() {
    for (const Entry& entry : entries_) {
      const auto at = found_.find(entry.id);
      if (at == found_.end()) continue;
      Found& found = at->second;
      if (entry.what == kEntryHeld || entry.what == kEntryReleased) {
        if (entry.stamp < found.held_stamp) continue;
        found.held_stamp = entry.stamp;
        found.held = entry.what == kEntryHeld;
      } else if (entry.recipient < found.header.recipients && entry.what <= 3) {
        if (found.states.empty()) found.states.assign(found.header.recipients, '\0');
        char& state = found.states[entry.recipient];
        state = std::max(state, static_cast<char>(entry.what));
      }
    }
    log_.stamp_.store(top_stamp_ + 1);
  }

  void restore_references() {
    for (const Reference& reference : references_) {
      Segment& segment = *log_.segments_[reference.segment];
      if (reference.to == segment.header.sequence || log_.by_sequence(reference.to) == nullptr) {
        continue;
      }
      (reference.copy ? segment.copies : segment.refers).insert(reference.to);
    }
    references_ = {};
    entries_ = {};
  }

  void restore_messages(const std::function<void(StoredMessage)>& found) {
    std::vector<const Found*> open;
    for (const auto& [id, message] : found_) {
      if (message.states.empty() || message.states.find('\0') != std::string::npos) {
        open.push_back(&message);
      }
    }
    std::sort(open.begin(), open.end(),
              [](const Found* a, const Found* b) { return a->header.id < b->header.id; });
    for (const Found* message : open) restore(*message, found);
  }

  bool extents_exist(const Found& message) {
    return std::all_of(message.extents.begin(), message.extents.end(), [this](const Extent& e) {
      const Segment* segment = log_.by_sequence(e.sequence);
      return segment != nullptr && e.offset <= segment->write_at &&
             e.octets <= segment->write_at - e.offset;
    });
  }

  void restore(const Found& message, const std::function<void(StoredMessage)>& found) {
    Segment& segment = *log_.segments_[message.segment];
    std::string head(message.header.head_octets, '\0');
    const auto got =
        segment.file->read_at(message.offset + sizeof(RecordHeader), {head.data(), head.size()});
    const bool readable =
        got && *got == head.size() && head_is_sound(message.header, head, segment.seed);
    if (!readable || !extents_exist(message)) {
      set_aside(segment, {message.offset, record_span(message.header),
                          readable ? "its streamed content is gone" : "it cannot be read again"});
      return;
    }
    const std::uint32_t number = log_.slots_.allocate();
    Slot& slot = *log_.slots_.find(number);
    fill(slot, message);
    log_.add_message(slot, +1);
    StoredMessage stored;
    stored.ref = {QueueId{slot.id}, slot.recipients, number};
    stored.envelope = head.substr(0, slot.envelope_octets);
    stored.content_octets = slot.content_octets;
    stored.held = slot.held;
    for (std::uint32_t i = 0; i < slot.recipients; ++i) {
      stored.settled.push_back(static_cast<Settlement>(slot.state(i)));
    }
    ++report_.messages;
    report_.recipients_open += slot.open;
    found(std::move(stored));
  }

  void fill(Slot& slot, const Found& message) {
    const RecordHeader& header = message.header;
    slot.id = header.id;
    slot.offset = message.offset;
    slot.segment = message.segment;
    slot.head_octets = header.head_octets;
    slot.envelope_octets = header.envelope_octets;
    slot.content_octets = header.content_octets;
    for (const Extent& extent : message.extents) slot.content_octets += extent.octets;
    slot.content_crc = header.content_crc;
    slot.generation = header.generation;
    slot.held = message.held;
    slot.held_stamp = message.held_stamp;
    slot.set_recipients(header.recipients);
    for (std::uint32_t i = 0; i < message.states.size(); ++i) {
      const auto state = static_cast<std::uint8_t>(message.states[i]);
      if (state == 0) continue;
      slot.set_state(i, std::min<std::uint8_t>(state, 3));
      --slot.open;
    }
    if (!message.extents.empty()) {
      slot.need_extra().extents = std::make_shared<const std::vector<Extent>>(message.extents);
    }
  }

  struct Reference {
    std::uint32_t segment = 0;
    std::uint64_t to = 0;
    bool copy = false;
  };
  Log& log_;
  RecoveryReport& report_;
  std::vector<std::uint32_t> order_;
  std::unordered_map<std::uint64_t, Found> found_;
  std::vector<Entry> entries_;
  std::vector<Reference> references_;
  std::uint64_t top_stamp_ = 0;
};

Result<> Log::recover(const std::function<void(StoredMessage)>& found, RecoveryReport& report) {
  for (const std::string& directory : {options_.directory, options_.directory + "/set-aside"}) {
    if (auto made = disk_.make_directory(directory); !made) return made;
  }
  return Recovery(*this, report).run(found);
}

}  // namespace waypost::spool
