// What an operator wants to know of a table as a whole: how many of what, whose addresses belong
// together, what looks wrong though it is legal, and whether too much has vanished.
//
// Pure; any thread. Each function walks the table once: a second for a million entries, so never on
// a shard.
#pragma once

#include "waypost/routing/router.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace waypost::routing {

struct TableStats {
  std::uint64_t entries = 0;
  std::uint64_t with_copies = 0;  // entries that have several targets
  std::uint64_t memory_octets = 0;
  std::map<std::string, std::uint64_t> by_source;  // file or directory
  std::map<std::string, std::uint64_t> by_state;   // what counts at the time asked for
  std::map<std::string, std::uint64_t> by_wave;    // "" is no wave
  std::map<std::string, std::uint64_t> by_domain;
  std::map<std::string, std::uint64_t> by_target_domain;
};
TableStats table_stats(const Router& router, WallTime at);

/// Every entry of the person that `address` belongs to: entries with this address or target, and
/// those with the same target.
std::vector<Entry> entries_of_person(const Table& table, const mail::Mailbox& address);

/// What is legal and looks like a mistake: local parts that WorkMail can't have, entries that hide
/// a domain alias, targets that differ only in case. At most 1,000.
std::vector<Problem> lint(const Router& router);

/// "181 entries: 1 active, 180 pending (3 waves)".
std::string summary_of(const TableStats& stats);
/// People are pending or rolled back, and there is no next hop for their mail; nullopt: all is
/// well.
std::optional<Problem> nowhere_to_wait(const TableStats& stats, const Options& options);

/// How many entries came from where and what was said of them; kept on disk so that a restart can
/// tell a vanished or half-written source too.
struct TableSize {
  /// Of entries that have the same wave and the same state of their own.
  struct Said {
    std::uint64_t entries = 0;
    EntryState state = EntryState::active;  // what held for them then
  };
  using Words = std::pair<std::string, std::string>;  // wave, own state; "": none

  std::uint64_t entries = 0;
  std::map<std::string, std::uint64_t> by_source;
  std::map<Words, Said> said;
  bool said_known = false;  // false: written by a version that did not count it

  std::uint64_t silent() const;  // entries of which nothing is said: they are active
  std::string to_json() const;
  static Result<TableSize> from_json(std::string_view text);
};
TableSize size_of(const Router& router, WallTime at);

/// Of how many people a new table says less than the one before, or something else: what a source
/// that was cut off looks like. Saying nothing about somebody who had a wave or a state removes
/// that word.
struct TableLosses {
  std::uint64_t removed = 0;    // entries that are gone
  std::uint64_t restated = 0;   // another wave or state
  std::uint64_t fallen = 0;     // active now because nothing says otherwise any more
  std::string first_fallen;     // "ann@corp.example, pending until now (table.csv:3)"; may be empty
  std::uint64_t uncovered = 0;  // active now by another source, their own no longer has them
  std::string first_uncovered;  // as first_fallen
  std::string excused;          // a source whose entries may leave
};
/// What a source, by its path, has been allowed already: its entries may leave, and if `words` what
/// is said of them may change.
struct TableExcuse {
  std::string source;
  bool words = false;
};

/// Two routers compared at a time: what changed, and what was lost.
struct TableComparison {
  TableDiff diff;
  TableLosses losses;
};
TableComparison compare(const Router& before, const Router& after, WallTime at,
                        std::size_t most_names, const TableExcuse& excuse = {});
/// The same when nothing but numbers is known of what was before: at least so many.
TableLosses losses_by_number(const TableSize& before, const TableSize& after, const Router& now,
                             WallTime at);

/// Why `after` should not take the place of `before` unasked; nullopt: nothing suspicious. Up to 10
/// may always leave or change, but nobody may become active for want of a word.
std::optional<std::string> suspicious_shrink(const TableSize& before, const TableSize& after,
                                             const TableLosses& losses, const Options& options);

}  // namespace waypost::routing
