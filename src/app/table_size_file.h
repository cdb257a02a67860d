// How large the table was when it was good last: kept beside the spool, so that a start, and a
// command without a daemon, can tell a table that has shrunk.
#pragma once

#include "waypost/config/config.h"
#include "waypost/routing/table_facts.h"

#include <optional>
#include <string>
#include <string_view>

namespace waypost::app {

/// Where a daemon keeps it.
std::string table_size_path(const config::Config& config);

struct KeptTableSize {
  std::optional<routing::TableSize> size;
  std::string trouble;           // it is there and can't be used: why
  bool may_not_be_read = false;  // by this user; then it is no trouble
};
KeptTableSize read_table_size(const std::string& path);

/// Why a start would not take this table; empty: it would.
std::string refusal_at_start(const KeptTableSize& kept, const routing::TableSize& now,
                             const routing::Router& router);

/// Stands before it where a command says it.
inline constexpr std::string_view kNotTaken =
    "neither a reload nor a restart would take this table, and after a restart every address gets "
    "451 4.3.0: ";

/// The sentence and what to do about it.
std::string confirm_hint(const std::string& suspicion);
/// Nothing can be compared.
std::string unknown_size(const std::string& trouble);

}  // namespace waypost::app
