// What TableBuilder and its sources share: the table that is being filled, and its problems.
//
// Private to routing.
#pragma once

#include "waypost/routing/table.h"

#include "routing/compact_table.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace waypost::routing {

/// One row of a source, not yet checked. The views live during the call.
struct RawEntry {
  std::string_view address;
  std::string_view target;                    // one or several, joined by ';' or blanks
  std::span<const std::string> more_targets;  // those that are not joined
  std::optional<EntryState> state;
  std::string_view wave;
  std::uint32_t source = 0, line = 0;
  std::uint32_t address_column = 0, target_column = 0;
};

struct TableBuilder::Impl {
  static constexpr std::size_t kKeptProblems = 1000;

  std::shared_ptr<CompactTable> table = std::make_shared<CompactTable>();
  std::vector<Problem> problems;
  std::size_t errors = 0, unkept = 0;

  void report(Problem problem);
  void error(std::string_view file, std::uint32_t line, std::uint32_t column, std::string message) {
    report(Problem{true, std::string(file), line, column, std::move(message)});
  }
  void warning(std::string_view file, std::uint32_t line, std::uint32_t column,
               std::string message) {
    report(Problem{false, std::string(file), line, column, std::move(message)});
  }
  std::size_t problem_count() const { return problems.size() + unkept; }
  void begin_source(SourceDefaults defaults);
  void add_members(std::string_view wave, std::string_view file, std::string_view content);
  /// Checks and inserts; what is wrong is reported at the entry's place in `file`.
  void add(std::string_view file, const RawEntry& raw);
  void check_chains();
  void check_members();
  void report_split_people(const std::vector<CompactTable::SamePerson>& people);

 private:
  struct Part {
    std::string_view local_part;
    std::uint32_t domain = 0;
  };
  /// Who is in the members file of a wave.
  struct Member {
    std::uint32_t wave = 0, source = 0, line = 0;
    bool known = false;  // some source has this address
  };
  using Members = std::unordered_map<std::string, Member, TextHash, std::equal_to<>>;

  void add_member(const Member& member, std::string_view file, std::string_view text);
  bool take_address(std::string_view text, std::string_view what, mail::Mailbox& storage,
                    Part& part, std::string& complaint);
  /// The first target into `target`, the others into copies_.
  bool take_targets(const RawEntry& raw, Part& target, std::string& complaint);
  bool check_targets(const RawEntry& raw, const CompactTable::Record& record,
                     std::string& complaint);
  const Member* member(const CompactTable::Record& record);
  void report_duplicate(std::string_view file, const RawEntry& raw,
                        const CompactTable::Inserted& known, const CompactTable::Record& fresh);
  bool same_targets(const CompactTable::Record& known, const CompactTable::Record& fresh) const;
  void warn_of_pieces(std::string_view file, std::uint32_t line, std::uint32_t column);
  bool is_address(const CompactTable::Target& target);
  void check_chain(const CompactTable::Record& record, const CompactTable::Target& target);

  SourceDefaults defaults_;
  std::uint32_t default_wave_ = 0;
  std::uint32_t source_start_ = 0;  // in the arena: what lies below is of earlier sources
  Members members_;
  std::string lower_, key_;
  std::string_view decomposed_;  // of the entry at hand: an address that is not in NFC
  mail::Mailbox address_storage_;
  std::array<mail::Mailbox, kMaxTargets> target_storage_;
  std::vector<std::string_view> pieces_;  // of a target field
  std::vector<CompactTable::Target> copies_;
};

/// Adds the rows of a CSV file to a builder.
void add_csv_rows(TableBuilder::Impl& builder, std::string_view file_name,
                  std::string_view content);

/// The text of a source as UTF-8, in `storage` if it had to be decoded; nullopt: it is no text, and
/// the builder knows why.
std::optional<std::string_view> source_text(TableBuilder::Impl& builder, std::string_view file_name,
                                            std::string_view content, std::string& storage);

/// '#' is a letter of an address and begins a comment: one warning a file.
void warn_of_comments(TableBuilder::Impl& builder, std::string_view file, std::uint32_t line,
                      std::string_view first, std::size_t many);

/// "'...'" with what can't be seen made visible, cut at 120 octets.
std::string quoted_text(std::string_view text);

}  // namespace waypost::routing
