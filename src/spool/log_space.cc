// Where segments come from and where they go: activation, freeing, and moving stragglers on.
#include "waypost/base/crc32c.h"

#include "spool/log.h"

#include <algorithm>
#include <cstring>

namespace waypost::spool {
namespace {

constexpr std::size_t kEvacuateBelow = 4;  // sealed segments: fewer are never worth copying
constexpr std::uint64_t kMoveStep = 1024 * 1024;
constexpr std::uint32_t kSlotsPerStep = 4096;
constexpr auto kShortageLasts = std::chrono::seconds(2);
constexpr Duration kSparePatience = std::chrono::seconds(1);  // after one that could not be made
constexpr Duration kSpareLongest = std::chrono::seconds(30);

/// Unlike damage, and a message that is too large for the segments of today.
bool may_pass(const Error& error) {
  return error.kind != ErrorKind::corrupt && error.kind != ErrorKind::invalid;
}

}  // namespace

Segment& Log::add_segment(std::uint32_t number, std::shared_ptr<File> file) {
  const std::unique_lock lock(segments_mutex_);
  // The place of a segment whose file was removed is used again: slots name places by number.
  auto place = std::find_if(segments_.begin(), segments_.end(), [](const auto& s) {
    return !s->file && s->state == Segment::State::spare;
  });
  if (place == segments_.end()) {
    segments_.push_back(std::make_unique<Segment>());
    place = segments_.end() - 1;
  }
  **place = Segment{};
  Segment& segment = **place;
  segment.number = number;
  segment.index = static_cast<std::uint32_t>(place - segments_.begin());
  segment.file = std::move(file);
  spare_count_.fetch_add(1, std::memory_order_relaxed);
  return segment;
}

void Log::count_segments() {
  std::uint32_t live = 0;
  std::uint32_t spare = 0;
  for (const auto& segment : segments_) {
    if (!segment->file) continue;
    ++(segment->state == Segment::State::spare ? spare : live);
  }
  live_count_.store(live, std::memory_order_relaxed);
  spare_count_.store(spare, std::memory_order_relaxed);
}

void Log::seal_active() {
  if (active_ == nullptr) return;
  active_->state = Segment::State::sealed;
  active_->known_until = active_->write_at;
  list_changed_ = true;
  unindexed_.emplace_back(active_, active_->header.sequence);
  look_for_free_ = true;
  active_ = nullptr;
}

void Log::activate(Segment& segment) {
  const std::unique_lock lock(segments_mutex_);
  segment.state = Segment::State::active;
  segment.header = {++last_sequence_, salt_, options_.segment_octets};
  segment.seed = checksum_seed(segment.header);
  segment.write_at = 0;
  segment.dirty_until = 0;
  segment.known_until = 0;
  segment.live_octets = 0;
  segment.live_pieces = 0;
  segment.kept = segment.unmovable = false;
  segment.refers.clear();
  segment.copies.clear();
  segment.records.clear();
  segment.indexed = false;
  sequences_[segment.header.sequence] = &segment;
  active_ = &segment;
}

Result<> Log::ensure_active(std::uint64_t octets) {
  if (round_up(octets + sizeof(RecordHeader) + sizeof(Entry), kPage) + kPage >
      options_.segment_octets) {
    return fail(ErrorKind::invalid, "a message of " + std::to_string(octets) +
                                        " octets does not fit into a spool segment; raise "
                                        "segment size");
  }
  if (fits(Batch{}, octets)) return {};
  if (elsewhere_) return fail(ErrorKind::io, displaced_why());
  const auto is_spare = [](const auto& s) {
    return s->state == Segment::State::spare && s->file && in_its_place(*s);
  };
  auto spare = std::find_if(segments_.begin(), segments_.end(), is_spare);
  if (spare == segments_.end()) {
    // The background worker was too slow, or this is the very first: allocate without filling.
    const std::uint32_t number = next_number_;
    auto file = disk_.open(path(number), true);
    if (!file) return fail(file.error());
    auto made = (*file)->preallocate(options_.segment_octets);
    if (made) made = disk_.sync_directory(options_.directory);
    if (!made) {
      (void)disk_.remove(path(number));  // a left-over file is an unused spare at the next start
      return made;
    }
    ++next_number_;
    const Segment& added = add_segment(number, std::move(*file));
    spare = segments_.begin() + added.index;
  }
  seal_active();
  activate(**spare);
  count_segments();
  return {};
}

/// Content that streams in takes no new file below the limit; what is complete may.
Result<> Log::ensure_active_for(const WaitingRequest& request) {
  const std::uint64_t octets = octets_of(request);
  if (request.kind == Request::Kind::chunk && segments_spare() == 0 && !fits(Batch{}, octets)) {
    const auto free = disk_.free_octets(options_.directory);
    if (free && *free < options_.minimum_free_octets + options_.segment_octets) {
      return fail(ErrorKind::exhausted, "too little free space for the spool");
    }
  }
  auto ready = ensure_active(octets);
  if (!ready) note_failure(ready.error());
  return ready;
}

std::vector<std::uint32_t> Log::take_spare_orders(SteadyTime now) {
  now_ = now;
  std::vector<std::uint32_t> orders;
  const std::uint32_t spare = spares_ordered_ + segments_spare();
  if (std::exchange(spare_failed_, false)) {
    spare_patience_ = std::clamp<Duration>(2 * spare_patience_, kSparePatience, kSpareLongest);
    no_spares_before_ = now + spare_patience_;
  } else if (spares_ordered_ == 0 && segments_spare() > 0) {
    spare_patience_ = {};
  }
  if (no_spares_before_ && now < *no_spares_before_) return orders;
  if (read_only() || elsewhere_ || spare >= options_.spare_segments) {
    spares_short_since_.reset();
    return orders;
  }
  if (!spares_short_since_) spares_short_since_ = now;
  const bool lasting = active_ == nullptr || now - *spares_short_since_ >= kShortageLasts;
  std::uint32_t wanted = lasting ? options_.spare_segments - spare : 0;
  if (spare == 0) wanted = std::max(wanted, 1u);
  for (; wanted > 0; --wanted, ++spares_ordered_) orders.push_back(next_number_++);
  return orders;
}

bool Log::free_if_possible(Segment& segment) {
  if (segment.state != Segment::State::sealed || segment.live_pieces != 0 || segment.kept) {
    return false;
  }
  if (segment.header.sequence == newest_written_) return false;  // it tells the highest id
  const auto gone = [this](std::uint64_t sequence) { return by_sequence(sequence) == nullptr; };
  std::erase_if(segment.refers, gone);
  std::erase_if(segment.copies, gone);
  if (!segment.refers.empty() || !segment.copies.empty()) return false;
  std::string mark = encode_mark(segment.header.sequence);
  const iovec piece{mark.data(), mark.size()};
  if (!segment.file->write_at(kMarkOffset, {&piece, 1})) {
    held_up_ = true;
    return false;
  }
  if (auto synced = segment.file->sync_data(); !synced) {
    turn_read_only(synced.error().message);
    return false;
  }
  const std::unique_lock lock(segments_mutex_);
  used_octets_.fetch_sub(std::min(used_octets_.load(), segment.write_at));
  sequences_.erase(segment.header.sequence);
  segment.mark = segment.header.sequence;
  segment.state = Segment::State::spare;
  list_changed_ = true;
  segment.write_at = 0;
  segment.records.clear();
  if (segment.place != File::Place::its_own ||
      segment.header.segment_octets != options_.segment_octets ||
      segments_spare() >= std::max<std::uint32_t>(options_.spare_segments, 1) * 4) {
    // Nothing here is needed; until it has gone, the mark says so.
    removals_.push_back(segment.number);
    segment.file.reset();
  }
  return true;
}

bool Log::reclaim() {
  if (read_only()) return false;
  // There may be hundreds of segments, and this is asked after each batch.
  if (look_for_free_) {
    for (const auto& segment : segments_) {
      if (segment.get() != victim_ && segment->file && free_if_possible(*segment)) {
        count_segments();
        return true;
      }
    }
    look_for_free_ = false;
    released_octets_ = options_.segment_octets;
  }
  if (victim_ == nullptr && released_octets_ >= options_.segment_octets / 16) {
    released_octets_ = 0;
    victim_ = choose_removed();
    if (victim_ == nullptr) victim_ = choose_victim();
    victim_cursor_ = 0;
    to_relog_.clear();
  }
  return victim_ != nullptr && evacuate_step();
}

void Log::try_again() {
  if (!std::exchange(held_up_, false)) return;
  look_for_free_ = true;
  released_octets_ = options_.segment_octets;
}

Segment* Log::choose_victim() {
  std::uint64_t live = 0;
  std::size_t sealed = 0;
  Segment* best = nullptr;
  for (const auto& segment : segments_) {
    if (segment->state != Segment::State::sealed) continue;
    ++sealed;
    live += segment->live_octets;
    if (segment->unmovable || (segment->live_pieces == 0 && segment->refers.empty())) continue;
    // It could not be freed before those that it was copied from: its mail would be moved again and
    // again, and each time fill another segment that can't be freed either.
    std::erase_if(segment->copies,
                  [this](std::uint64_t sequence) { return by_sequence(sequence) == nullptr; });
    if (!segment->copies.empty()) continue;
    if (best == nullptr || segment->live_octets < best->live_octets) best = segment.get();
  }
  const std::uint64_t all = sealed * options_.segment_octets;
  if (best == nullptr || sealed < kEvacuateBelow || live > all / 2 ||
      best->live_octets > options_.segment_octets / 2) {
    return nullptr;
  }
  return best;
}

bool Log::evacuate_step() {
  Batch batch;
  const std::uint32_t until = std::min(slots_.capacity(), victim_cursor_ + kSlotsPerStep);
  Moved moved = Moved::yes;
  while (victim_->live_pieces != 0 && victim_cursor_ < until && batch.octets < kMoveStep) {
    moved = move_message(batch, victim_cursor_, *victim_);
    if (moved != Moved::yes) break;
    ++victim_cursor_;
  }
  if (moved == Moved::never) victim_->unmovable = true;
  bool held_up = moved == Moved::not_now && batch.octets == 0;
  if (batch.octets != 0) {
    if (auto written = write_and_sync(batch); !written) {
      fail_batch(batch, written.error());
      held_up = true;
    } else {
      finish(batch);
    }
  }
  held_up_ = held_up_ || held_up;
  if (victim_->unmovable || held_up || read_only()) {
    victim_ = nullptr;
    return false;
  }
  const bool scanned = victim_->live_pieces == 0 || victim_cursor_ >= slots_.capacity();
  if (!scanned) return true;
  if (victim_->live_pieces == 0) {
    held_up_ = !relog_settlements(*victim_) || held_up_;
    look_for_free_ = true;
  }
  // Octets that no slot owns belong to messages still arriving: they end by themselves.
  victim_ = nullptr;
  return false;
}

Result<std::string> Log::read_sound(File& file, std::uint64_t offset, std::uint64_t octets,
                                    std::uint32_t seed, std::uint32_t crc) {
  std::string bytes(octets, '\0');
  const auto got = file.read_at(offset, {bytes.data(), bytes.size()});
  if (!got) return fail(ErrorKind::corrupt, got.error().message);
  if (*got != octets || crc32c(seed, bytes) != crc) {
    return fail(ErrorKind::corrupt, "content does not match its checksum");
  }
  return bytes;
}

Result<std::vector<Extent>> Log::move_extents(const std::vector<Extent>& extents, Segment& victim) {
  std::vector<Extent> moved = extents;
  for (Extent& extent : moved) {
    if (extent.sequence != victim.header.sequence) continue;
    auto bytes = read_sound(*victim.file, extent.offset, extent.octets, victim.seed, extent.crc);
    if (!bytes) return fail(bytes.error());
    if (auto ready = ensure_active(sizeof(RecordHeader) + bytes->size() + 8); !ready) {
      return fail(ready.error());
    }
    Batch batch;
    RecordHeader header;
    header.type = RecordType::chunk;
    header.flags = batch_flag(batch);
    header.sequence = active_->header.sequence;
    header.content_octets = bytes->size();
    header.content_crc = crc32c(active_->seed, *bytes);
    std::string record = encode_record(header, active_->seed, {});
    record.append(*bytes);
    const std::uint64_t at = append(batch, std::move(record), nullptr);
    extent = {header.sequence, at + sizeof(RecordHeader), extent.octets, header.content_crc};
    if (auto written = write_and_sync(batch); !written) return fail(written.error());
  }
  return moved;
}

Log::Moved Log::move_message(Batch& batch, std::uint32_t number, Segment& victim) {
  Slot copy;
  std::string states;
  std::shared_ptr<const std::vector<Extent>> extents;
  {
    const std::lock_guard lock(slots_.mutex(number));
    const Slot& slot = *slots_.find(number);
    if (slot.id == 0 || slot.open == 0) return Moved::yes;
    if (slot.extra) extents = slot.extra->extents;
    const bool inside = segments_[slot.segment].get() == &victim;
    const bool streamed = extents && std::any_of(extents->begin(), extents->end(), [&](auto& e) {
                            return e.sequence == victim.header.sequence;
                          });
    if (!inside && !streamed) return Moved::yes;
    copy.id = slot.id;
    copy.set_place(slot.segment, slot.offset());
    copy.head_octets = slot.head_octets;
    copy.envelope_octets = slot.envelope_octets;
    copy.inline_octets = slot.inline_octets;
    copy.content_crc = slot.content_crc;
    copy.generation = slot.generation;
    copy.recipients = slot.recipients;
    copy.held = slot.held;
    copy.held_stamp = slot.held_stamp;
    for (std::uint32_t i = 0; i < slot.recipients; ++i) {
      states.push_back(static_cast<char>(slot.state(i)));
    }
  }
  Segment& home = *segments_[copy.segment];
  const std::uint64_t octets =
      sizeof(RecordHeader) + copy.head_octets + 8 + copy.recipients + copy.inline_octets + 8;
  if (extents && batch.octets != 0) return Moved::not_now;  // its chunks go first, by themselves
  std::vector<Extent> moved;
  if (extents) {
    auto result = move_extents(*extents, victim);
    if (!result) return may_pass(result.error()) ? Moved::not_now : Moved::never;
    moved = std::move(*result);
  }
  if (!fits(batch, octets)) {
    if (batch.octets != 0) return Moved::not_now;
    const auto ready = ensure_active(octets);
    if (!ready) return may_pass(ready.error()) ? Moved::not_now : Moved::never;
  }
  std::string bytes(sizeof(RecordHeader) + copy.head_octets, '\0');
  const auto got = home.file->read_at(copy.offset(), {bytes.data(), bytes.size()});
  if (!got || *got != bytes.size()) return Moved::never;
  const auto header = peek_record(bytes, home.header.sequence, options_.segment_octets);
  const std::string_view head = std::string_view(bytes).substr(sizeof(RecordHeader));
  if (!header || !head_is_sound(*header, head, home.seed)) return Moved::never;
  auto content = read_sound(*home.file, copy.offset() + sizeof(RecordHeader) + copy.head_octets,
                            copy.inline_octets, home.seed, copy.content_crc);
  if (!content) return Moved::never;
  RecordHeader fresh = *header;
  fresh.sequence = active_->header.sequence;
  fresh.flags =
      static_cast<std::uint8_t>(kFlagCopy | (copy.held != 0 ? kFlagHeld : 0) | batch_flag(batch));
  fresh.generation = copy.generation + 1;
  fresh.from_sequence = home.header.sequence;
  fresh.content_crc = crc32c(active_->seed, *content);
  const std::string new_head = encode_message_head(head.substr(0, copy.envelope_octets), true,
                                                   copy.held_stamp, states, moved);
  std::string record = encode_record(fresh, active_->seed, new_head);
  record.append(*content);
  Batch::Move move{number,
                   0,
                   static_cast<std::uint32_t>(new_head.size()),
                   fresh.content_crc,
                   home.header.sequence,
                   nullptr};
  if (extents) move.extents = std::make_shared<const std::vector<Extent>>(std::move(moved));
  move.offset = append(batch, std::move(record), nullptr);
  batch.moves.push_back(std::move(move));
  return Moved::yes;
}

void Log::finish_move(const Batch::Move& move) {
  const std::lock_guard lock(slots_.mutex(move.slot));
  Slot& slot = *slots_.find(move.slot);
  add_message(slot, -1);
  slot.set_place(active_->index, move.offset);
  slot.head_octets = move.head_octets;
  slot.content_crc = move.content_crc;
  ++slot.generation;
  if (move.extents) slot.need_extra().extents = move.extents;
  add_message(slot, +1);
  if (move.from_sequence != active_->header.sequence) active_->copies.insert(move.from_sequence);
}

/// False if it may succeed later. What can't be read keeps the older segments that it speaks of.
bool Log::relog_settlements(Segment& victim) {
  std::vector<Entry> needed;
  const auto keep = [&](const RecordHeader& header, std::uint64_t, std::string_view head) {
    if (header.type != RecordType::settle) return;
    for (const Entry& entry : decode_entries(head)) {
      if (entry.home != victim.header.sequence && by_sequence(entry.home) != nullptr) {
        needed.push_back(entry);
      }
    }
  };
  if (!visit_records(victim.number, *victim.file, victim.header, keep)) victim.unmovable = true;
  if (victim.unmovable) return true;
  const std::size_t most = std::min<std::size_t>(4096, options_.segment_octets / 4 / sizeof(Entry));
  for (std::size_t at = 0; at < needed.size(); at += most) {
    Batch batch;
    const auto first = needed.begin() + static_cast<std::ptrdiff_t>(at);
    batch.relogged.assign(first,
                          first + static_cast<std::ptrdiff_t>(std::min(most, needed.size() - at)));
    const std::uint64_t octets = sizeof(RecordHeader) + batch.relogged.size() * sizeof(Entry) + 8;
    if (!fits(batch, octets) && !ensure_active(octets)) return false;
    place_entries(batch, batch.relogged);
    if (!write_and_sync(batch)) return false;
    finish(batch);
  }
  victim.refers.clear();
  return true;
}

}  // namespace waypost::spool
