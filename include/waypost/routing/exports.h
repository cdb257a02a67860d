// What Exchange and WorkMail export, read as they write it: people, their addresses, their states.
//
// Pure, any thread. The readers take whatever the two systems and the shells around them produce
// (BOM, UTF-16, #TYPE, joined addresses, pages); what can't be used is a Problem with its place.
// With an error among the problems the rest is incomplete and only good for further complaints.
// They feed the routing table (as sources) and `waypost reconcile`. docs/reconcile.md describes the
// files.
#pragma once

#include "waypost/routing/table.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// One row of Get-MailUser, Get-Mailbox, Get-Recipient ... | Export-Csv.
struct ExchangeRecipient {
  std::string display_name, alias;
  std::string primary;                 // PrimarySmtpAddress, without prefix
  std::string external;                // ExternalEmailAddress, without prefix; empty: none
  std::vector<std::string> addresses;  // all SMTP ones, the primary first, no duplicates; what
                                       // is no mail address is left out with a warning
  std::vector<std::string> x500;       // without prefix
  std::string type;                 // RecipientTypeDetails: "MailUser", "UserMailbox"; may be empty
  std::string wave;                 // of a column Wave; empty: none
  std::optional<EntryState> state;  // of a column State
  SourcePlace place;
  std::uint32_t primary_column = 0, external_column = 0;
};

/// Needed columns: PrimarySmtpAddress, EmailAddresses, and ExternalEmailAddress unless all rows are
/// mailboxes. In any order and letter case; Name or DisplayName, Alias, RecipientTypeDetails (or
/// RecipientType), Wave and State are used when they are there, others ignored.
struct ExchangeExport {
  std::vector<ExchangeRecipient> recipients;
  std::vector<Problem> problems;
};
ExchangeExport read_exchange_export(std::string_view file_name, std::string_view content);

/// One of Users[] of `aws workmail list-users`, with the aliases that are known of it.
struct WorkMailEntity {
  std::string id, name, display_name, email;  // email may be empty
  std::string state;                          // ENABLED, DISABLED, DELETED
  std::string role;                           // USER, RESOURCE, SYSTEM_USER, REMOTE_USER
  std::vector<std::string> aliases;           // of list-aliases; the email is among them mostly
  bool aliases_known = false;                 // a list-aliases output was of this one
  SourcePlace place;                          // where its object begins

  /// State ENABLED, role USER or RESOURCE: it receives at each address that is known of it.
  bool receives() const;
  /// It receives, and its email is known.
  bool usable() const;
};

struct ExportFile {
  std::string name, content;
};

struct WorkMailExport {
  std::vector<WorkMailEntity> entities;
  std::vector<Problem> problems;
};
/// `users`: pages of list-users in any order; a missing last page (a NextToken that nothing
/// follows) is an error. `aliases`: outputs of list-aliases, each of one entity, which is found by
/// its email.
WorkMailExport read_workmail_export(const std::vector<ExportFile>& users,
                                    const std::vector<ExportFile>& aliases);

}  // namespace waypost::routing
