#include "spool/log.h"

#include "waypost/base/crc32c.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace waypost::spool {
namespace {

constexpr std::uint64_t kBatchOctets = 8ull * 1024 * 1024;
constexpr std::uint64_t kSmallestSegment = 64 * 1024;
/// What stands before the first record of a segment: the header block, and the highest id.
constexpr std::uint64_t kPreamble = kPage + sizeof(RecordHeader) + sizeof(Entry);
constexpr std::uint64_t kLargestSegment = 8ull * 1024 * 1024 * 1024;  // a slot's numbers: 32 bits

}  // namespace

Log::Log(const Options& options, Disk& disk, MemoryBudget& budget)
    : options_(options),
      disk_(disk),
      budget_(budget),
      list_file_(disk, segment_list_path(options.directory)) {
  options_.segment_octets =
      std::clamp(round_up(options_.segment_octets, kPage), kSmallestSegment, kLargestSegment);
  options_.batch_messages = std::max<std::uint32_t>(1, options_.batch_messages);
  std::random_device random;
  salt_ = options_.salt != 0 ? options_.salt : std::uint64_t{random()} << 32 | random();
}

std::string Log::path(std::uint32_t number) const {
  return options_.directory + "/" + segment_name(number);
}

std::string Log::index_path(std::uint32_t number) const {
  return options_.directory + "/" + index_name(number);
}

std::string Log::read_only_reason() const {
  const std::lock_guard lock(reason_mutex_);
  return reason_;
}

std::shared_ptr<File> Log::file_of(std::uint32_t segment) const {
  const std::shared_lock lock(segments_mutex_);
  return segment < segments_.size() ? segments_[segment]->file : nullptr;
}

std::uint32_t Log::seed_of(std::uint32_t segment) const {
  const std::shared_lock lock(segments_mutex_);
  return segment < segments_.size() ? segments_[segment]->seed : 0;
}

std::shared_ptr<File> Log::file_of_sequence(std::uint64_t sequence, std::uint32_t& seed) const {
  const std::shared_lock lock(segments_mutex_);
  const auto found = sequences_.find(sequence);
  if (found == sequences_.end()) return nullptr;
  seed = found->second->seed;
  return found->second->file;
}

Segment* Log::by_sequence(std::uint64_t sequence) {
  const auto found = sequences_.find(sequence);
  return found == sequences_.end() ? nullptr : found->second;
}

bool Log::take_unawaited(Request* request) {
  if (request->waits()) return false;
  if (request->kind == Request::Kind::settle) {
    waiting_settlements_.emplace_back(static_cast<SettleRequest*>(request));
    return true;
  }
  const std::unique_ptr<Request> owned(request);
  if (request->kind == Request::Kind::abandon) {
    add_extents(static_cast<AbandonRequest*>(request)->extents, -1);
    return true;
  }
  auto* spare = static_cast<SpareRequest*>(request);
  if (spares_ordered_ > 0) --spares_ordered_;
  spare_failed_ = !spare->file;
  if (spare->file) add_segment(spare->number, std::move(spare->file));
  return true;
}

std::uint64_t Log::octets_of(const WaitingRequest& request) const {
  std::uint64_t octets = sizeof(RecordHeader) + request.content.size() + 8;
  if (request.kind == Request::Kind::message) {
    const auto& message = static_cast<const MessageRequest&>(request);
    octets += message.envelope.size() + message.extents.size() * sizeof(Extent);
  }
  return octets;
}

bool Log::fits(const Batch& batch, std::uint64_t octets) const {
  if (active_ == nullptr || active_->place == File::Place::removed) return false;
  const std::uint64_t block = active_->write_at == 0 ? kPreamble : 0;
  const std::uint64_t end = active_->write_at + std::max(batch.octets, block) + octets;
  return round_up(end, kPage) <= options_.segment_octets;
}

void Log::run_batch(std::deque<Request*>& requests) {
  Batch batch;
  while (!requests.empty() && batch.placed.size() < options_.batch_messages &&
         batch.octets < kBatchOctets) {
    if (take_unawaited(requests.front())) {
      requests.pop_front();
      continue;
    }
    auto* request = static_cast<WaitingRequest*>(requests.front());
    if (read_only()) {
      request->error = Error{ErrorKind::read_only, "the spool is read-only: " + read_only_reason()};
    } else if (displaced()) {
      request->error = Error{ErrorKind::io, displaced_why()};
    } else if (!fits(batch, octets_of(*request))) {
      if (batch.octets != 0) break;
      if (auto ready = ensure_active_for(*request); !ready) request->error = ready.error();
    }
    requests.pop_front();
    if (request->error) {
      done_.push_back(request);
    } else {
      place(batch, request);
    }
  }
  place_settlements(batch);
  if (batch.octets == 0) return;
  if (auto written = write_and_sync(batch); !written) return fail_batch(batch, written.error());
  finish(batch);
}

std::uint64_t Log::append(Batch& batch, std::string head, const BlockChain* content) {
  static const char kZeros[8] = {};
  if (batch.octets == 0 && active_->write_at == 0) {
    batch.heads.push_back(encode_segment_block(active_->header, active_->mark));
    batch.pieces.push_back({batch.heads.back().data(), batch.heads.back().size()});
    batch.octets = kPage;
    place_highest_id(batch);
  }
  const std::uint64_t offset = active_->write_at + batch.octets;
  batch.heads.push_back(std::move(head));
  std::string& kept = batch.heads.back();
  batch.records.add(offset, kept);
  batch.pieces.push_back({kept.data(), kept.size()});
  std::uint64_t octets = kept.size();
  if (content != nullptr) {
    content->append_iovecs(batch.pieces);
    octets += content->size();
  }
  if (const std::uint64_t gap = round_up(octets, 8) - octets; gap != 0) {
    batch.pieces.push_back({const_cast<char*>(kZeros), gap});
    octets += gap;
  }
  batch.octets += octets;
  return offset;
}

/// The preamble of a segment stands before the record for which it is written.
std::uint8_t Log::batch_flag(const Batch& batch) const {
  const bool first = batch.octets == 0 || (active_->write_at == 0 && batch.octets == kPage);
  return first ? kFlagBatch : std::uint8_t{0};
}

bool Log::place(Batch& batch, WaitingRequest* request) {
  RecordHeader header;
  header.flags = batch_flag(batch);
  header.sequence = active_->header.sequence;
  header.content_octets = request->content.size();
  header.content_crc = active_->seed;
  request->content.for_each([&header](std::string_view piece) {
    header.content_crc = crc32c(header.content_crc, piece);
  });
  std::string head;
  if (request->kind == Request::Kind::message) {
    auto& message = static_cast<MessageRequest&>(*request);
    header.type = RecordType::message;
    header.id = message.id.value;
    header.recipients = message.recipients;
    header.extents = static_cast<std::uint16_t>(message.extents.size());
    header.envelope_octets = static_cast<std::uint32_t>(message.envelope.size());
    head = encode_message_head(message.envelope, false, 0, {}, message.extents);
  } else {
    header.type = RecordType::chunk;
  }
  Batch::Placed placed;
  placed.request = request;
  placed.head_octets = static_cast<std::uint32_t>(head.size());
  placed.content_crc = header.content_crc;
  placed.offset = append(batch, encode_record(header, active_->seed, head), &request->content);
  batch.placed.push_back(placed);
  return true;
}

void Log::place_entries(Batch& batch, const std::vector<Entry>& entries) {
  RecordHeader header;
  header.type = RecordType::settle;
  header.flags = batch_flag(batch);
  header.sequence = active_->header.sequence;
  header.content_crc = active_->seed;
  const std::string_view head(reinterpret_cast<const char*>(entries.data()),
                              entries.size() * sizeof(Entry));
  append(batch, encode_record(header, active_->seed, head), nullptr);
}

/// A new id must lie above all old ones even if the wall clock has gone back and the segments that
/// told of the old ones are free by now: so each segment begins with what was known before it.
void Log::place_highest_id(Batch& batch) {
  place_entries(batch, {{highest_id_, active_->header.sequence, next_stamp(), 0, kEntryHighest}});
}

void Log::place_settlements(Batch& batch) {
  if (waiting_settlements_.empty()) return;
  if (read_only()) {
    for (const auto& settled : waiting_settlements_) finish_settlement(*settled);
    waiting_settlements_.clear();
    return;
  }
  constexpr std::uint64_t kOne = sizeof(RecordHeader) + sizeof(Entry);
  if (!fits(batch, kOne)) {
    // Without room they stay in memory and ride on a later batch.
    if (batch.octets != 0) return;
    if (const auto ready = ensure_active(kOne); !ready)
      return note_unwritten_ends(ready.error().message);
  }
  std::vector<Entry> entries;
  std::size_t taken = 0;
  while (taken < waiting_settlements_.size() && taken < 4096 &&
         fits(batch, kOne + entries.size() * sizeof(Entry))) {
    auto& settled = waiting_settlements_[taken++];
    const std::lock_guard lock(slots_.mutex(settled->slot));
    settled->entry.home = segments_[slots_.find(settled->slot)->segment]->header.sequence;
    entries.push_back(settled->entry);
    batch.settled.push_back(std::move(settled));
  }
  waiting_settlements_.erase(waiting_settlements_.begin(),
                             waiting_settlements_.begin() + static_cast<std::ptrdiff_t>(taken));
  place_entries(batch, entries);
}

/// `why`: empty: they could be written. Marks of holds, which wait beside them, are not counted.
void Log::note_unwritten_ends(const std::string& why) {
  const auto is_end = [](const auto& one) { return one->entry.what < kEntryHeld; };
  const std::lock_guard lock(reason_mutex_);
  unwritten_ends_ = why.empty()
                        ? 0
                        : static_cast<std::uint64_t>(std::count_if(
                              waiting_settlements_.begin(), waiting_settlements_.end(), is_end));
  ends_trouble_ = why;
}

std::pair<std::uint64_t, std::string> Log::unwritten_ends() const {
  const std::lock_guard lock(reason_mutex_);
  return {unwritten_ends_, ends_trouble_};
}

Result<> Log::write_and_sync(Batch& batch) {
  const std::uint64_t start = active_->write_at;
  // Whole pages only: the kernel need not read what it overwrites, and a synced page is never
  // written again. What a failed batch left behind is overwritten with zeros.
  const std::uint64_t end = std::max(round_up(start + batch.octets, kPage),
                                     std::min(active_->dirty_until, options_.segment_octets));
  batch.heads.emplace_back(end - start - batch.octets, '\0');
  if (!batch.heads.back().empty()) {
    batch.pieces.push_back({batch.heads.back().data(), batch.heads.back().size()});
  }
  if (auto written = active_->file->write_at(start, batch.pieces); !written) {
    note_failure(written.error());
    return take_back(start, end, written.error());
  }
  if (auto synced = active_->file->sync_data(); !synced) {
    note_failure(synced.error());
    turn_read_only(synced.error().message);
    // No sync is tried again; but as long as the machine is up the next start sees the zeros.
    (void)blank(start, end);
    return fail(ErrorKind::read_only, synced.error().message +
                                          "; the spool takes no more mail: check the disk, then "
                                          "restart");
  }
  if (auto found = found_again(batch); !found) return take_back(start, end, found.error());
  if (start == 0) list_changed_ = true;
  outcome_.succeeded = true;
  proven_ = false;
  active_->write_at = end;
  newest_written_ = active_->header.sequence;
  active_->dirty_until = 0;
  gather_index(batch);
  used_octets_.fetch_add(end - start, std::memory_order_relaxed);
  return {};
}

Result<> Log::take_back(std::uint64_t start, std::uint64_t end, Error why) {
  active_->dirty_until = std::max(active_->dirty_until, end);
  if (blank(start, end)) {
    if (auto synced = active_->file->sync_data(); !synced) turn_read_only(synced.error().message);
  }
  return fail(std::move(why));
}

/// Some of a failed batch may be in the file, and its senders are told that it failed: it must not
/// be found by the next start. If this write fails too, the next batch overwrites it.
Result<> Log::blank(std::uint64_t start, std::uint64_t end) {
  // The header block stays: without its freed mark, an older header could come back to life.
  const std::uint64_t first = std::max(start, kPage);
  if (end <= first) return {};
  const std::string zeros(end - first, '\0');
  const iovec piece{const_cast<char*>(zeros.data()), zeros.size()};
  return active_->file->write_at(first, {&piece, 1});
}

void Log::note_failure(const Error& error) {
  if (error.kind == ErrorKind::invalid) return;
  (error.kind == ErrorKind::exhausted ? outcome_.no_room : outcome_.failed) = error.message;
}

void Log::turn_read_only(const std::string& reason) {
  const std::lock_guard lock(reason_mutex_);
  if (reason_.empty()) reason_ = reason;
  read_only_.store(true);
}

void Log::fail_batch(Batch& batch, const Error& error) {
  for (const Batch::Placed& placed : batch.placed) {
    placed.request->error = error;
    done_.push_back(placed.request);
  }
  // A settlement is never lost while the process lives: it rides on a later batch.
  const bool had_ends = !batch.settled.empty();
  for (auto& settled : batch.settled) waiting_settlements_.push_back(std::move(settled));
  if (had_ends) note_unwritten_ends(error.message);
  if (read_only()) {
    for (const auto& settled : waiting_settlements_) finish_settlement(*settled);
    waiting_settlements_.clear();
  }
}

void Log::finish(Batch& batch) {
  for (const Batch::Placed& placed : batch.placed) {
    if (placed.request->kind == Request::Kind::message) {
      finish_message(placed);
    } else {
      auto& chunk = static_cast<ChunkRequest&>(*placed.request);
      chunk.extent = {active_->header.sequence, placed.offset + sizeof(RecordHeader),
                      static_cast<std::uint32_t>(chunk.content.size()), placed.content_crc};
      add_live(*active_, chunk.extent.octets);
    }
    done_.push_back(placed.request);
  }
  const std::uint64_t here = active_->header.sequence;
  if (!batch.settled.empty()) note_unwritten_ends({});
  for (const Batch::Move& move : batch.moves) finish_move(move);
  for (const auto& settled : batch.settled) {
    if (settled->entry.home != here) active_->refers.insert(settled->entry.home);
    finish_settlement(*settled);
  }
  for (const Entry& entry : batch.relogged) {
    if (entry.home != here) active_->refers.insert(entry.home);
  }
  drop_cached_content();
}

void Log::finish_message(const Batch::Placed& placed) {
  auto& request = static_cast<MessageRequest&>(*placed.request);
  const std::uint32_t number = slots_.allocate();
  {
    const std::lock_guard lock(slots_.mutex(number));
    Slot& slot = *slots_.find(number);
    slot.id = request.id.value;
    slot.set_place(active_->index, placed.offset);
    slot.head_octets = placed.head_octets;
    slot.envelope_octets = static_cast<std::uint32_t>(request.envelope.size());
    slot.inline_octets = static_cast<std::uint32_t>(request.content.size());
    slot.content_crc = placed.content_crc;
    slot.set_recipients(request.recipients);
    if (!request.extents.empty()) {
      slot.need_extra().extents =
          std::make_shared<const std::vector<Extent>>(std::move(request.extents));
    }
    // The chunks were counted when they were written.
    add_live(*active_, sizeof(RecordHeader) + slot.head_octets + request.content.size());
    if (slot.extents() == nullptr && !budget_.exhausted()) {
      slot.need_extra().content = std::make_shared<const BlockChain>(std::move(request.content));
      cached_.emplace_back(number, slot.id);
    }
  }
  highest_id_ = std::max(highest_id_, request.id.value);
  request.extents.clear();
  request.ref = {request.id, request.recipients, number};
}

void Log::drop_cached_content() {
  constexpr std::size_t kMost = 65536;
  while (!cached_.empty() && (budget_.exhausted() || cached_.size() > kMost)) {
    const auto [number, id] = cached_.front();
    cached_.pop_front();
    const std::lock_guard lock(slots_.mutex(number));
    Slot& slot = *slots_.find(number);
    if (slot.id == id) slot.forget_content();
  }
}

void Log::finish_settlement(const SettleRequest& settled) {
  bool finished = false;
  {
    const std::lock_guard lock(slots_.mutex(settled.slot));
    Slot& slot = *slots_.find(settled.slot);
    finished = --slot.pending == 0 && slot.open == 0;
    if (finished) add_message(slot, -1);
  }
  if (finished) slots_.release(settled.slot);
}

void Log::add_live(Segment& segment, std::uint64_t octets) {
  segment.live_octets += octets;
  ++segment.live_pieces;
}

void Log::remove_live(Segment& segment, std::uint64_t octets) {
  segment.live_octets -= std::min(segment.live_octets, octets);
  if (segment.live_pieces > 0) --segment.live_pieces;
  released_octets_ += octets;
  look_for_free_ = look_for_free_ || segment.live_pieces == 0;
}

void Log::add_extents(const std::vector<Extent>& extents, int direction) {
  for (const Extent& extent : extents) {
    Segment* segment = by_sequence(extent.sequence);
    if (segment == nullptr) continue;
    direction > 0 ? add_live(*segment, extent.octets) : remove_live(*segment, extent.octets);
  }
}

void Log::add_message(const Slot& slot, int direction) {
  Segment& segment = *segments_[slot.segment];
  const std::uint64_t octets = sizeof(RecordHeader) + slot.head_octets + slot.inline_octets;
  direction > 0 ? add_live(segment, octets) : remove_live(segment, octets);
  if (slot.extents() != nullptr) add_extents(*slot.extents(), direction);
}

}  // namespace waypost::spool
