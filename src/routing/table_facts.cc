#include "waypost/routing/table_facts.h"

#include "waypost/base/counted.h"

#include <algorithm>

namespace waypost::routing {
namespace {

constexpr std::size_t kMostFindings = 1000;

std::string key_of(const mail::Mailbox& address) {
  auto key = normalise_key(address);
  return key ? std::move(*key) : std::string();
}

std::string domain_of(const mail::Mailbox& address) {
  auto domain = normalise_domain(address.domain);
  return domain ? std::move(*domain) : address.domain;
}

/// What WorkMail's API takes in a local part.
bool fits_workmail(std::string_view local_part) {
  return std::all_of(local_part.begin(), local_part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._%+-").find(c) != std::string_view::npos;
  });
}

bool has_target(const Entry& entry, std::string_view key) {
  return key_of(entry.target) == key ||
         std::any_of(entry.copies.begin(), entry.copies.end(),
                     [&](const mail::Mailbox& copy) { return key_of(copy) == key; });
}

}  // namespace

TableStats table_stats(const Router& router, WallTime at) {
  TableStats stats;
  stats.memory_octets = router.table().memory_octets();
  router.table().for_each([&](const Entry& entry) {
    ++stats.entries;
    if (!entry.copies.empty()) ++stats.with_copies;
    ++stats.by_source[entry.place.source];
    ++stats.by_state[std::string(to_string(router.state_of(entry, at)))];
    ++stats.by_wave[entry.wave];
    ++stats.by_domain[domain_of(entry.address)];
    ++stats.by_target_domain[domain_of(entry.target)];
  });
  return stats;
}

std::vector<Entry> entries_of_person(const Table& table, const mail::Mailbox& address) {
  const std::string asked = key_of(address);
  if (asked.empty()) return {};
  std::string target = asked;
  if (const auto own = table.find(asked)) target = key_of(own->target);
  std::vector<Entry> found;
  table.for_each([&](const Entry& entry) {
    if (key_of(entry.address) == asked || has_target(entry, target)) found.push_back(entry);
  });
  return found;
}

std::vector<Problem> lint(const Router& router) {
  std::vector<Problem> findings;
  const Table& table = router.table();
  std::map<std::string, std::string> canonical;  // alias domain -> own domain
  for (const auto& alias : router.options().domain_aliases) {
    auto from = normalise_domain(alias.alias);
    auto to = normalise_domain(alias.domain);
    if (from && to) canonical[*from] = *to;
  }
  const auto tell = [&](const Entry& entry, std::string message) {
    if (findings.size() < kMostFindings)
      findings.push_back(
          Problem{false, entry.place.source, entry.place.line, 0, std::move(message)});
  };
  table.for_each([&](const Entry& entry) {
    if (!fits_workmail(entry.target.local_part))
      tell(entry, "the target '" + entry.target.to_string() + "' of '" + entry.address.to_string() +
                      "' has a local part that WorkMail can't have ([a-zA-Z0-9._%+-] only); "
                      "correct the target if it is a WorkMail address");
    const auto alias = canonical.find(domain_of(entry.address));
    if (alias == canonical.end()) return;
    const auto key = key_of(entry.address);
    const auto behind = table.find(key.substr(0, key.rfind('@')) + "@" + alias->second);
    if (behind && key_of(behind->target) != key_of(entry.target))
      tell(entry, "'" + entry.address.to_string() + "' hides what the domain alias says: '" +
                      behind->address.to_string() + "' (" + behind->place.to_string() +
                      ") goes to '" + behind->target.to_string() + "', this one to '" +
                      entry.target.to_string() + "'; remove one if they are the same person");
  });
  return findings;
}

std::string summary_of(const TableStats& stats) {
  std::string out = counted(stats.entries, "entry", "entries");
  const char* joint = ": ";
  for (const auto* state : {"active", "migrating", "pending", "rolled_back"}) {
    const auto known = stats.by_state.find(state);
    if (known == stats.by_state.end()) continue;
    out += joint + std::to_string(known->second) + " " + state;
    joint = ", ";
  }
  const auto waves = stats.by_wave.size() - stats.by_wave.count("");
  if (waves > 0) out += " (" + counted(waves, "wave") + ")";
  return out;
}

std::optional<Problem> nowhere_to_wait(const TableStats& stats, const Options& options) {
  std::uint64_t waiting = 0;
  for (const auto* state : {"pending", "rolled_back"})
    if (const auto known = stats.by_state.find(state); known != stats.by_state.end())
      waiting += known->second;
  if (waiting == 0 || !options.pending_next_hop.empty()) return std::nullopt;
  return Problem{false,
                 {},
                 0,
                 0,
                 counted(waiting, "entry is", "entries are") +
                     " pending or rolled back, and there is no routing.pending_next_hop: their "
                     "mail gets 451 and waits at the sender; name the next hop of the old system"};
}

}  // namespace waypost::routing
