// Exports of Exchange and WorkMail as sources of the table: one entry for each address of a person.
#include "waypost/routing/exports.h"
#include "waypost/routing/unseen.h"

#include "routing/sources.h"

#include <unordered_set>

namespace waypost::routing {
namespace {

/// Which domains of a person's addresses become entries.
class Domains {
 public:
  explicit Domains(const Options& options) {
    for (const auto& own : options.own_domains) add(own_, own);
    for (const auto& alias : options.domain_aliases) add(own_, alias.alias);
    for (const auto& target : options.target_domains) add(targets_, target.domain);
  }
  bool is_own(const mail::Mailbox& address) const { return holds(own_, address); }
  bool is_target(const mail::Mailbox& address) const { return holds(targets_, address); }

 private:
  using Names = std::unordered_set<std::string>;
  static void add(Names& names, const std::string& domain) {
    if (auto normal = normalise_domain(domain)) names.insert(std::move(*normal));
  }
  static bool holds(const Names& names, const mail::Mailbox& address) {
    const auto normal = normalise_domain(address.domain);
    return normal && names.contains(*normal);
  }
  Names own_, targets_;
};

/// nullopt: it is no address, and `problems` says so.
std::optional<mail::Mailbox> take_address(const std::string& text, const SourcePlace& place,
                                          std::uint32_t column, std::vector<Problem>& problems) {
  auto parsed = read_address(text);
  if (parsed && !parsed->domain.empty()) return std::move(*parsed);
  problems.push_back(Problem{true, place.source, place.line, column,
                             "'" + shown_text(text) + "' is no mail address" +
                                 (parsed ? ": it has no domain" : ": " + parsed.error().message)});
  return std::nullopt;
}

void add_recipient(TableBuilder& builder, const ExchangeRecipient& recipient,
                   const Domains& domains, std::vector<Problem>& problems) {
  // Whose mailbox is still on Exchange has no target: Exchange keeps that mail itself.
  if (recipient.external.empty()) return;
  const auto target =
      take_address(recipient.external, recipient.place, recipient.external_column, problems);
  if (!target) return;
  for (const auto& text : recipient.addresses) {
    const auto address = take_address(text, recipient.place, recipient.primary_column, problems);
    // Mail for an address in a target domain has been rewritten already.
    if (!address || domains.is_target(*address)) continue;
    builder.add_entry(Entry{.address = *address,
                            .target = *target,
                            .state = recipient.state.value_or(EntryState::active),
                            .has_state = recipient.state.has_value(),
                            .wave = recipient.wave,
                            .copies = {},
                            .place = recipient.place});
  }
}

/// Own addresses of a WorkMail user; without any the one that the configuration supposes.
std::vector<mail::Mailbox> own_addresses(const WorkMailEntity& entity, const mail::Mailbox& email,
                                         const std::string& address_domain, const Domains& domains,
                                         std::vector<Problem>& problems) {
  std::vector<mail::Mailbox> out;
  if (domains.is_own(email) && !domains.is_target(email)) out.push_back(email);
  for (const auto& alias : entity.aliases) {
    auto address = take_address(alias, entity.place, 0, problems);
    if (address && domains.is_own(*address) && *address != email)
      out.push_back(std::move(*address));
  }
  if (out.empty() && !address_domain.empty()) out.push_back({email.local_part, address_domain});
  return out;
}

std::optional<std::vector<ExportFile>> read_all(const std::vector<std::string>& paths,
                                                std::vector<Problem>& problems) {
  std::vector<ExportFile> files;
  bool complete = true;
  for (const auto& path : paths) {
    auto content = read_source_file(path, problems);
    complete = complete && content;
    if (content) files.push_back({path, std::move(*content)});
  }
  if (!complete) return std::nullopt;
  return files;
}

/// Where WorkMail itself takes the mail. Its Email is in an own domain once that has become the
/// organisation's default; then an alias in a target domain. nullopt: none is known, or no address.
std::optional<mail::Mailbox> target_of(const WorkMailEntity& entity, const Domains& domains,
                                       std::vector<Problem>& problems) {
  auto email = take_address(entity.email, entity.place, 0, problems);
  if (!email || !domains.is_own(*email) || domains.is_target(*email)) return email;
  std::optional<mail::Mailbox> found;
  for (const auto& alias : entity.aliases) {
    auto address = take_address(alias, entity.place, 0, problems);
    if (!address || !domains.is_target(*address)) continue;
    const bool better = address->local_part == email->local_part;
    if (!found || better) found = std::move(address);
    if (better) break;
  }
  return found;
}

/// Who is left out of a source for one reason: the first by name.
class LeftOut {
 public:
  void add(const WorkMailEntity& entity) {
    if (count_++ == 0) first_ = &entity;
  }
  void tell(const std::string& why, const std::string& advice,
            std::vector<Problem>& problems) const {
    if (count_ == 0) return;
    problems.push_back(
        Problem{false, first_->place.source, first_->place.line, 0,
                "'" + shown_text(first_->email) + "' " + why + " and is left out" +
                    (count_ > 1 ? ", as are " + std::to_string(count_ - 1) + " more" : "") + "; " +
                    advice});
  }

 private:
  std::size_t count_ = 0;
  const WorkMailEntity* first_ = nullptr;
};

}  // namespace

void add_exchange_export(TableBuilder& builder, const TableSource& source, const Options& options,
                         std::vector<Problem>& problems) {
  const Domains domains(options);
  for (const auto& path : source.paths) {
    const auto content = read_source_file(path, problems);
    if (!content) continue;
    const auto read = read_exchange_export(path, *content);
    problems.insert(problems.end(), read.problems.begin(), read.problems.end());
    for (const auto& recipient : read.recipients)
      add_recipient(builder, recipient, domains, problems);
  }
}

void add_workmail_export(TableBuilder& builder, const TableSource& source, const Options& options,
                         std::vector<Problem>& problems) {
  const auto pages = read_all(source.paths, problems);
  const auto aliases = read_all(source.aliases, problems);
  if (!pages || !aliases) return;
  const Domains domains(options);
  const auto read = read_workmail_export(*pages, *aliases);
  problems.insert(problems.end(), read.problems.begin(), read.problems.end());
  LeftOut without_target, without_address;
  for (const auto& entity : read.entities) {
    if (!entity.usable()) continue;
    const auto email = mail::parse_mailbox(entity.email);
    const auto target = target_of(entity, domains, problems);
    if (!target || !email) {
      if (email) without_target.add(entity);
      continue;
    }
    const auto addresses = own_addresses(entity, *email, source.address_domain, domains, problems);
    if (addresses.empty()) without_address.add(entity);
    for (const auto& address : addresses)
      builder.add_entry(Entry{.address = address,
                              .target = *target,
                              .state = EntryState::active,
                              .has_state = false,
                              .wave = {},
                              .copies = {},
                              .place = entity.place});
  }
  without_address.tell("has no known alias in an own domain",
                       "give the outputs of list-aliases, or an address_domain", problems);
  without_target.tell(
      "is in an own domain, has no known alias in a target domain (mail would come back here)",
      "give the outputs of list-aliases", problems);
}

}  // namespace waypost::routing
