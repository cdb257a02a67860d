// What reconcile found, as a table for people, as CSV for spreadsheets, as JSON for programs.
#pragma once

#include "waypost/routing/reconcile.h"

#include <string>
#include <vector>

namespace waypost::app {

/// "3 findings: 1 workmail_disabled, 2 not_routed"; names the placeholder if a line holds it.
std::string summarise(const routing::Reconciliation& result);

std::string as_table(const routing::Reconciliation& result);
/// RFC 4180, every field in quotation marks. An apostrophe stands before what a spreadsheet would
/// take for a formula, but never in a line to be run: that is as the others print it, or left out.
std::string as_csv(const routing::Reconciliation& result);
/// One document: findings, counts by kind, notes, and how many were looked at.
std::string as_json(const routing::Reconciliation& result);

}  // namespace waypost::app
