// Recovery: reads the records of every segment in order of its sequence, keeps the newest copy of
// each message, applies settlements, and sets aside what is torn or corrupt. Sealed segments have
// an index to read them from; the others are scanned.
#include "waypost/base/counted.h"
#include "waypost/base/crc32c.h"

#include "spool/log.h"
#include "spool/segment_list.h"
#include "spool/slot_table.h"

#include <algorithm>
#include <cstring>

namespace waypost::spool {

constexpr std::uint64_t kBlotStep = 1024 * 1024;

class Recovery {
 public:
  Recovery(Log& log, RecoveryReport& report) : log_(log), report_(report), table_(log.slots_) {}

  Result<> run() {
    if (auto opened = open_segments(); !opened) return opened;
    for (std::uint32_t i : order_) {
      if (auto loaded = load(i); !loaded) return loaded;
    }
    log_.highest_id_ = report_.highest_id.value;
    for (const Entry& entry : early_entries_) apply(entry);
    log_.stamp_.store(top_stamp_ + 1);
    restore_references();
    restore_messages();
    if (auto kept = keep_set_aside(); !kept) return kept;
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
  Result<> open_segments() {
    if (auto synced = log_.disk_.sync_directory(log_.options_.directory); !synced) return synced;
    read_list();
    auto names = log_.disk_.list(log_.options_.directory);
    if (!names) return fail(names.error());
    std::sort(names->begin(), names->end());
    for (const std::string& name : *names) {
      if (const auto of = index_number(name);
          of && !std::binary_search(names->begin(), names->end(), segment_name(*of))) {
        drop_index(*of);
      }
      const auto number = segment_number(name);
      if (!number) continue;
      log_.next_number_ = std::max(log_.next_number_, *number + 1);
      if (auto opened = open_segment(*number); !opened) return opened;
    }
    log_.last_sequence_ += unknown_sequences_;
    // Before a new file takes the name of one that was moved away.
    if (auto kept = keep_set_aside(); !kept) return kept;
    for (const ListedSegment& listed : list_.segments) {
      if (!seen_.contains(listed.number))
        tell(listed.number, ": the file is missing; " + loss_of(listed));
    }
    std::sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      return log_.segments_[a]->header.sequence < log_.segments_[b]->header.sequence;
    });
    return {};
  }

  void read_list() {
    auto list = read_segment_list(log_.disk_, log_.options_.directory);
    if (!list) {
      report_.set_aside.push_back(segment_list_path(log_.options_.directory) + ": " +
                                  list.error().message +
                                  ": whether a segment is missing can't be told; it is written "
                                  "anew");
    } else if (*list) {
      list_ = std::move(**list);
    }
    log_.last_sequence_ = list_.last_sequence;
    log_.list_changed_ = true;
  }

  /// Of a segment that is no more; that of a missing one has the envelopes of what is lost.
  void drop_index(std::uint32_t number) {
    const std::string path = log_.index_path(number);
    if (list_.find(number) == nullptr) {
      (void)log_.disk_.remove(path);
      return;
    }
    (void)log_.disk_.rename(path, free_name_aside(index_name(number)));
    moved_aside_ = true;
  }

  void tell(std::uint32_t number, const std::string& what) {
    report_.set_aside.push_back("segment " + segment_name(number) + what);
  }

  Result<> open_segment(std::uint32_t number) {
    seen_.insert(number);
    const std::string path = log_.path(number);
    auto file = log_.disk_.open(path, false);
    if (!file) return fail(file.error());
    // What a killed process wrote is perhaps only in memory, and after a failed sync the memory may
    // show what the disk never got: nothing is built on octets that a power cut could still take.
    if (auto synced = (*file)->sync_data(); !synced) return synced;
    (*file)->forget_cached();
    const auto block = read_segment_block(**file);
    if (!block) return put_aside(number, block.error().message);
    const auto size = (*file)->size();
    if (!size) return fail(size.error());
    if (*size > kMostAddressable) {
      return fail(ErrorKind::unsupported, path + " is larger than any segment can be");
    }
    if (block->foreign_version != 0 && !block->header) {
      return fail(ErrorKind::unsupported,
                  path + " has spool format version " + std::to_string(block->foreign_version) +
                      ", this program writes version " + std::to_string(kFormatVersion) +
                      "; run the program that wrote it until the spool is empty");
    }
    if (block->header) {
      log_.last_sequence_ = std::max(log_.last_sequence_, block->header->sequence);
    }
    if (!block->header) return open_headless(number, *block, std::move(*file), *size);
    compare_with_list(number, *block);
    if (block->freed()) return keep_spare(number, *block, std::move(*file), *size);
    if (*size < block->header->segment_octets) {
      const auto cut = block->header->segment_octets - *size;
      tell(number, ": the file was cut: " + counted(cut, "octet is", "octets are") +
                       " missing at its end; the mail in " + noun(cut, "it", "them") +
                       " is not delivered");
    }
    Segment& segment = log_.add_segment(number, std::move(*file));
    segment.state = Segment::State::sealed;
    segment.header = *block->header;
    segment.seed = checksum_seed(segment.header);
    segment.mark = block->mark;
    segment.write_at = *size;
    if (const auto* listed = list_.find(number);
        listed != nullptr && listed->sequence == segment.header.sequence)
      segment.known_until = listed->written;
    log_.used_octets_.fetch_add(*size);
    if (!log_.sequences_.emplace(segment.header.sequence, &segment).second) {
      return fail(ErrorKind::corrupt, path +
                                          " has the same sequence as another segment: was a "
                                          "file copied into the spool? move it out");
    }
    order_.push_back(static_cast<std::uint32_t>(log_.segments_.size() - 1));
    return {};
  }

  /// Another use of the file than the last that is known of: a backup was copied back.
  void compare_with_list(std::uint32_t number, const SegmentBlock& block) {
    const ListedSegment* listed = list_.find(number);
    if (listed == nullptr || block.header->sequence >= listed->sequence) return;
    tell(number, " is older than the one that should be there: was a file copied into the spool? " +
                     loss_of(*listed));
  }

  /// Fresh, freed, or damaged beyond reading: only the last is told of, and kept for a person.
  Result<> open_headless(std::uint32_t number, const SegmentBlock& block,
                         std::unique_ptr<File> file, std::uint64_t size) {
    const auto found = judge_headless(*file, block.mark);
    if (!found) return put_aside(number, found.error().message);
    const ListedSegment* listed = list_.find(number);
    const bool held_mail = listed != nullptr && listed->sequence > block.mark;
    if (!found->lost && !held_mail) return keep_spare(number, block, std::move(file), size);
    return put_aside(number, "no sound copy of it, and behind it " + describe(*found));
  }

  Result<> keep_spare(std::uint32_t number, const SegmentBlock& block, std::unique_ptr<File> file,
                      std::uint64_t size) {
    if (size != log_.options_.segment_octets) {
      log_.removals_.push_back(number);
      return {};
    }
    Segment& segment = log_.add_segment(number, std::move(file));
    segment.mark = block.mark;
    return {};
  }

  /// The rest is served. Its sequence is not known and must not be used again.
  Result<> put_aside(std::uint32_t number, const std::string& why) {
    const std::string name = segment_name(number);
    ++unknown_sequences_;
    const ListedSegment* listed = list_.find(number);
    auto moved = log_.disk_.rename(log_.path(number), free_name_aside(name));
    tell(number,
         ": its header can't be read (" + why + "): " +
             (moved ? "the file was moved to set-aside" : "it stays: " + moved.error().message) +
             "; " + (listed != nullptr ? loss_of(*listed) : "mail that it held is not delivered"));
    moved_aside_ = true;
    return {};
  }

  /// What was put aside for a person stays there when the power goes.
  Result<> keep_set_aside() {
    if (copied_aside_ || moved_aside_) {
      if (auto synced = log_.disk_.sync_directory(aside_directory()); !synced) return synced;
    }
    if (moved_aside_) {
      if (auto synced = log_.disk_.sync_directory(log_.options_.directory); !synced) return synced;
    }
    copied_aside_ = moved_aside_ = false;
    return {};
  }

  /// What was put aside before under the same name is not replaced.
  std::string free_name_aside(const std::string& name) {
    const std::string path = aside_directory() + "/" + name;
    std::string free = path;
    for (int more = 2; log_.disk_.open(free, false); ++more)
      free = path + "-" + std::to_string(more);
    return free;
  }

  std::string aside_directory() const { return log_.options_.directory + "/set-aside"; }

  Result<> load(std::uint32_t index) {
    Segment& segment = *log_.segments_[index];
    ++report_.segments;
    const auto found = read_index(log_.disk_, log_.index_path(segment.number), segment.header);
    if (!found) return scan(index);
    // All of it or nothing: half an index and a scan would take some records twice.
    const auto walk = [&](const RecordVisitor& visit) {
      return walk_index(*found, segment.header, segment.write_at, visit);
    };
    if (!walk([](const RecordHeader&, std::uint64_t, std::string_view) {})) return scan(index);
    walk([&](const RecordHeader& header, std::uint64_t offset, std::string_view head) {
      take_record(index, header, offset, head);
    });
    segment.indexed = true;
    ++report_.segments_indexed;
    report_.octets_read += found->size();
    return {};
  }

  /// What is not sound was either being written when the daemon stopped, or is damage.
  Result<ScanRules> rules_for(const Segment& segment, bool last) const {
    ScanRules rules;
    rules.written_until = segment.known_until;
    const auto* listed = list_.find(segment.number);
    if (listed != nullptr && listed->sequence == segment.header.sequence)
      rules.written_until = std::max(rules.written_until, ScanRules::kFirstBatch);
    if (!last) return rules;
    // Every batch was synced before something was written behind it.
    rules.check_content = true;
    const auto begin = last_batch_of(*segment.file, segment.header);
    if (!begin) return fail(begin.error());
    rules.torn_from = std::max(*begin, rules.written_until);
    return rules;
  }

  Result<> scan(std::uint32_t index) {
    Segment& segment = *log_.segments_[index];
    const auto rules = rules_for(segment, index == order_.back());
    if (!rules) return fail(rules.error());
    std::vector<Damage> torn;
    IndexPieces pieces;
    bool damaged = false;
    ScanVisitor visit;
    visit.record = [&](const RecordHeader& header, std::uint64_t offset, std::string_view head) {
      pieces.add(offset, header, head);
      take_record(index, header, offset, head);
    };
    visit.damage = [&](const Damage& damage) {
      const bool may_be_torn = damage.offset >= rules->torn_from && !damage.unreadable;
      set_aside(segment, damage,
                may_be_torn
                    ? "; it was being written when the daemon stopped, and nobody was told "
                      "that it is safe"
                    : "; it was safe on the disk once, so this is damage: look at the disk");
      if (may_be_torn) torn.push_back(damage);
      damaged = damaged || !may_be_torn;
    };
    const auto octets = scan_segment(*segment.file, segment.header, *rules, visit);
    if (!octets) return fail(octets.error());
    report_.octets_read += *octets;
    if (auto blotted = blot_out(segment, torn); !blotted) return blotted;
    // For the next start; it is not needed, so that a full disk is no reason to fail. A damaged
    // segment is looked at, and complained about, each time.
    if (!damaged && pieces.octets() <= segment.write_at / 2) {
      (void)write_index(
          log_.disk_, {log_.index_path(segment.number), segment.header, std::move(pieces)}, false);
    }
    segment.indexed = true;
    return {};
  }

  /// At the next start this segment is not the last one any more, so a torn record whose head is
  /// sound would count, and any other would be taken for damage. What is torn becomes the content
  /// of a piece that no message names.
  Result<> blot_out(Segment& segment, const std::vector<Damage>& torn) {
    for (const Damage& damage : torn) {
      auto blot = blot_for(segment, damage);
      if (!blot) return fail(blot.error());
      const iovec piece{blot->data(), blot->size()};
      if (auto written = segment.file->write_at(damage.offset, {&piece, 1}); !written) {
        return written;
      }
    }
    return torn.empty() ? Result<>{} : segment.file->sync_data();
  }

  static Result<std::string> blot_for(Segment& segment, const Damage& damage) {
    if (damage.octets < sizeof(RecordHeader)) return std::string(damage.octets, '\0');
    RecordHeader header;
    header.type = RecordType::chunk;
    header.sequence = segment.header.sequence;
    header.content_octets = damage.octets / 8 * 8 - sizeof header;
    header.content_crc = segment.seed;
    std::string piece;
    for (std::uint64_t done = 0; done < header.content_octets; done += piece.size()) {
      piece.resize(std::min(header.content_octets - done, kBlotStep));
      const auto got = segment.file->read_at(damage.offset + sizeof header + done, piece);
      if (!got) return fail(got.error());
      if (*got != piece.size()) return fail(ErrorKind::io, "a segment became shorter");
      header.content_crc = crc32c(header.content_crc, piece);
    }
    return encode_record(header, segment.seed, {});
  }

  /// A full disk must not stop recovery. But then the segment is the only copy, and stays until a
  /// start has made another.
  void set_aside(Segment& segment, const Damage& damage, std::string_view meaning = {}) {
    const auto copied = copy_aside(segment, damage);
    if (!copied) segment.kept = true;
    tell(segment.number,
         " offset " + std::to_string(damage.offset) + ": " + damage.why + std::string(meaning) +
             (copied ? std::string()
                     : "; it can't be copied to set-aside (" + copied.error().message +
                           "), so the segment is kept until a start can"));
  }

  Result<> copy_aside(Segment& segment, const Damage& damage) {
    constexpr std::uint64_t kMost = 16ull * 1024 * 1024;
    std::string bytes(std::min(damage.octets, kMost), '\0');
    const auto got = segment.file->read_at(damage.offset, {bytes.data(), bytes.size()});
    if (!got) return {};  // there is nothing to copy
    const std::string path = aside_directory() + "/" + segment_name(segment.number) + "." +
                             std::to_string(segment.header.sequence) + "." +
                             std::to_string(damage.offset);
    auto copy = log_.disk_.open(path, true);
    if (!copy) return fail(copy.error());
    copied_aside_ = true;
    const iovec piece{bytes.data(), *got};
    auto done = (*copy)->write_at(0, {&piece, 1});
    if (done) done = (*copy)->sync_data();
    if (!done) (void)log_.disk_.remove(path);  // half a copy looks like a whole one
    return done;
  }

  void take_record(std::uint32_t index, const RecordHeader& header, std::uint64_t offset,
                   std::string_view head) {
    Segment& segment = *log_.segments_[index];
    log_.newest_written_ = std::max(log_.newest_written_, segment.header.sequence);
    // Not to the end of the page: behind it a torn record of the same batch may lie.
    segment.known_until = std::max(segment.known_until, offset + record_span(header));
    if (header.type == RecordType::settle) {
      for (const Entry& entry : decode_entries(head)) {
        report_.highest_id = std::max(report_.highest_id, QueueId{entry.id});
        top_stamp_ = std::max(top_stamp_, entry.stamp);
        references_.insert({index, entry.home, false});
        // As a rule its message has gone and it means nothing any more.
        if (!apply(entry)) early_entries_.push_back(entry);
      }
      return;
    }
    if (header.type != RecordType::message) return;
    const auto parts = decode_message_head(header, head);
    if (!parts || header.id == 0 || header.content_octets > 0xFFFFFFFF) {
      set_aside(*log_.segments_[index], {offset, record_span(header), "its lengths disagree"});
      return;
    }
    report_.highest_id = std::max(report_.highest_id, QueueId{header.id});
    top_stamp_ = std::max(top_stamp_, parts->held_stamp);
    if (header.from_sequence != 0) references_.insert({index, header.from_sequence, true});
    take_message(index, header, offset, *parts);
  }

  void take_message(std::uint32_t index, const RecordHeader& header, std::uint64_t offset,
                    const MessageHead& parts) {
    std::uint32_t number = table_.find(header.id);
    const bool known = number != SlotTable::kNone;
    if (!known) number = log_.slots_.allocate();
    Slot& slot = *log_.slots_.find(number);
    if (known && slot.generation > header.generation) return;
    // What was said of an older copy goes for this one too.
    Slot before = std::exchange(slot, Slot{});
    slot.id = header.id;
    slot.set_place(index, offset);
    slot.head_octets = header.head_octets;
    slot.envelope_octets = header.envelope_octets;
    slot.inline_octets = static_cast<std::uint32_t>(header.content_octets);
    slot.content_crc = header.content_crc;
    slot.generation = header.generation;
    slot.set_recipients(header.recipients);
    slot.held_stamp = parts.held_stamp;
    slot.held = (header.flags & kFlagHeld) != 0 ? 1 : 0;
    if (before.held_stamp > slot.held_stamp) {
      slot.held_stamp = before.held_stamp;
      slot.held = before.held;
    }
    for (std::uint32_t i = 0; i < parts.states.size(); ++i) {
      settle(slot, i, static_cast<std::uint8_t>(parts.states[i]));
    }
    for (std::uint32_t i = 0; i < std::min(before.recipients, slot.recipients); ++i) {
      settle(slot, i, before.state(i));
    }
    if (!parts.extents.empty()) {
      slot.need_extra().extents = std::make_shared<const std::vector<Extent>>(parts.extents);
    }
    if (!known) table_.insert(number);
  }

  static void settle(Slot& slot, std::uint32_t recipient, std::uint8_t state) {
    const std::uint8_t was = slot.state(recipient);
    if (state <= was) return;
    if (was == 0) --slot.open;
    slot.set_state(recipient, std::min<std::uint8_t>(state, 3));
  }

  /// False if the entry's message is not known (yet).
  bool apply(const Entry& entry) {
    const std::uint32_t number = table_.find(entry.id);
    if (number == SlotTable::kNone) return false;
    Slot& slot = *log_.slots_.find(number);
    if (entry.what == kEntryHeld || entry.what == kEntryReleased) {
      if (entry.stamp < slot.held_stamp) return true;
      slot.held_stamp = entry.stamp;
      slot.held = entry.what == kEntryHeld ? 1 : 0;
    } else if (entry.recipient < slot.recipients && entry.what <= 3) {
      settle(slot, entry.recipient, static_cast<std::uint8_t>(entry.what));
    }
    return true;
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
    early_entries_ = {};
  }

  /// Slots of finished messages are free again; the others are noted by segment, in order.
  void restore_messages() {
    std::vector<RecoveredSegment> recovered(log_.segments_.size());
    for (std::uint32_t number = 0; number < log_.slots_.capacity(); ++number) {
      const Slot& slot = *log_.slots_.find(number);
      if (slot.id == 0) continue;
      if (slot.open == 0 || !extents_exist(slot)) {
        if (slot.open != 0) lose(slot);
        log_.slots_.release(number);
        continue;
      }
      log_.add_message(slot, +1);
      ++report_.messages;
      report_.recipients_open += slot.open;
      recovered[slot.segment].messages.push_back({number, slot.offset_words});
    }
    for (const std::uint32_t i : order_) {
      RecoveredSegment& segment = recovered[i];
      if (segment.messages.empty()) continue;
      segment.segment = i;
      segment.header = log_.segments_[i]->header;
      std::sort(segment.messages.begin(), segment.messages.end(),
                [](const auto& a, const auto& b) { return a.offset_words < b.offset_words; });
      log_.recovered_.push_back(std::move(segment));
    }
  }

  void lose(const Slot& slot) {
    const std::uint64_t octets = sizeof(RecordHeader) + slot.head_octets + slot.inline_octets;
    set_aside(*log_.segments_[slot.segment],
              {slot.offset(), octets, "its streamed content is gone"});
  }

  bool extents_exist(const Slot& slot) {
    if (slot.extents() == nullptr) return true;
    return std::all_of(slot.extents()->begin(), slot.extents()->end(), [this](const Extent& e) {
      const Segment* segment = log_.by_sequence(e.sequence);
      return segment != nullptr && e.offset <= segment->write_at &&
             e.octets <= segment->write_at - e.offset;
    });
  }

  struct Reference {
    std::uint32_t segment = 0;
    std::uint64_t to = 0;
    bool copy = false;
    auto operator<=>(const Reference&) const = default;
  };
  static constexpr std::uint64_t kMostAddressable = 32ull * 1024 * 1024 * 1024;

  Log& log_;
  RecoveryReport& report_;
  SlotTable table_;
  std::vector<std::uint32_t> order_;
  std::vector<Entry> early_entries_;
  std::set<Reference> references_;
  SegmentList list_;              // as it was written last; empty: there was none
  std::set<std::uint32_t> seen_;  // numbers of the files that are there
  std::uint64_t top_stamp_ = 0;
  std::uint64_t unknown_sequences_ = 0;
  bool moved_aside_ = false, copied_aside_ = false;  // not on the disk for certain
};

Result<> Log::recover(RecoveryReport& report) {
  for (const std::string& directory : {options_.directory, options_.directory + "/set-aside"}) {
    if (auto made = disk_.make_directory(directory); !made) return made;
  }
  return Recovery(*this, report).run();
}

}  // namespace waypost::spool
