#include "routing/mends.h"

#include "waypost/base/printable.h"

#include "routing/export_text.h"

#include <algorithm>
#include <array>

namespace waypost::routing {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("@%_+=:,./-").find(c) != std::string_view::npos;
}

/// A line is one line, whatever an export holds.
std::string on_one_line(std::string_view text) { return without_controls(text, ' '); }

/// At `text[at]` some spreadsheet ends a cell, and the next one would be a formula.
bool splits_before_formula(std::string_view text, std::size_t at) {
  constexpr std::string_view kSeparators = ",;|\t", kPassedOver = "\"' ", kFormula = "=+-@\t\r";
  if (kSeparators.find(text[at]) == std::string_view::npos) return false;
  const auto next = text.find_first_not_of(kPassedOver, at + 1);
  return next == std::string_view::npos || kFormula.find(text[next]) != std::string_view::npos;
}

bool splits_before_formula(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (splits_before_formula(text, i)) return true;
  return false;
}

std::string hexadecimal(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto octet = static_cast<unsigned char>(c);
  return {kDigits[octet >> 4], kDigits[octet & 15]};
}

/// "--alias bob@..."; "--alias=-bob@..." where the value would be taken for an option.
std::string option(std::string_view name, std::string_view value) {
  return " --" + std::string(name) + (value.starts_with('-') ? "=" : " ") + posix_quoted(value);
}

/// The AWS CLI itself puts a file's or a page's content in the place of such a value, whatever the
/// shell's quotes ("Loading a parameter from a file" in its user guide).
bool is_read_by_cli(std::string_view value) {
  const auto lower = mail::ascii_lower(value);
  return std::ranges::any_of(std::array{"file://", "fileb://", "http://", "https://"},
                             [&](const char* prefix) { return lower.starts_with(prefix); });
}

/// "entity-id" as the API calls it: "EntityId".
std::string api_name(std::string_view option_name) {
  std::string out;
  bool capital = true;
  for (const char c : option_name) {
    if (c != '-') out += capital ? static_cast<char>(c - 'a' + 'A') : c;
    capital = c == '-';
  }
  return out;
}

/// A value that would not come through a spreadsheet, a terminal and the AWS CLI as it is.
bool needs_json(std::string_view value) {
  const auto line = on_one_line(value);
  return is_read_by_cli(line) || splits_before_formula(line) || printable(line) != line;
}

std::string json_string(std::string_view text) {
  const auto line = on_one_line(text);
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (splits_before_formula(line, i)) {
      out += "\\u00" + hexadecimal(line[i]);
      continue;
    }
    if (line[i] == '"' || line[i] == '\\') out += '\\';
    out += line[i];
  }
  return "\"" + printable(out) + "\"";
}

std::string csv_field(std::string_view text) {
  const bool plain =
      !text.starts_with('#') && text.find_first_of(",;\t\" ") == std::string_view::npos;
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string_view domain_of(std::string_view address) {
  return address.substr(address.rfind('@') + 1);
}

}  // namespace

std::string posix_quoted(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
  std::string out = "'";
  for (const char c : on_one_line(text))
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string powershell_quoted(std::string_view text) {
  // PowerShell takes U+2018 to U+201B for the ASCII quote (about_Quoting_Rules).
  std::string out = "'";
  const auto line = on_one_line(text);
  bool joined = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto rest = std::string_view(line).substr(i);
    if (splits_before_formula(line, i)) {
      out += "' + [char]0x" + hexadecimal(rest[0]) + " + '";
      joined = true;
    } else if (rest[0] == '\'') {
      out += "''";
    } else if (rest.size() >= 3 && rest[0] == '\xE2' && rest[1] == '\x80' && rest[2] >= '\x98' &&
               rest[2] <= '\x9B') {
      out.append(rest.substr(0, 3)).append(rest.substr(0, 3));
      i += 2;
    } else {
      out += rest[0];
    }
  }
  out += "'";
  return joined ? "(" + out + ")" : out;
}

bool cells_begin_formula(std::string_view text) {
  // The front is as what stands behind a separator.
  return !text.empty() && splits_before_formula(";" + std::string(text));
}

std::string_view to_string(Mend::Where where) {
  switch (where) {
    case Mend::Where::nowhere:
      return "";
    case Mend::Where::powershell:
      return "powershell";
    case Mend::Where::aws:
      return "aws";
    case Mend::Where::table:
      return "table";
  }
  return "";
}

std::string Mends::aws(std::string_view command, const Parameters& parameters) const {
  Parameters all = {{"organization-id", organisation_}};
  all.insert(all.end(), parameters.begin(), parameters.end());
  std::string out = "aws workmail " + std::string(command);
  if (std::ranges::none_of(all, [](const auto& one) { return needs_json(one.second); })) {
    for (const auto& [name, value] : all) out += option(name, value);
    return out;
  }
  // Values inside of JSON are taken as they stand.
  std::string json;
  for (const auto& [name, value] : all)
    json += (json.empty() ? "{\"" : ", \"") + api_name(name) + "\": " + json_string(value);
  return out + option("cli-input-json", json + "}");
}

Mend Mends::register_user(std::string_view entity_id, std::string_view email) const {
  return {Mend::Where::aws,
          aws("register-to-work-mail", {{"entity-id", entity_id}, {"email", email}}),
          {}};
}

Mend Mends::create_alias(std::string_view entity_id, std::string_view alias) const {
  return {Mend::Where::aws, aws("create-alias", {{"entity-id", entity_id}, {"alias", alias}}),
          std::string(domain_of(alias)) + " must be a domain of the WorkMail organisation"};
}

Mend Mends::create_user(std::string_view display_name, std::string_view email) const {
  const auto name = email.substr(0, email.rfind('@'));
  const auto create =
      aws("create-user",
          {{"name", name}, {"display-name", display_name.empty() ? name : display_name}}) +
      " --query UserId --output text";
  // The new user's id comes from the first command: this one can't be JSON as a whole.
  return {Mend::Where::aws,
          "aws workmail register-to-work-mail" + option("organization-id", organisation_) +
              " --entity-id \"$(" + create + ")\"" + option("email", email),
          "with a directory that WorkMail reads (AD Connector), create the user there instead and "
          "wait for the synchronisation"};
}

Mend Mends::describe_user(std::string_view entity_id) const {
  return {Mend::Where::aws, aws("describe-user", {{"user-id", entity_id}}), {}};
}

Mend Mends::set_external(std::string_view identity, std::string_view target) {
  return {Mend::Where::powershell,
          "Set-MailUser -Identity " + powershell_quoted(identity) + " -ExternalEmailAddress " +
              powershell_quoted("SMTP:" + std::string(target)),
          {}};
}

Mend Mends::mailbox_to_mail_user(const ExchangeRecipient& recipient, std::string_view target) {
  // After Disable-Mailbox nothing but the directory's own name finds the person; what pointed at
  // the mailbox inside Exchange (its LegacyExchangeDN) must stay an address, or replies to old mail
  // fail.
  std::string addresses;
  for (std::size_t i = 1; i < recipient.addresses.size(); ++i)
    addresses += powershell_quoted("smtp:" + recipient.addresses[i]) + ",";
  for (const auto& x500 : recipient.x500) addresses += powershell_quoted("X500:" + x500) + ",";
  const std::string warning = "DESTROYS the Exchange mailbox; migrate its data first";
  const std::string caution =
      "Disable-Mailbox takes the mailbox of " + recipient.primary +
      " away and Exchange deletes it for good when its retention time is over; migrate its data "
      "first, and do it after the last chance to roll back";
  return {Mend::Where::powershell,
          "<# " + warning + " #> $m = Get-Mailbox -Identity " +
              powershell_quoted(recipient.primary) +
              "; Disable-Mailbox -Identity $m.DistinguishedName; Enable-MailUser -Identity "
              "$m.DistinguishedName -PrimarySmtpAddress " +
              powershell_quoted(recipient.primary) + " -ExternalEmailAddress " +
              powershell_quoted("SMTP:" + std::string(target)) +
              "; Set-MailUser -Identity $m.DistinguishedName -EmailAddresses @{Add=" + addresses +
              "('X500:' + $m.LegacyExchangeDN)}",
          caution};
}

Mend Mends::table_row(std::string_view address, std::string_view target, std::string_view state,
                      std::string_view wave) {
  std::string line = csv_field(address) + "," + csv_field(target);
  if (!state.empty() || !wave.empty()) line += "," + csv_field(state);
  if (!wave.empty()) line += "," + csv_field(wave);
  return {Mend::Where::table, on_one_line(line), {}};
}

}  // namespace waypost::routing
