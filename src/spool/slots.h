// The spool's index: one slot of fixed size for each unfinished message; nothing is keyed by text.
//
// Slots never move, so that any thread may look one up by number; what is in it is guarded by one
// of a few striped locks, held for nanoseconds. Only the committer allocates and frees.
#pragma once

#include "waypost/base/block_chain.h"
#include "waypost/spool/spool.h"

#include "spool/record.h"

#include <array>
#include <mutex>

namespace waypost::spool {

/// What only a few messages have: many recipients, streamed content, content still in memory.
struct SlotExtra {
  std::vector<std::uint8_t> states;
  std::shared_ptr<const BlockChain> content;
  std::shared_ptr<const std::vector<Extent>> extents;
};

/// A million of them may wait: 64 octets, one cache line.
struct Slot {
  std::uint64_t id = 0;  // 0: free
  std::unique_ptr<SlotExtra> extra;
  std::uint64_t held_stamp = 0;
  std::uint32_t offset_words = 0;   // of 8 octets
  std::uint32_t inline_octets = 0;  // content behind the head; the rest lies in extents
  std::uint32_t head_octets = 0;
  std::uint32_t envelope_octets = 0;
  std::uint32_t content_crc = 0;
  std::uint32_t generation = 0;
  std::uint32_t recipients = 0;
  std::uint32_t open = 0;
  std::uint32_t pending = 0;       // settlements that are not durable yet
  std::uint32_t segment : 24 = 0;  // index into the log's segments
  std::uint32_t single : 7 = 0;    // the state of an only recipient
  std::uint32_t held : 1 = 0;

  std::uint64_t offset() const { return std::uint64_t{offset_words} * 8; }
  void set_place(std::uint32_t in_segment, std::uint64_t offset) {
    segment = in_segment & 0xFFFFFF;
    offset_words = static_cast<std::uint32_t>(offset / 8);
  }
  SlotExtra& need_extra() {
    if (!extra) extra = std::make_unique<SlotExtra>();
    return *extra;
  }
  std::uint8_t state(std::uint32_t recipient) const {
    return recipients == 1 ? static_cast<std::uint8_t>(single) : extra->states[recipient];
  }
  void set_state(std::uint32_t recipient, std::uint8_t value) {
    if (recipients == 1) {
      single = value & 0x7F;
    } else {
      need_extra().states[recipient] = value;
    }
  }
  void set_recipients(std::uint32_t count) {
    recipients = open = count;
    single = 0;
    if (count > 1) need_extra().states.assign(count, 0);
  }
  const std::vector<Extent>* extents() const {
    return extra && extra->extents ? extra->extents.get() : nullptr;
  }
  std::uint64_t content_octets() const {
    std::uint64_t sum = inline_octets;
    if (extents() != nullptr) {
      for (const Extent& extent : *extents()) sum += extent.octets;
    }
    return sum;
  }
  void forget_content() {
    if (!extra) return;
    extra->content.reset();
    if (extra->states.empty() && !extra->extents) extra.reset();
  }
};
static_assert(sizeof(Slot) == 64);

class Slots {
 public:
  ~Slots() {
    for (auto& chunk : chunks_) delete[] chunk.load();
  }
  /// Committer only.
  std::uint32_t allocate() {
    if (free_.empty()) grow();
    const std::uint32_t number = free_.back();
    free_.pop_back();
    ++used_;
    return number;
  }
  void release(std::uint32_t number) {
    {
      const std::lock_guard lock(mutex(number));
      *find(number) = Slot{};
    }
    free_.push_back(number);
    --used_;
  }
  std::uint32_t capacity() const { return capacity_; }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  /// Any thread; null for a number that was never given out.
  Slot* find(std::uint32_t number) {
    if (number / kChunk >= chunks_.size()) return nullptr;
    Slot* chunk = chunks_[number / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : chunk + number % kChunk;
  }
  std::mutex& mutex(std::uint32_t number) { return stripes_[number % stripes_.size()]; }

 private:
  static constexpr std::uint32_t kChunk = 4096;
  void grow() {
    WAYPOST_INVARIANT(capacity_ / kChunk < chunks_.size());
    chunks_[capacity_ / kChunk].store(new Slot[kChunk], std::memory_order_release);
    for (std::uint32_t i = kChunk; i-- > 0;) free_.push_back(capacity_ + i);
    capacity_ += kChunk;
  }

  std::array<std::atomic<Slot*>, 16384> chunks_{};
  std::array<std::mutex, 64> stripes_;
  std::vector<std::uint32_t> free_;
  std::uint32_t capacity_ = 0;
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace waypost::spool
