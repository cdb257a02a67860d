#include "routing/reconcile_people.h"

#include "waypost/routing/reconcile.h"

#include <algorithm>

namespace waypost::routing {
namespace {

std::string without_forbidden(std::string_view local_part) {
  std::string out;
  for (const char c : local_part)
    if (workmail_allows(std::string_view(&c, 1))) out += c;
  return out;
}

std::string normal_or_empty(std::string_view domain) {
  auto normal = normalise_domain(domain);
  return normal ? std::move(*normal) : std::string();
}

}  // namespace

std::string key_of(std::string_view address) {
  const auto parsed = mail::parse_mailbox(address);
  if (!parsed || parsed->domain.empty()) return {};
  auto key = normalise_key(*parsed);
  return key ? std::move(*key) : std::string();
}

std::string_view local_part_of(std::string_view key) {
  return key.substr(0, std::min(key.rfind('@'), key.size()));
}

std::string_view domain_of(std::string_view key) { return key.substr(key.rfind('@') + 1); }

bool workmail_allows(std::string_view local_part) {
  return !local_part.empty() && std::all_of(local_part.begin(), local_part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._%+-").find(c) != std::string_view::npos;
  });
}

People::People(const ExchangeExport& exchange, const WorkMailExport& workmail, const Router& router)
    : exchange_(exchange), workmail_(workmail), router_(router) {
  index_entities();
  index_recipients();
  index_domains(router.options());
  match_recipients();
}

void People::offer(const std::string& key, std::size_t entity) {
  const auto [known, fresh] = by_address_.try_emplace(key, entity);
  if (!fresh && !entities()[known->second].receives() && entities()[entity].receives())
    known->second = entity;
}

std::vector<std::string> People::keys_of(const WorkMailEntity& entity) const {
  std::vector<std::string> out;
  if (auto key = key_of(entity.email); !key.empty()) out.push_back(std::move(key));
  for (const auto& alias : entity.aliases)
    if (auto key = key_of(alias);
        !key.empty() && std::find(out.begin(), out.end(), key) == out.end())
      out.push_back(std::move(key));
  return out;
}

bool People::entity_has(const WorkMailEntity& entity, std::string_view key) const {
  const auto keys = keys_of(entity);
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

void People::index_entities() {
  for (std::size_t i = 0; i < entities().size(); ++i) {
    const auto& entity = entities()[i];
    for (const auto& key : keys_of(entity)) {
      offer(key, i);
      workmail_domains_.emplace(domain_of(key));
    }
    std::unordered_set<std::string> names = {mail::ascii_lower(entity.name),
                                             mail::ascii_lower(local_part_of(entity.email))};
    names.erase("");
    for (const auto& name : names) by_local_part_[name].push_back(i);
  }
}

void People::index_recipients() {
  for (std::size_t i = 0; i < recipients().size(); ++i)
    if (!by_recipient_address_.try_emplace(key_of(recipients()[i].primary), i).second)
      doubled_.push_back(i);
  // A primary address is its owner's, whoever else lists it.
  for (std::size_t i = 0; i < recipients().size(); ++i)
    for (const auto& address : recipients()[i].addresses)
      by_recipient_address_.try_emplace(key_of(address), i);
}

void People::index_domains(const Options& options) {
  for (const auto& domain : options.own_domains) own_domains_.insert(normal_or_empty(domain));
  for (const auto& alias : options.domain_aliases) {
    own_domains_.insert(normal_or_empty(alias.alias));
    alias_of_.emplace(normal_or_empty(alias.alias), normal_or_empty(alias.domain));
  }
  for (const auto& target : options.target_domains)
    target_domains_.insert(normal_or_empty(target.domain));
}

std::optional<std::size_t> People::entity_with(std::string_view key) const {
  const auto found = by_address_.find(std::string(key));
  if (found == by_address_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::size_t> People::only_one_named(const std::string& local_part) const {
  const auto found = by_local_part_.find(local_part);
  if (found == by_local_part_.end()) return std::nullopt;
  std::optional<std::size_t> usable;
  std::size_t usable_count = 0;
  for (const auto i : found->second)
    if (entities()[i].usable()) {
      usable = i;
      ++usable_count;
    }
  if (usable_count == 1) return usable;
  if (usable_count == 0 && found->second.size() == 1) return found->second.front();
  return std::nullopt;  // nobody can say who is meant
}

std::optional<Match> People::entity_like(std::string_view local_part) const {
  const auto lower = mail::ascii_lower(local_part);
  if (const auto found = only_one_named(lower)) return Match{*found, "the same local part"};
  const auto allowed = without_forbidden(lower);
  if (allowed == lower || allowed.empty()) return std::nullopt;
  if (const auto found = only_one_named(allowed))
    return Match{*found, "the same local part without what WorkMail does not allow"};
  return std::nullopt;
}

std::optional<std::size_t> People::recipient_with(std::string_view key) const {
  const auto found = by_recipient_address_.find(std::string(key));
  if (found == by_recipient_address_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::size_t> People::recipient_of(std::size_t entity) const {
  const auto found = recipient_of_.find(entity);
  if (found == recipient_of_.end()) return std::nullopt;
  return found->second;
}

std::optional<Match> People::strong_match(const ExchangeRecipient& recipient) const {
  if (const auto found = entity_with(key_of(recipient.external)))
    return Match{*found, "its ExternalEmailAddress"};
  if (const auto entry = entry_for(key_of(recipient.primary)))
    if (const auto found = entity_with(key_of(entry->target.to_string())))
      return Match{*found, "the table's target"};
  for (const auto& address : recipient.addresses)
    if (const auto found = entity_with(key_of(address))) return Match{*found, "an address of both"};
  return std::nullopt;
}

void People::match_recipients() {
  matches_.resize(recipients().size());
  for (std::size_t i = 0; i < recipients().size(); ++i) {
    matches_[i] = strong_match(recipients()[i]);
    if (matches_[i]) recipient_of_.try_emplace(matches_[i]->entity, i);
  }
  // A likeness counts only where nobody has a better claim.
  for (std::size_t i = 0; i < recipients().size(); ++i) {
    if (matches_[i]) continue;
    const auto like = entity_like(local_part_of(key_of(recipients()[i].primary)));
    if (like && recipient_of_.try_emplace(like->entity, i).second) matches_[i] = like;
  }
}

std::optional<Entry> People::entry_for(std::string_view key) const {
  if (key.empty()) return std::nullopt;
  if (auto entry = router_.table().find(key)) return entry;
  const auto alias = alias_of_.find(std::string(domain_of(key)));
  if (alias == alias_of_.end()) return std::nullopt;
  return router_.table().find(std::string(local_part_of(key)) + "@" + alias->second);
}

std::vector<AddressEntry> People::entries_of(const ExchangeRecipient& recipient) const {
  std::vector<AddressEntry> out;
  for (const auto& address : recipient.addresses)
    if (auto entry = entry_for(key_of(address))) out.push_back({address, std::move(*entry)});
  return out;
}

bool People::has_entry(const ExchangeRecipient& recipient) const {
  return std::any_of(recipient.addresses.begin(), recipient.addresses.end(),
                     [&](const auto& address) { return entry_for(key_of(address)).has_value(); });
}

bool People::is_own_domain(std::string_view domain) const {
  return own_domains_.contains(std::string(domain));
}

bool People::is_target_domain(std::string_view domain) const {
  return target_domains_.contains(std::string(domain));
}

bool People::is_workmail_domain(std::string_view domain) const {
  return domain.ends_with(".awsapps.com") || workmail_domains_.contains(std::string(domain)) ||
         (target_domains_.size() == 1 && is_target_domain(domain));
}

}  // namespace waypost::routing
