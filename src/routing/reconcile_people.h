// One person, three views: who on Exchange is who in WorkMail and in the table.
//
// Private to routing. Holds references to what it is made of; immutable once made; look-ups by
// normalised address.
#pragma once

#include "waypost/routing/exports.h"
#include "waypost/routing/router.h"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace waypost::routing {

/// The normalised key of an address as text; empty: it can't be one.
std::string key_of(std::string_view address);
std::string_view local_part_of(std::string_view key);
std::string_view domain_of(std::string_view key);

struct Match {
  std::size_t entity = 0;
  std::string_view by;  // "its ExternalEmailAddress", ...
};

/// One address of a person and the entry that decides for it.
struct AddressEntry {
  std::string address;
  Entry entry;
};

class People {
 public:
  People(const ExchangeExport& exchange, const WorkMailExport& workmail, const Router& router);

  const std::vector<ExchangeRecipient>& recipients() const { return exchange_.recipients; }
  const std::vector<WorkMailEntity>& entities() const { return workmail_.entities; }

  /// A usable one if several have the address.
  std::optional<std::size_t> entity_with(std::string_view key) const;
  /// The only one, or the only usable one, with this local part in its Email or as its Name, also
  /// after taking out what WorkMail does not allow.
  std::optional<Match> entity_like(std::string_view local_part) const;
  std::optional<std::size_t> recipient_with(std::string_view key) const;
  const std::optional<Match>& match_of(std::size_t recipient) const { return matches_[recipient]; }
  std::optional<std::size_t> recipient_of(std::size_t entity) const;
  std::vector<std::string> keys_of(const WorkMailEntity& entity) const;
  bool entity_has(const WorkMailEntity& entity, std::string_view key) const;

  /// The entry that decides for an address, directly or by its domain's alias.
  std::optional<Entry> entry_for(std::string_view key) const;
  /// Of all its addresses that have one, the primary's first.
  std::vector<AddressEntry> entries_of(const ExchangeRecipient& recipient) const;
  bool has_entry(const ExchangeRecipient& recipient) const;
  bool is_own_domain(std::string_view domain) const;
  bool is_target_domain(std::string_view domain) const;
  /// WorkMail's export can tell who exists in this domain.
  bool is_workmail_domain(std::string_view domain) const;
  /// Recipients whose primary an earlier one has already.
  const std::vector<std::size_t>& doubled() const { return doubled_; }

 private:
  using Index = std::unordered_map<std::string, std::size_t>;
  void index_entities();
  void index_recipients();
  void index_domains(const Options& options);
  std::optional<Match> strong_match(const ExchangeRecipient& recipient) const;
  void match_recipients();
  void offer(const std::string& key, std::size_t entity);
  std::optional<std::size_t> only_one_named(const std::string& local_part) const;

  const ExchangeExport& exchange_;
  const WorkMailExport& workmail_;
  const Router& router_;
  Index by_address_, by_recipient_address_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_local_part_;
  std::vector<std::optional<Match>> matches_;
  std::unordered_map<std::size_t, std::size_t> recipient_of_;
  std::vector<std::size_t> doubled_;
  std::unordered_set<std::string> own_domains_, target_domains_, workmail_domains_;
  std::unordered_map<std::string, std::string> alias_of_;
};

}  // namespace waypost::routing
