// What TableBuilder and its CSV source share: the table that is being filled, and its problems.
//
// Private to routing.
#pragma once

#include "waypost/routing/table.h"

#include "routing/compact_table.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// One row of a source, not yet checked. The views live during the call.
struct RawEntry {
  std::string_view address, target;
  EntryState state = EntryState::active;
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
  /// Checks and inserts; what is wrong is reported at the entry's place in `file`.
  void add(std::string_view file, const RawEntry& raw);
  void check_chains();

 private:
  struct Part {
    std::string_view local_part;
    std::uint32_t domain = 0;
  };
  bool take_address(std::string_view text, std::string_view what, mail::Mailbox& storage,
                    Part& part, std::string& complaint);
  void report_duplicate(std::string_view file, const RawEntry& raw,
                        const CompactTable::Record& known, const CompactTable::Record& fresh);
  std::string lower_, target_lower_;
  mail::Mailbox address_storage_, target_storage_;
};

/// Adds the rows of a CSV file to a builder.
void add_csv_rows(TableBuilder::Impl& builder, std::string_view file_name,
                  std::string_view content);

}  // namespace waypost::routing
