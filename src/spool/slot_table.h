// Slots by queue id, while recovery needs it: 4 octets a place, so that a million messages cost
// eight megabytes for a second. One thread.
#pragma once

#include "spool/slots.h"

namespace waypost::spool {

class SlotTable {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  explicit SlotTable(Slots& slots) : slots_(slots), places_(1024, kNone) {}

  std::uint32_t find(std::uint64_t id) const { return places_[place_of(id)]; }
  /// REQUIRES: the slot has its id, and find(id) is kNone.
  void insert(std::uint32_t slot) {
    if (++used_ * 2 > places_.size()) grow();
    places_[place_of(slots_.find(slot)->id)] = slot;
  }

 private:
  std::size_t place_of(std::uint64_t id) const {
    std::size_t at = std::hash<QueueId>()(QueueId{id}) >> 16;
    for (;; ++at) {
      const std::uint32_t slot = places_[at & (places_.size() - 1)];
      if (slot == kNone || slots_.find(slot)->id == id) return at & (places_.size() - 1);
    }
  }
  void grow() {
    std::vector<std::uint32_t> old(places_.size() * 2, kNone);
    old.swap(places_);
    for (const std::uint32_t slot : old) {
      if (slot != kNone) places_[place_of(slots_.find(slot)->id)] = slot;
    }
  }

  Slots& slots_;
  std::vector<std::uint32_t> places_;
  std::size_t used_ = 0;
};

}  // namespace waypost::spool
