// What Exchange and WorkMail export, read as they write it: people, their addresses, their states.
//
// Pure, any thread. The readers take whatever the two systems and the shells around them produce
// (BOM, UTF-16, #TYPE, joined addresses, pages); what can't be used is a Problem with its place.
// They feed the routing table (as sources) and `waypost reconcile`.
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
  std::vector<std::string> addresses;  // all SMTP ones, the primary first, no duplicates
  std::vector<std::string> x500;       // without prefix
  std::string type;                    // RecipientTypeDetails: "MailUser", "UserMailbox"; may be empty
  std::string wave;                    // of a column Wave; empty: none
  std::optional<EntryState> state;     // of a column State
  SourcePlace place;
  std::uint32_t primary_column = 0, external_column = 0;
};

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
  SourcePlace place;

  /// State ENABLED, role USER or RESOURCE, and an email.
  bool usable() const;
};

struct ExportFile {
  std::string name, content;
};

struct WorkMailExport {
  std::vector<WorkMailEntity> entities;
  std::vector<Problem> problems;
};
/// `users`: pages of list-users in any order; a missing last page (a NextToken that nothing follows)
/// is an error. `aliases`: outputs of list-aliases, each of one entity, which is found by its email.
WorkMailExport read_workmail_export(const std::vector<ExportFile>& users,
                                    const std::vector<ExportFile>& aliases);

}  // namespace waypost::routing
