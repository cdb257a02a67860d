// What the log does beside batches so that trouble shows: the list of its segments, the proof that
// the last batch was safe, and trying a disk that has failed.
#include "spool/log.h"

#include <algorithm>

namespace waypost::spool {

std::optional<ListOrder> Log::take_list_order() {
  if (!std::exchange(list_changed_, false) || read_only()) return std::nullopt;
  SegmentList list;
  list.last_sequence = last_sequence_;
  for (const auto& segment : segments_) {
    if (segment->state == Segment::State::spare || !segment->file || segment->write_at == 0)
      continue;
    list.segments.push_back({segment->number, segment->header.sequence,
                             segment->header.segment_octets, segment->known_until});
  }
  std::sort(list.segments.begin(), list.segments.end(),
            [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  return ListOrder{encode_segment_list(list), std::exchange(removals_, {})};
}

Result<> Log::carry_out(const ListOrder& order) {
  // An older list is as true as this one while no file is removed.
  const auto lasting =
      order.removals.empty() ? DurableFile::Lasting::content_only : DurableFile::Lasting::yes;
  if (auto written = list_file_.replace(order.text, lasting); !written) return written;
  for (const std::uint32_t number : order.removals) {
    (void)disk_.remove(path(number));
    (void)disk_.remove(index_path(number));
  }
  return {};
}

void Log::keep_for_later(const ListOrder& order) {
  removals_.insert(removals_.end(), order.removals.begin(), order.removals.end());
  list_changed_ = true;
}

/// Past the system's memory; a few are enough to tell a disk from a bad sector.
Result<> Log::probe_reading() {
  constexpr int kMost = 8;
  Result<> read;
  int tried = 0;
  std::string page(kPage, '\0');
  for (const auto& segment : segments_) {
    if (segment->state == Segment::State::spare || !segment->file) continue;
    if (tried++ == kMost) break;
    segment->file->forget_cached();
    const auto got = segment->file->read_at(0, {page.data(), page.size()});
    if (got) return {};
    read = fail(got.error());
  }
  return read;
}

void Log::prove_last_batch() {
  constexpr std::uint64_t kOne = sizeof(RecordHeader) + sizeof(Entry);
  if (proven_ || read_only() || active_ == nullptr || active_->write_at == 0) return;
  proven_ = true;
  if (!fits(Batch{}, kOne)) return;  // the next segment proves it
  Batch batch;
  place_entries(batch, {{highest_id_, active_->header.sequence, next_stamp(), 0, kEntryHighest}});
  const std::uint64_t start = active_->write_at;
  const std::uint64_t end = round_up(start + batch.octets, kPage);
  batch.heads.emplace_back(end - start - batch.octets, '\0');
  batch.pieces.push_back({batch.heads.back().data(), batch.heads.back().size()});
  active_->dirty_until = std::max(active_->dirty_until, end);
  const auto written = active_->file->write_at(start, batch.pieces);
  if (!written) note_failure(written.error());
}

void Log::probe_writing() {
  constexpr std::uint64_t kOne = sizeof(RecordHeader) + sizeof(Entry);
  if (read_only()) return;
  if (auto ready = ensure_active(kOne); !ready) return note_failure(ready.error());
  Batch batch;
  place_entries(batch, {{highest_id_, active_->header.sequence, next_stamp(), 0, kEntryHighest}});
  (void)write_and_sync(batch);
}

}  // namespace waypost::spool
