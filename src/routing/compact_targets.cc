// The index of a table by target: filled once, when all entries are there.
#include "routing/compact_table.h"

#include <algorithm>
#include <array>

namespace waypost::routing {
namespace {

constexpr std::size_t kLookAhead = 16;  // slots fetched before they are needed
constexpr std::size_t kMostLikeOne = 64;

bool equals_lower(std::string_view written, std::string_view lower) {
  if (written.size() != lower.size()) return false;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const char c = written[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != lower[i]) return false;
  }
  return true;
}

}  // namespace

struct CompactTable::FreshTarget {
  Slot slot;
  Target target;
  bool is_copy = false;
};

/// `for_each_target`: calls what it is given with each target and the offset of its record.
template <class Visit>
void CompactTable::index_targets(Visit for_each_target) {
  const auto mask = target_slots_.size() - 1;
  std::array<FreshTarget, kLookAhead> waiting;
  std::size_t many = 0;
  const auto insert_waiting = [&] {
    for (std::size_t k = 0; k < many; ++k) insert_target(waiting[k]);
    many = 0;
  };
  std::string lower;
  for_each_target([&](const Target& target, std::uint32_t offset, bool is_copy) {
    lower.clear();
    append_lower(lower, target.local);
    const auto hash = key_hash(lower, normal_of(target.domain));
    __builtin_prefetch(&target_slots_[hash & mask], 1);
    waiting[many++] = FreshTarget{{hash, offset + 1}, target, is_copy};
    if (many == kLookAhead) insert_waiting();
  });
  insert_waiting();
}

std::vector<CompactTable::SamePerson> CompactTable::finish(std::size_t most) {
  slots_ = Slots();
  const Arena filled = std::exchange(arena_, Arena());
  const auto offsets = gather_into_buckets(filled);
  target_slots_.assign(slots_for(count_ + copies_), Slot{});
  most_split_people_ = most;
  // In the order of the sources: of several addresses of one person the first is found.
  const auto for_each_filled = [&](auto visit) {
    std::size_t i = 0;
    for_each_in(filled, count_,
                [&](const Record& record, std::uint32_t) { visit(record, offsets[i++]); });
  };
  index_targets([&](auto take) {
    for_each_filled([&](const Record& record, std::uint32_t offset) {
      take(Target{record.target_local, record.target_domain}, offset, false);
    });
  });
  // Behind them all: an address that is one person's target is that person's.
  if (copies_ > 0)
    index_targets([&](auto take) {
      for_each_filled([&](const Record& record, std::uint32_t offset) {
        for_each_copy(record, [&](const Target& copy) { take(copy, offset, true); });
      });
    });
  return std::exchange(split_people_, {});
}

/// The addresses of one person lie behind one another in the order of the sources. Of a target
/// that very many share, each combination of wave and state once will do.
void CompactTable::insert_target(const FreshTarget& fresh) {
  const auto mask = target_slots_.size() - 1;
  const auto now = record_at(fresh.slot.offset_plus_1 - 1);
  const auto lower = mail::ascii_lower(fresh.target.local);
  bool like_one = false;  // of the same wave and state as one that is there
  std::size_t before = 0;
  auto i = fresh.slot.hash & mask;
  for (; target_slots_[i].offset_plus_1 != 0; i = (i + 1) & mask) {
    if (target_slots_[i].hash != fresh.slot.hash) continue;
    const auto known = record_at(target_slots_[i].offset_plus_1 - 1);
    if (!has_target(known, lower, normal_of(fresh.target.domain))) continue;
    const bool together = known.wave == now.wave && known.has_state == now.has_state &&
                          (!known.has_state || known.state == now.state);
    if (before++ == 0 && !together && !fresh.is_copy && split_people_.size() < most_split_people_)
      split_people_.emplace_back(fresh.slot.offset_plus_1 - 1, target_slots_[i].offset_plus_1 - 1);
    like_one = like_one || together;
    if (like_one && (fresh.is_copy || before >= kMostLikeOne)) return;
  }
  target_slots_[i] = fresh.slot;
}

bool CompactTable::has_target(const Record& record, std::string_view lower_local,
                              std::uint32_t normal) const {
  bool found =
      normal_of(record.target_domain) == normal && equals_lower(record.target_local, lower_local);
  for_each_copy(record, [&](const Target& copy) {
    found = found || (normal_of(copy.domain) == normal && equals_lower(copy.local, lower_local));
  });
  return found;
}

std::optional<CompactTable::Record> CompactTable::find_target_record(
    std::string_view lower_local, std::uint32_t normal_domain) const {
  std::optional<Record> first;
  for_each_of_target(lower_local, normal_domain, [&](const Record& record) {
    first = record;
    return false;
  });
  return first;
}

}  // namespace waypost::routing
