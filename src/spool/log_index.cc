// Indexes of segments: gathered while the log writes, ordered when a segment is sealed, read when a
// segment's records are wanted without its bodies. And the second half of recovery, which reads
// them once more to hand the messages over.
#include "spool/content_reader.h"

#include <algorithm>
#include <thread>

namespace waypost::spool {

void Log::gather_index(Batch& batch) {
  if (active_->indexed) return;
  active_->records.append(std::move(batch.records));
  // Heads that are most of the segment are as quickly read where they lie.
  if (active_->records.octets() > options_.segment_octets / 2) {
    active_->records.clear();
    active_->indexed = true;
  }
}

std::optional<IndexOrder> Log::take_index_order(bool all) {
  while (!unindexed_.empty() && (all || unindexed_.size() > 1)) {
    const auto [segment, sequence] = unindexed_.front();
    unindexed_.pop_front();
    if (read_only() || segment->state != Segment::State::sealed ||
        segment->header.sequence != sequence || segment->indexed ||
        segment->place != File::Place::its_own) {
      continue;
    }
    segment->indexed = true;
    IndexOrder order{index_path(segment->number), segment->header, std::move(segment->records)};
    segment->records.clear();
    return order;
  }
  return std::nullopt;
}

bool Log::visit_records(std::uint32_t number, File& file, const SegmentHeader& header,
                        const RecordVisitor& record) const {
  const auto size = file.size();
  if (!size) return false;
  if (const auto index = read_index(disk_, index_path(number), header)) {
    return walk_index(*index, header, *size, record);
  }
  bool sound = true;
  ScanVisitor visit;
  visit.record = record;
  visit.damage = [&sound](const Damage&) { sound = false; };
  return scan_segment(file, header, {}, visit) && sound;
}

/// One thread's share. The committer may run already: it may move messages, which changes nothing
/// that is told here, and even free segments, whose messages are then looked up by their slots.
class HandOver {
 public:
  HandOver(Log& log, const Log::Taker& taker, std::size_t part, std::size_t parts)
      : log_(log), taker_(taker), part_(part), parts_(parts) {}

  std::vector<std::string> run() {
    std::size_t before = 0;
    for (const RecoveredSegment& recovered : log_.recovered_) {
      segment(recovered, before);
      before += recovered.messages.size();
    }
    return std::move(troubles_);
  }

 private:
  void segment(const RecoveredSegment& recovered, std::size_t before) {
    std::uint32_t number = 0;
    std::shared_ptr<File> file;
    {
      const std::shared_lock lock(log_.segments_mutex_);
      number = log_.segments_[recovered.segment]->number;
      file = log_.segments_[recovered.segment]->file;
    }
    const auto& messages = recovered.messages;
    std::size_t next = 0;
    const auto mine = [&] { return (before + next) % parts_ == part_; };
    const auto record = [&](const RecordHeader& header, std::uint64_t offset,
                            std::string_view head) {
      while (next < messages.size() && messages[next].offset_words < offset / 8) {
        if (mine()) look_up(messages[next].slot);
        ++next;
      }
      if (next == messages.size() || messages[next].offset_words != offset / 8) return;
      if (mine()) give(messages[next].slot, header, head);
      ++next;
    };
    if (file) (void)log_.visit_records(number, *file, recovered.header, record);
    for (; next < messages.size(); ++next) {
      if (mine()) look_up(messages[next].slot);
    }
  }

  void give(std::uint32_t number, const RecordHeader& header, std::string_view head) {
    StoredMessage stored;
    {
      const std::lock_guard lock(log_.slots_.mutex(number));
      const Slot& slot = *log_.slots_.find(number);
      if (slot.id != header.id || slot.envelope_octets > head.size()) return;
      describe(slot, number, stored);
      stored.envelope.assign(head.substr(0, slot.envelope_octets));
    }
    taker_(std::move(stored));
  }

  void look_up(std::uint32_t number) {
    MessageRef ref;
    {
      const std::lock_guard lock(log_.slots_.mutex(number));
      const Slot& slot = *log_.slots_.find(number);
      ref = {QueueId{slot.id}, slot.recipients, number};
    }
    auto stored = load_message(log_, ref);
    if (stored) return taker_(std::move(*stored));
    troubles_.push_back("message " + ref.id.to_string() +
                        " stays in the spool, undelivered: " + stored.error().message);
  }

  Log& log_;
  const Log::Taker& taker_;
  std::size_t part_, parts_;
  std::vector<std::string> troubles_;
};

std::vector<std::string> Log::hand_over(const std::vector<Taker>& takers) {
  std::vector<std::vector<std::string>> troubles(takers.size());
  std::vector<std::thread> threads;
  for (std::size_t part = 0; part < takers.size(); ++part) {
    const auto work = [this, &takers, &troubles, part] {
      troubles[part] = HandOver(*this, takers[part], part, takers.size()).run();
    };
    if (takers.size() == 1) {
      work();
    } else {
      threads.emplace_back(work);
    }
  }
  for (std::thread& thread : threads) thread.join();
  recovered_ = {};
  std::vector<std::string> all;
  for (auto& some : troubles) std::move(some.begin(), some.end(), std::back_inserter(all));
  return all;
}

}  // namespace waypost::spool
