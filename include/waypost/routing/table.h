// The routing table: who has moved, and where to.
//
// Table: immutable once built, shared by all threads (std::shared_ptr<const Table>); look-up does
// no I/O and takes no lock. TableBuilder collects entries from sources and reports every problem
// with its place. Keys are normalised addresses: local part in Unicode-safe lower case (ASCII
// folded, all other characters compared octet by octet), domain as IDNA A-label. The memory layout
// is described in src/routing/compact_table.h.
#pragma once

#include "waypost/base/result.h"
#include "waypost/mail/address.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

enum class EntryState : std::uint8_t { pending, migrating, active, rolled_back };
std::string_view to_string(EntryState state);

/// Where an entry came from: "users.csv:412".
struct SourcePlace {
  std::string source;      // file path or source name; empty: none
  std::uint32_t line = 0;  // 1-based; 0: unknown
  std::string to_string() const;
};

struct Entry {
  mail::Mailbox address;  // as written in the source
  mail::Mailbox target;
  /// As written in the source. Without `has_state` the wave's state counts, and without a wave
  /// `active`.
  EntryState state = EntryState::active;
  bool has_state = false;
  std::string wave;                   // empty: none
  std::vector<mail::Mailbox> copies;  // further targets, which get a copy; at most kMaxTargets - 1
  SourcePlace place;
};
inline constexpr std::size_t kMaxTargets = 12;  // of one entry

/// A defect in a source. `error` refuses the whole load; a warning does not.
struct Problem {
  bool error = true;
  std::string file;
  std::uint32_t line = 0, column = 0;
  std::string message;                // what is wrong and what to do
  std::string to_string() const;      // "users.csv:12:7: error: ..."
  std::string without_level() const;  // "users.csv:12:7: ...", where the level is told already
};

class Table {
 public:
  virtual ~Table() = default;
  virtual std::size_t size() const = 0;
  /// Exact look-up of a normalised key (see normalise_key). nullopt: not there. Built on demand
  /// from compact storage.
  virtual std::optional<Entry> find(std::string_view normalised_key) const = 0;
  /// True if at least one entry is of this normalised domain.
  virtual bool has_domain(std::string_view normalised_domain) const = 0;
  /// In normalised order, for listings and diffs; may be slow.
  virtual std::vector<Entry> entries() const = 0;
  /// The first entry whose target is this normalised key, else the first that has it as a further
  /// target: the check of an address that was rewritten before it came to us.
  virtual std::optional<Entry> find_target(std::string_view normalised_key) const;
  /// Every entry, in no particular order, without a copy of the whole table.
  virtual void for_each(const std::function<void(const Entry&)>& visit) const;
  /// Heap memory that the table holds.
  virtual std::size_t memory_octets() const { return 0; }
};

/// Normalises an address for look-ups; IDNA through libidn2. ErrorKind::invalid for a domain that
/// IDNA refuses.
Result<std::string> normalise_key(const mail::Mailbox& address);
Result<std::string> normalise_domain(std::string_view domain);

/// What holds for entries of a source that say nothing themselves.
struct SourceDefaults {
  std::string wave;  // empty: none
  std::optional<EntryState> state;
};

class TableBuilder {
 public:
  TableBuilder();
  ~TableBuilder();
  /// The members file of a wave: addresses, one a line, '#' comments, UTF-8 or UTF-16. They give
  /// this wave to entries that name none; it comes before the wave of SourceDefaults. An address in
  /// the files of two waves is an error, one that no source knows a warning.
  /// REQUIRES: no entry was added yet.
  void add_members(std::string_view wave, std::string_view file_name, std::string_view content);
  /// What is added from here on is of another source, which comes after all before it: an address
  /// that an earlier source knows stays that one's, with a warning that names both places. Never
  /// called: all is one source.
  void begin_source(SourceDefaults defaults = {});
  /// A CSV file `address,target[,state[,wave]]`: RFC 4180 quoting, optional header row (then the
  /// columns may have any order; `guid` and `dn` of a directory's snapshot are passed over), UTF-8
  /// or UTF-16 with BOM, CRLF or LF, '#' comments; ';' or tab instead of ',' if the first row says
  /// so. Several targets stand in one field, joined by ';' or blanks. docs/routing.md describes the
  /// format.
  void add_csv(std::string_view file_name, std::string_view content);
  void add_entry(Entry entry);
  /// At most 1,000 are kept, errors first; build() adds one line that counts the rest.
  const std::vector<Problem>& problems() const;
  bool has_errors() const;
  /// Within one source, duplicates with different targets are errors (both places are named);
  /// identical ones are warnings. Addresses of one person in different waves are warnings.
  std::shared_ptr<const Table> build();

  struct Impl;  // src/routing/table_builder_impl.h

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace waypost::routing
