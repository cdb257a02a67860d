// Export-Csv of Exchange's recipients: which column is what, and what people get wrong.
#include "waypost/base/counted.h"
#include "waypost/base/spelling.h"
#include "waypost/routing/exports.h"
#include "waypost/routing/unseen.h"

#include "routing/csv_reader.h"
#include "routing/export_text.h"
#include "routing/proxy_addresses.h"
#include "routing/text_encoding.h"
#include "routing/unexpanded_list.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

namespace waypost::routing {
namespace {

enum Column : std::size_t {
  kPrimary,
  kExternal,
  kAddresses,
  kDisplayName,
  kName,
  kAlias,
  kTypeDetails,
  kType,
  kWave,
  kState,
  kColumnCount
};
constexpr std::array<std::string_view, kColumnCount> kColumns = {"PrimarySmtpAddress",
                                                                 "ExternalEmailAddress",
                                                                 "EmailAddresses",
                                                                 "DisplayName",
                                                                 "Name",
                                                                 "Alias",
                                                                 "RecipientTypeDetails",
                                                                 "RecipientType",
                                                                 "Wave",
                                                                 "State"};
constexpr std::array<std::string_view, 4> kStates = {"pending", "migrating", "active",
                                                     "rolled_back"};
constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);
constexpr std::size_t kMaxWave = 64;
constexpr std::size_t kDefaultResultSize = 1000;  // of Get-MailUser without -ResultSize

/// What makes an export as it is needed here.
constexpr std::string_view kExportCommand =
    "Get-MailUser -ResultSize Unlimited | Select-Object DisplayName,Alias,PrimarySmtpAddress,"
    "ExternalEmailAddress,RecipientTypeDetails,"
    "@{n='EmailAddresses';e={$_.EmailAddresses -join ';'}} | "
    "Export-Csv -NoTypeInformation -Encoding UTF8 mailusers.csv";

/// "PrimarySmtpAddress", "primary smtp address", "primary_smtp_address": all the same.
std::string folded(std::string_view text) {
  auto out = mail::ascii_lower(text);
  std::erase_if(out, [](char c) { return c == ' ' || c == '_' || c == '-'; });
  return out;
}

bool is_mailbox(std::string_view type) { return type.ends_with("Mailbox"); }

class ExchangeRows {
 public:
  ExchangeRows(std::string_view file, std::string_view text, Complaints& complaints)
      : file_(file),
        reader_(text, separator_of(text), CsvReader::Comments::above_first_row),
        complaints_(complaints) {}

  std::vector<ExchangeRecipient> read() {
    bool header_seen = false;
    while (reader_.next()) {
      if (const auto& defect = reader_.defect()) {
        complaints_.error(file_, defect->line, defect->column, defect->message);
        if (!header_seen) return {};
      } else if (!header_seen && is_separator_line()) {
        continue;
      } else if (!header_seen) {
        if (!header()) return {};
        header_seen = true;
      } else if (!row()) {
        return {};
      }
    }
    conclude(header_seen);
    return std::move(recipients_);
  }

 private:
  using Field = CsvReader::Field;

  /// Excel writes "sep=;" above the header.
  static char separator_of(std::string_view text) {
    if (text.size() > 4 && mail::ascii_lower(text.substr(0, 4)) == "sep=") return text[4];
    return CsvReader::detect_separator(text);
  }
  bool is_separator_line() const {
    return reader_.line() == 1 &&
           mail::ascii_lower(reader_.fields()[0].text.substr(0, 4)) == "sep=";
  }

  void error_at(const Field& field, std::string message) {
    complaints_.error(file_, field.line, reader_.column_of(field), std::move(message));
  }
  void warning_at(const Field& field, std::string message) {
    complaints_.warning(file_, field.line, reader_.column_of(field), std::move(message));
  }

  bool header() {
    const auto& fields = reader_.fields();
    index_.fill(kAbsent);
    width_ = fields.size();
    if (fields[0].text.starts_with("ClassId2e4f51ef21dd47e99d3c952918aff9cd")) {
      error_at(fields[0],
               "this is the output of Format-Table or Format-List, not of Exchange; leave that "
               "command out: " +
                   std::string(kExportCommand));
      return false;
    }
    std::vector<std::string_view> unknown;
    for (std::size_t i = 0; i < width_; ++i) {
      const auto column = column_named(fields[i].text);
      if (column == kColumnCount) {
        unknown.push_back(fields[i].text);
      } else if (index_[column] != kAbsent) {
        error_at(fields[i], "column '" + std::string(kColumns[column]) + "' is there twice");
        return false;
      } else {
        index_[column] = i;
      }
    }
    if (!none_misspelt(unknown) || !names_remote_routing()) return false;
    return require(kPrimary, unknown) && require(kAddresses, unknown) &&
           (index_[kTypeDetails] != kAbsent || index_[kType] != kAbsent ||
            require(kExternal, unknown));
  }

  /// "MigrationWave", "Wave Name", "NewState". Exchange itself exports ObjectState, ArchiveState
  /// and StateOrProvince, but nothing of waves.
  static bool is_longer(Column column, const std::string& name) {
    if (column == kWave) return name.find("wave") != std::string::npos;
    constexpr std::array<std::string_view, 6> kOurs = {
        "newstate", "mailboxstate", "migrationstate", "movestate", "userstate", "wavestate"};
    return std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
  }

  /// Without a misspelt Wave or State everybody below would be active.
  bool none_misspelt(const std::vector<std::string_view>& unknown) {
    for (const auto column : {kWave, kState}) {
      if (index_[column] != kAbsent) continue;
      const std::array wanted = {kColumns[column]};
      for (const auto& field : reader_.fields()) {
        const bool known = std::find(unknown.begin(), unknown.end(), field.text) == unknown.end();
        const auto name = folded(field.text);
        if (known || !(is_misspelt(name, wanted) || is_longer(column, name))) continue;
        error_at(field, "column " + quoted_excerpt(field.text) + " is not known; did you mean '" +
                            std::string(wanted[0]) +
                            "'? Correct it, or leave the column out if it is none of ours");
        return false;
      }
    }
    return true;
  }

  /// Get-RemoteMailbox has the address in the other system under another name.
  bool names_remote_routing() {
    if (index_[kExternal] != kAbsent) return true;
    for (const auto& field : reader_.fields()) {
      if (folded(field.text) != "remoteroutingaddress") continue;
      error_at(field,
               "this is an export of remote mailboxes: where their mail goes stands in "
               "'RemoteRoutingAddress', and the file has no column 'ExternalEmailAddress'; export "
               "it with: Get-RemoteMailbox -ResultSize Unlimited | Select-Object DisplayName,Alias,"
               "PrimarySmtpAddress,@{n='ExternalEmailAddress';e={$_.RemoteRoutingAddress}},"
               "RecipientTypeDetails,@{n='EmailAddresses';e={$_.EmailAddresses -join ';'}} | "
               "Export-Csv -NoTypeInformation -Encoding UTF8 mailusers.csv");
      return false;
    }
    return true;
  }

  static std::size_t column_named(std::string_view text) {
    const auto name = folded(text);
    for (std::size_t column = 0; column < kColumnCount; ++column)
      if (folded(kColumns[column]) == name) return column;
    return kColumnCount;
  }

  /// Names the header that was probably meant, and its place.
  bool require(Column column, const std::vector<std::string_view>& unknown) {
    if (index_[column] != kAbsent) return true;
    const auto& fields = reader_.fields();
    const auto near = nearest_word(kColumns[column], unknown);
    const Field* place = &fields[0];
    std::string message = "the header row has no column '" + std::string(kColumns[column]) + "'";
    if (!near.empty()) {
      for (const auto& field : fields)
        if (field.text == near) place = &field;
      message += "; did you mean it with " + quoted_excerpt(near) + "?";
    } else if (std::any_of(fields.begin(), fields.end(), [](const Field& field) {
                 return field.text.find('@') != std::string_view::npos;
               })) {
      message = "the first row is no header row: it holds addresses";
    }
    error_at(*place, message + " Export it with: " + std::string(kExportCommand));
    return false;
  }

  const Field* field(Column column) const {
    const auto i = index_[column];
    return i < reader_.fields().size() ? &reader_.fields()[i] : nullptr;
  }
  std::string_view text(Column column) const {
    const auto* found = field(column);
    return found == nullptr ? std::string_view() : found->text;
  }

  /// False: no sense in reading on.
  bool row() {
    ++rows_;
    last_row_ = reader_.line();
    const auto& fields = reader_.fields();
    if (fields.size() != width_) {
      error_at(fields[std::min(width_, fields.size() - 1)],
               "the row has " + counted(fields.size(), "column") + ", the header row " +
                   std::to_string(width_) +
                   "; a value that holds the separator stands in quotation marks");
      return true;
    }
    for (std::size_t column = 0; column < kColumnCount; ++column)
      if (const auto* cell = field(static_cast<Column>(column)); cell != nullptr)
        if (!is_written_out(*cell, static_cast<Column>(column))) return false;
    ExchangeRecipient recipient;
    recipient.place = {std::string(file_), reader_.line()};
    recipient.display_name = text(kDisplayName).empty() ? text(kName) : text(kDisplayName);
    recipient.alias = text(kAlias);
    recipient.type = text(kTypeDetails).empty() ? text(kType) : text(kTypeDetails);
    if (take_primary(recipient) && take_external(recipient) && take_wave(recipient) &&
        take_state(recipient)) {
      take_addresses(recipient);
      keep(std::move(recipient));
    }
    return true;
  }

  bool is_written_out(const Field& cell, Column column) {
    const auto defect = unexpanded_in(cell.text, column == kAddresses);
    if (defect == Unexpanded::nothing) return true;
    error_at(cell, std::string(kColumns[column]) +
                       (defect == Unexpanded::type_name
                            ? " holds the .NET type name " + quoted_excerpt(cell.text) +
                                  " instead of the data, because Export-Csv does not write "
                                  "lists out"
                            : " holds a list that has been cut off (a Format command does that), " +
                                  quoted_excerpt(cell.text)) +
                       "; export again with: " + std::string(kExportCommand));
    return false;
  }

  bool take_primary(ExchangeRecipient& recipient) {
    const auto& cell = *field(kPrimary);
    const auto address = one_proxy_address(cell.text);
    recipient.primary_column = reader_.column_of(cell);
    if (address.value.empty()) {
      warning_at(cell, "this row has no PrimarySmtpAddress and is left out");
      return false;
    }
    if (!is_address(address)) {
      error_at(cell, "the PrimarySmtpAddress " + quoted_excerpt(cell.text) + " " +
                         why_no_address(address.value));
      return false;
    }
    recipient.primary = address.value;
    return true;
  }

  bool take_external(ExchangeRecipient& recipient) {
    const auto* cell = field(kExternal);
    if (cell == nullptr) {
      if (is_mailbox(recipient.type)) return true;
      if (!external_missed_)
        complaints_.error(file_, reader_.line(), 1,
                          "this row is no mailbox but " + quoted_excerpt(recipient.type) +
                              ", and the file has no column 'ExternalEmailAddress'; export it "
                              "with: " +
                              std::string(kExportCommand));
      external_missed_ = true;
      return false;
    }
    recipient.external_column = reader_.column_of(*cell);
    const auto address = one_proxy_address(cell->text);
    if (address.value.empty()) {
      if (recipient.type == "MailUser")
        warning_at(*cell, "the mail user " + quoted_excerpt(recipient.primary) +
                              " has no ExternalEmailAddress: Exchange can't send mail on; set it "
                              "with Set-MailUser -ExternalEmailAddress");
      return true;
    }
    if (address.kind != ProxyAddress::Kind::smtp) {
      warning_at(*cell, "the ExternalEmailAddress " + quoted_excerpt(cell->text) +
                            " is not of type SMTP and is left out");
      return true;
    }
    if (!is_address(address)) {
      error_at(*cell, "the ExternalEmailAddress " + quoted_excerpt(cell->text) + " " +
                          why_no_address(address.value));
      return false;
    }
    recipient.external = address.value;
    return true;
  }

  bool take_wave(ExchangeRecipient& recipient) {
    const auto wave = text(kWave);
    const auto unseen = unseen_complaint(wave);
    if (!unseen.empty() || wave.size() > kMaxWave) {
      error_at(*field(kWave), unseen.empty()
                                  ? "the wave's name is longer than 64 octets"
                                  : "the wave's name " + quoted_excerpt(wave) + " " + unseen);
      return false;
    }
    recipient.wave = wave;
    return true;
  }

  bool take_state(ExchangeRecipient& recipient) {
    const auto state = text(kState);
    if (state.empty()) return true;
    const auto name = folded(state);
    for (std::size_t i = 0; i < kStates.size(); ++i)
      if (folded(kStates[i]) == name) recipient.state = static_cast<EntryState>(i);
    if (recipient.state) return true;
    error_at(*field(kState), "unknown state " + quoted_excerpt(state) + suggestion(state, kStates));
    return false;
  }

  void take_addresses(ExchangeRecipient& recipient) {
    std::unordered_set<std::string> known = {mail::ascii_lower(recipient.primary)};
    recipient.addresses.push_back(recipient.primary);
    const auto* cell = field(kAddresses);
    auto list = cell->text;
    if (list.starts_with('{') && list.ends_with('}')) list = list.substr(1, list.size() - 2);
    std::size_t readable = 0;
    const ProxyAddress* unreadable = nullptr;
    const auto all = split_proxy_addresses(list);
    for (const auto& address : all) {
      if (address.kind == ProxyAddress::Kind::x500) recipient.x500.emplace_back(address.value);
      if (address.kind != ProxyAddress::Kind::smtp) continue;
      if (!is_address(address)) {
        complain_of(*cell, recipient, address);
        unreadable = &address;
        continue;
      }
      ++readable;
      if (known.insert(mail::ascii_lower(address.value)).second)
        recipient.addresses.emplace_back(address.value);
    }
    if (readable == 0 && unreadable != nullptr)
      error_at(*cell, "no address in EmailAddresses of " + quoted_excerpt(recipient.primary) +
                          " can be read: all but the primary one would be lost");
  }

  /// One that is no address is left out, but not when it may be several, or looks right.
  void complain_of(const Field& cell, const ExchangeRecipient& recipient,
                   const ProxyAddress& address) {
    const auto what = quoted_excerpt(address.value) + " in EmailAddresses of " +
                      quoted_excerpt(recipient.primary) + " ";
    if (std::count(address.value.begin(), address.value.end(), '@') > 1)
      error_at(cell, what + "seems to be several addresses that are joined by " +
                         quoted_excerpt(joint_of(address.value)) +
                         "; join them by ';'. Export it with: " + std::string(kExportCommand));
    else if (first_unseen(address.value))
      error_at(cell, what + why_no_address(address.value));
    else
      warning_at(cell, what + "is no mail address and is left out");
  }

  /// What stands between two addresses: the first character that no domain has.
  static std::string_view joint_of(std::string_view value) {
    const auto domain = value.find('@') + 1;
    for (auto i = domain; i < value.size(); ++i) {
      const auto c = static_cast<unsigned char>(value[i]);
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
      if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-') return value.substr(i, 1);
    }
    return value.substr(domain, 0);
  }

  static std::string why_no_address(std::string_view value) {
    const auto unseen = unseen_complaint(value);
    return unseen.empty() ? "is no mail address" : unseen;
  }

  static bool is_address(const ProxyAddress& address) {
    if (address.kind != ProxyAddress::Kind::smtp) return false;
    const auto parsed = read_address(address.value);
    return parsed && !parsed->domain.empty() && normalise_key(*parsed);
  }

  void keep(ExchangeRecipient recipient) {
    const auto [known, fresh] =
        seen_.try_emplace(mail::ascii_lower(recipient.primary), recipients_.size());
    if (fresh) {
      recipients_.push_back(std::move(recipient));
      return;
    }
    const auto& before = recipients_[known->second];
    const bool same = mail::ascii_lower(before.external) == mail::ascii_lower(recipient.external);
    const auto message = quoted_excerpt(recipient.primary) + " is already at " +
                         before.place.to_string() +
                         (same ? "; this row is left out"
                               : " with the ExternalEmailAddress " +
                                     quoted_excerpt(before.external) + "; keep one of the two");
    if (same)
      complaints_.warning(file_, recipient.place.line, recipient.primary_column, message);
    else
      complaints_.error(file_, recipient.place.line, recipient.primary_column, message);
  }

  void conclude(bool header_seen) {
    if (!header_seen)
      complaints_.error(file_, 1, 1,
                        "the file is empty: the command found nobody, or its output went "
                        "elsewhere; export it with: " +
                            std::string(kExportCommand));
    else if (rows_ == 0)
      complaints_.warning(file_, 1, 1, "there is nobody below the header row");
    if (rows_ == kDefaultResultSize)
      complaints_.warning(file_, last_row_, 1,
                          "the file has exactly 1,000 rows, where Get-MailUser stops by itself; "
                          "export it again with -ResultSize Unlimited");
  }

  std::string_view file_;
  CsvReader reader_;
  Complaints& complaints_;
  std::array<std::size_t, kColumnCount> index_{};
  std::size_t width_ = 0, rows_ = 0;
  std::uint32_t last_row_ = 0;
  bool external_missed_ = false;
  std::vector<ExchangeRecipient> recipients_;
  std::unordered_map<std::string, std::size_t> seen_;
};

}  // namespace

ExchangeExport read_exchange_export(std::string_view file_name, std::string_view content) {
  ExchangeExport out;
  Complaints complaints;
  std::string storage;
  if (const auto text = export_text(file_name, content, storage, complaints)) {
    auto trouble = line_end_trouble(*text);
    if (trouble.line > 0) complaints.error(file_name, trouble.line, 1, std::move(trouble.message));
    if (!trouble.no_lines) out.recipients = ExchangeRows(file_name, *text, complaints).read();
  }
  out.problems = complaints.take();
  return out;
}

}  // namespace waypost::routing
