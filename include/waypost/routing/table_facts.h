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

/// How many entries came from where; kept on disk so that a restart can tell a vanished table too.
struct TableSize {
  std::uint64_t entries = 0;
  std::map<std::string, std::uint64_t> by_source;

  std::string to_json() const;
  static Result<TableSize> from_json(std::string_view text);
};
TableSize size_of(const Table& table);

/// Why `after` should not take the place of `before` unasked; nullopt: nothing suspicious.
/// `removed`: entries of `before` that are gone. Up to 10 may always go.
std::optional<std::string> suspicious_shrink(const TableSize& before, const TableSize& after,
                                             std::uint64_t removed, const Options& options);

}  // namespace waypost::routing
