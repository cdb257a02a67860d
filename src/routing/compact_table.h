// The memory of a routing table: a million people in less than 100 MB, found in two cache misses.
//
// Private to routing. Filled by TableBuilder on one thread, read-only from then on.
//   arena     one record an entry: state and form flags, domain numbers, local parts, wave, source
//             and line, numbers as varints. What is equal is not stored again: the target's local
//             part is mostly the address's own.
//   slots     open addressing over {hash, offset + 1}, at most 0.7 full; one index by address, one
//             by target.
//   domains   each spelling once, with the number of its normalised form.
#pragma once

#include "waypost/routing/table.h"

#include "routing/address_text.h"
#include "routing/large_pages.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace waypost::routing {

class CompactTable final : public Table {
 public:
  /// A record as it lies in the arena; the views live as long as the table.
  struct Record {
    EntryState state = EntryState::active;
    std::string_view key_local;      // lower case
    std::string_view written_local;  // as in the source
    std::string_view target_local;
    std::uint32_t address_domain = 0, target_domain = 0;  // spellings
    std::uint32_t wave = 0, source = 0, line = 0;
  };
  struct Inserted {
    bool added = false;
    std::uint32_t offset = 0;  // of the record, or of the one that was there before
  };

  // Filling. REQUIRES: not yet shared.
  /// The number of a spelling, normalised at its first sight.
  Result<std::uint32_t> intern_domain(std::string_view written);
  std::uint32_t intern_wave(std::string_view wave);
  std::uint32_t intern_source(std::string_view source);
  void reserve(std::size_t entries, std::size_t arena_octets);
  /// ErrorKind::exhausted above 4 GiB of records.
  Result<Inserted> insert(const Record& record);
  /// Builds the index by target and gives back spare memory.
  void finish();

  // Reading.
  std::size_t size() const override { return count_; }
  std::optional<Entry> find(std::string_view normalised_key) const override;
  std::optional<Entry> find_target(std::string_view normalised_key) const override;
  bool has_domain(std::string_view normalised_domain) const override;
  std::vector<Entry> entries() const override;
  void for_each(const std::function<void(const Entry&)>& visit) const override;
  std::size_t memory_octets() const override;

  Record record_at(std::uint32_t offset) const;
  Entry entry_of(const Record& record) const;
  SourcePlace place_of(const Record& record) const;
  /// The offset of the entry with this lower-case local part and normalised domain.
  std::optional<std::uint32_t> find_offset(std::string_view lower_local,
                                           std::uint32_t normal_domain) const;
  std::uint32_t normal_of(std::uint32_t spelling) const { return spellings_[spelling].normal; }
  const std::string& normal_name(std::uint32_t normal) const { return normals_[normal].name; }
  std::size_t normal_count() const { return normals_.size(); }
  bool normal_has_entries(std::uint32_t normal) const { return normals_[normal].entries > 0; }
  bool normal_has_targets(std::uint32_t normal) const { return normals_[normal].targets > 0; }
  template <class Visit>
  void for_each_record(Visit visit) const {
    std::uint32_t offset = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      std::uint32_t next = offset;
      const Record record = read_record(next);
      visit(record, offset);
      offset = next;
    }
  }

 private:
  using Arena = std::vector<char, LargePages<char>>;
  struct Slot {
    std::uint32_t hash = 0, offset_plus_1 = 0;
  };
  struct Spelling {
    std::string written;
    std::uint32_t normal = 0;
  };
  struct Normal {
    std::string name;
    std::size_t entries = 0, targets = 0;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const;
  };
  using Numbers = std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>>;

  Record read_record(std::uint32_t& offset) const;
  std::optional<std::uint32_t> normal_number(std::string_view normalised_domain) const;
  void grow_slots(std::size_t wanted);
  Result<std::uint32_t> append(const Record& record);
  void insert_target(Slot fresh);
  std::uint32_t remember(std::uint32_t spelling);
  static std::uint32_t intern(std::vector<std::string>& names, Numbers& numbers,
                              std::string_view name);

  Arena arena_;
  std::vector<Slot, LargePages<Slot>> slots_, target_slots_;
  std::size_t count_ = 0;
  std::vector<Spelling> spellings_;
  std::vector<Normal> normals_;
  Numbers spelling_numbers_, normal_numbers_;
  std::vector<std::string> waves_{std::string()}, sources_{std::string()};
  Numbers wave_numbers_, source_numbers_;
  std::array<std::uint32_t, 2> recent_spellings_ = {0, 0};
};

}  // namespace waypost::routing
