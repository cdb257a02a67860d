// The lines that mend what reconcile finds: PowerShell, AWS CLI, rows of a table.
//
// Private to routing. Pure. Everything that comes from an export is quoted; a line that destroys a
// mailbox says so in the line itself and in `caution`.
#pragma once

#include "waypost/routing/reconcile.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waypost::routing {

class Mends {
 public:
  explicit Mends(std::string organisation) : organisation_(std::move(organisation)) {}

  Mend register_user(std::string_view entity_id, std::string_view email) const;
  Mend create_alias(std::string_view entity_id, std::string_view alias) const;
  Mend create_user(std::string_view display_name, std::string_view email) const;
  Mend describe_user(std::string_view entity_id) const;
  static Mend set_external(std::string_view identity, std::string_view target);
  /// Disable-Mailbox, then Enable-MailUser with the addresses that the mailbox had.
  static Mend mailbox_to_mail_user(const ExchangeRecipient& recipient, std::string_view target);
  static Mend table_row(std::string_view address, std::string_view target, std::string_view state,
                        std::string_view wave);

 private:
  /// Name as the command line has it ("entity-id"), value as it is.
  using Parameters = std::vector<std::pair<std::string_view, std::string_view>>;
  std::string aws(std::string_view command, const Parameters& parameters) const;

  std::string organisation_;
};

}  // namespace waypost::routing
