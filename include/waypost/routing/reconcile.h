// Exchange against WorkMail against the table: who would lose mail, and the line that mends it.
//
// Pure: no I/O, no clock but the time that it is given; any thread. Nothing is changed by it. It
// reads what both systems exported and what the router decides, and tells each difference once,
// with the places that disagree. docs/reconcile.md says what each kind means.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/routing/exports.h"
#include "waypost/routing/router.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// In the order of urgency: first what loses mail now.
enum class FindingKind : std::uint8_t {
  no_workmail_user,           // routed to an address that no usable WorkMail user has
  workmail_disabled,          // ... that a user has who is DISABLED
  workmail_deleted,           // ... DELETED
  workmail_not_a_mailbox,     // ... a SYSTEM_USER or REMOTE_USER
  local_part_not_allowed,     // WorkMail can't have this local part, and no entry maps it
  still_mailbox,              // routed as active, but Exchange still delivers to its own mailbox
  external_differs,           // Exchange's ExternalEmailAddress is not the table's target
  alias_missing_in_table,     // an own address of a routed person that the table does not know
  not_routed,                 // a usable WorkMail user who is in no table
  alias_missing_in_workmail,  // Exchange has the address, the WorkMail user has not
};
inline constexpr std::array<std::string_view, 10> kFindingKinds = {
    "no_workmail_user",         "workmail_disabled",      "workmail_deleted",
    "workmail_not_a_mailbox",   "local_part_not_allowed", "still_mailbox",
    "external_differs",         "alias_missing_in_table", "not_routed",
    "alias_missing_in_workmail"};
std::string_view to_string(FindingKind kind);

/// A line to be read, then run by a person.
struct Mend {
  enum class Where : std::uint8_t { nowhere, powershell, aws, table };
  Where where = Where::nowhere;  // nowhere: there is no line that would do; see the details
  /// One line, quoted for its shell; table: for the CSV file. Where a value would make
  /// cells_begin_formula() true of an `aws` or PowerShell line it is written by escapes.
  std::string line;
  std::string caution;  // what to know before; always there if it destroys something
};
std::string_view to_string(Mend::Where where);

struct Finding {
  FindingKind kind = FindingKind::no_workmail_user;
  std::string person;   // the primary address, as far as it is known
  std::string details;  // one sentence; no control characters
  std::vector<SourcePlace> places;
  Mend mend;
};

inline constexpr std::string_view kUnknownOrganisation = "m-ORGANISATION-ID";

struct ReconcileOptions {
  std::string organisation = std::string(kUnknownOrganisation);  // in the lines for the AWS CLI
  /// Not empty: only the people of these waves, as if the waves were active.
  std::vector<std::string> waves;
  WallTime at{};
};

struct Reconciliation {
  std::vector<Finding> findings;  // by kind, then person
  std::vector<Problem> notes;     // warnings: what could not be judged, and what is needed for it
  std::size_t people = 0;         // Exchange recipients that were looked at
  std::size_t entities = 0;       // WorkMail users
  std::size_t targets = 0;        // of the table and of Exchange's mail users
};

/// People are matched by Exchange's ExternalEmailAddress, else by the table's target of their
/// primary address, else by an address that both sides have, else by the same local part; details
/// say which when it matters.
Reconciliation reconcile(const ExchangeExport& exchange, const WorkMailExport& workmail,
                         const Router& router, const ReconcileOptions& options);

/// [a-zA-Z0-9._%+-]: what WorkMail's API takes before the '@'.
bool workmail_allows(std::string_view local_part);

/// True: some spreadsheet would find the beginning of a formula in `text`, at its front or behind
/// what that spreadsheet takes for the end of a cell (Excel's separator is ';' in much of Europe).
/// Quotes and blanks between do not matter. What ends with such a separator counts as well: nobody
/// knows what comes behind it.
bool cells_begin_formula(std::string_view text);

/// For a POSIX shell: as it is, or in single quotes.
std::string posix_quoted(std::string_view text);
/// For PowerShell: in single quotes, with every kind of single quote that it knows doubled; what
/// splits a cell before a formula as a code, in parentheses: ('x' + [char]0x3b + '=1').
std::string powershell_quoted(std::string_view text);

}  // namespace waypost::routing
