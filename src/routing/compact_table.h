// The memory of a routing table: a million people in less than 100 MB, one of them found with one
// wait for memory.
//
// Private to routing. Filled by TableBuilder on one thread, read-only from then on.
//   arena     one record an entry: a tag (octet of its hash) and its length, state and form flags,
//             domain numbers, local parts, wave, source and line, numbers as varints; further
//             targets only where a flag says so. What is equal is not stored again: the target's
//             local part is mostly the address's own.
//   buckets   finish() gathers the records by hash, eight to a bucket or fewer: a look-up reads one
//             offset of a small array that stays in the cache, then a few lines that lie together.
//   targets   the index by target: open addressing over {hash, offset + 1}, at most 0.7 full. While
//             the table is filled, the index by address is such a one too.
//   domains   each spelling once, with the number of its normalised form.
#pragma once

#include "waypost/routing/table.h"

#include "routing/address_text.h"
#include "routing/bucket_starts.h"
#include "routing/key_hash.h"
#include "routing/large_pages.h"
#include "routing/record_codec.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace waypost::routing {

class CompactTable final : public Table {
 public:
  struct Target {
    std::string_view local;    // as in the source
    std::uint32_t domain = 0;  // spelling
  };
  /// A record as it lies in the arena; the views live as long as the table.
  struct Record {
    EntryState state = EntryState::active;
    bool has_state = false;          // written in the source
    std::string_view key_local;      // lower case
    std::string_view written_local;  // as in the source
    std::string_view target_local;
    std::uint32_t address_domain = 0, target_domain = 0;  // spellings
    std::uint32_t wave = 0, source = 0, line = 0;
    const char* copies = nullptr;  // further targets, encoded; see for_each_copy

    /// In the order in which the sources were read.
    std::pair<std::uint32_t, std::uint32_t> place() const { return {source, line}; }
  };
  struct Inserted {
    bool added = false;
    std::uint32_t offset = 0;  // of the record, or of the one that was there before
  };
  /// Two entries with the same target, the later one first.
  using SamePerson = std::pair<std::uint32_t, std::uint32_t>;

  // Filling. REQUIRES: not yet shared.
  /// The number of a spelling, normalised at its first sight.
  Result<std::uint32_t> intern_domain(std::string_view written);
  std::uint32_t intern_wave(std::string_view wave);
  std::uint32_t intern_source(std::string_view source);
  void reserve(std::size_t entries, std::size_t arena_octets);
  /// ErrorKind::exhausted above 4 GiB of records. `record.copies` does not count here.
  Result<Inserted> insert(const Record& record, std::span<const Target> copies = {});
  /// Builds the indexes and gives back spare memory: nothing is found before. Offsets from before
  /// are void. Returns people who have addresses in different waves or states, at most `most`.
  std::vector<SamePerson> finish(std::size_t most = 1000);
  /// Where the next record will lie: records below are older.
  std::uint32_t arena_end() const { return static_cast<std::uint32_t>(arena_.size()); }

  // Reading.
  std::size_t size() const override { return count_; }
  std::optional<Entry> find(std::string_view normalised_key) const override;
  std::optional<Entry> find_target(std::string_view normalised_key) const override;
  bool has_domain(std::string_view normalised_domain) const override;
  std::vector<Entry> entries() const override;
  void for_each(const std::function<void(const Entry&)>& visit) const override;
  std::size_t memory_octets() const override;

  Record record_at(std::uint32_t offset) const {
    const char* at = arena_.data() + offset;
    return read_record(at);
  }
  Entry entry_of(const Record& record) const;
  SourcePlace place_of(const Record& record) const;
  /// The entry with this lower-case local part and normalised domain.
  std::optional<Record> find_record(std::string_view lower_local,
                                    std::uint32_t normal_domain) const;
  std::optional<Record> find_target_record(std::string_view lower_local,
                                           std::uint32_t normal_domain) const;
  /// Every entry with this target, in the order of the sources, then those with it as a further one
  /// (of these and of very many with one target, each wave and state once), until `visit` says
  /// false.
  template <class Visit>
  void for_each_of_target(std::string_view lower_local, std::uint32_t normal_domain,
                          Visit visit) const;
  std::optional<std::uint32_t> normal_number(std::string_view normalised_domain) const;
  std::uint32_t normal_of(std::uint32_t spelling) const { return spellings_[spelling].normal; }
  const std::string& written_domain(std::uint32_t spelling) const {
    return spellings_[spelling].written;
  }
  const std::string& normal_name(std::uint32_t normal) const { return normals_[normal].name; }
  std::size_t normal_count() const { return normals_.size(); }
  bool normal_has_entries(std::uint32_t normal) const { return normals_[normal].entries > 0; }
  bool normal_has_targets(std::uint32_t normal) const { return normals_[normal].targets > 0; }
  const std::string& wave_name(std::uint32_t wave) const { return waves_[wave]; }  // 0: none
  const std::string& source_name(std::uint32_t source) const { return sources_[source]; }
  std::size_t wave_count() const { return waves_.size(); }
  /// In the order of the arena, which is by chance once the table is finished.
  template <class Visit>
  void for_each_record(Visit visit) const {
    for_each_in(arena_, count_, visit);
  }
  template <class Visit>
  static void for_each_copy(const Record& record, Visit visit) {
    if (record.copies == nullptr) return;
    const char* at = record.copies;
    for (auto left = take_number(at); left > 0; --left) {
      const auto domain = take_number(at);
      visit(Target{take_text(at), domain});
    }
  }

 private:
  using Arena = std::vector<char, LargePages<char>>;
  struct Slot {
    std::uint32_t hash = 0, offset_plus_1 = 0;
  };
  using Slots = std::vector<Slot, LargePages<Slot>>;
  struct Spelling {
    std::string written;
    std::uint32_t normal = 0;
  };
  struct Normal {
    std::string name;
    std::size_t entries = 0, targets = 0;
  };
  struct FreshTarget;  // on its way into the index
  using Numbers = std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>>;

  static Record read_record(const char*& at);
  template <class Visit>
  static void for_each_in(const Arena& arena, std::size_t count, Visit visit) {
    const char* at = arena.data();
    for (std::size_t i = 0; i < count; ++i) {
      const auto offset = static_cast<std::uint32_t>(at - arena.data());
      const Record record = read_record(at);
      visit(record, offset);
    }
  }
  /// The records in the order of their hashes; where each of them lies now, in the old order.
  std::vector<std::uint32_t> gather_into_buckets(const Arena& old);
  std::size_t bucket_of(std::uint32_t hash) const {
    return static_cast<std::size_t>(std::uint64_t{hash} >> bucket_shift_);
  }
  static std::size_t slots_for(std::size_t entries);
  void grow_slots(std::size_t wanted);
  Result<std::uint32_t> append(const Record& record, std::uint32_t hash,
                               std::span<const Target> copies);
  template <class Visit>
  void index_targets(Visit for_each_target);
  void insert_target(const FreshTarget& fresh);
  bool has_target(const Record& record, std::string_view lower_local, std::uint32_t normal) const;
  std::uint32_t remember(std::uint32_t spelling);
  static std::uint32_t intern(std::vector<std::string>& names, Numbers& numbers,
                              std::string_view name);

  Arena arena_;
  Slots slots_;          // by address, while the table is filled
  BucketStarts starts_;  // and the end of the last one
  unsigned bucket_shift_ = 32;
  Slots target_slots_;
  std::size_t count_ = 0, copies_ = 0;
  std::vector<Spelling> spellings_;
  std::vector<Normal> normals_;
  Numbers spelling_numbers_, normal_numbers_;
  std::vector<std::string> waves_{std::string()}, sources_{std::string()};
  Numbers wave_numbers_, source_numbers_;
  std::array<std::uint32_t, 2> recent_spellings_ = {0, 0};
  std::vector<SamePerson> split_people_;  // while finish() runs
  std::size_t most_split_people_ = 0;
};

template <class Visit>
void CompactTable::for_each_of_target(std::string_view lower_local, std::uint32_t normal_domain,
                                      Visit visit) const {
  if (target_slots_.empty()) return;
  const auto hash = key_hash(lower_local, normal_domain);
  const auto mask = target_slots_.size() - 1;
  for (auto i = hash & mask; target_slots_[i].offset_plus_1 != 0; i = (i + 1) & mask) {
    if (target_slots_[i].hash != hash) continue;
    const auto record = record_at(target_slots_[i].offset_plus_1 - 1);
    if (has_target(record, lower_local, normal_domain) && !visit(record)) return;
  }
}

/// Not of the bits that choose the bucket.
inline char tag_of(std::uint32_t hash) { return static_cast<char>(hash & 0xff); }

// Record flags: two bits of state, then which parts are stored.
inline constexpr std::uint8_t kStateMask = 0x03;
inline constexpr std::uint8_t kWrittenStored = 0x04;  // else equal to the key
inline constexpr std::uint8_t kTargetStored = 0x08;
inline constexpr std::uint8_t kTargetIsKey = 0x10;  // else equal to the written local part
inline constexpr std::uint8_t kHasState = 0x20;
inline constexpr std::uint8_t kHasCopies = 0x40;

inline CompactTable::Record CompactTable::read_record(const char*& at) {
  Record record;
  ++at;  // the tag
  take_number(at);
  const auto flags = static_cast<std::uint8_t>(*at++);
  record.state = static_cast<EntryState>(flags & kStateMask);
  record.has_state = (flags & kHasState) != 0;
  record.address_domain = take_number(at);
  record.key_local = take_text(at);
  record.written_local = (flags & kWrittenStored) != 0 ? take_text(at) : record.key_local;
  record.target_domain = take_number(at);
  if ((flags & kTargetStored) != 0)
    record.target_local = take_text(at);
  else
    record.target_local = (flags & kTargetIsKey) != 0 ? record.key_local : record.written_local;
  record.wave = take_number(at);
  record.source = take_number(at);
  record.line = take_number(at);
  if ((flags & kHasCopies) != 0) {
    record.copies = at;
    for (auto left = take_number(at); left > 0; --left) {
      take_number(at);
      take_text(at);
    }
  }
  return record;
}

}  // namespace waypost::routing
