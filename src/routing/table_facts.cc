#include "waypost/routing/table_facts.h"

#include <boost/json.hpp>

#include <algorithm>

namespace waypost::routing {
namespace {

namespace json = boost::json;
constexpr std::uint64_t kAlwaysAllowed = 10;
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

std::string percent(double share) {
  auto text = std::to_string(share * 100);
  text.resize(std::min(text.size(), text.find('.') + 2));
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text + " %";
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

TableSize size_of(const Table& table) {
  TableSize size;
  table.for_each([&](const Entry& entry) {
    ++size.entries;
    ++size.by_source[entry.place.source];
  });
  return size;
}

std::string TableSize::to_json() const {
  json::object sources;
  for (const auto& [source, count] : by_source) sources[source] = count;
  return json::serialize(json::object{{"entries", entries}, {"sources", std::move(sources)}});
}

Result<TableSize> TableSize::from_json(std::string_view text) {
  const auto nonsense = [] { return fail(ErrorKind::corrupt, "it holds no table size"); };
  boost::system::error_code error;
  const auto value = json::parse({text.data(), text.size()}, error);
  if (error || !value.is_object()) return nonsense();
  TableSize size;
  const auto number = [](const json::value& one) -> std::optional<std::uint64_t> {
    if (!one.is_int64() || one.as_int64() < 0) return std::nullopt;
    return static_cast<std::uint64_t>(one.as_int64());
  };
  const auto* entries = value.as_object().if_contains("entries");
  const auto* sources = value.as_object().if_contains("sources");
  if (entries == nullptr || sources == nullptr || !sources->is_object() || !number(*entries))
    return nonsense();
  size.entries = *number(*entries);
  for (const auto& [source, count] : sources->as_object()) {
    if (!number(count)) return nonsense();
    size.by_source[std::string(source)] = *number(count);
  }
  return size;
}

std::optional<std::string> suspicious_shrink(const TableSize& before, const TableSize& after,
                                             std::uint64_t removed, const Options& options) {
  for (const auto& [source, count] : before.by_source) {
    const auto now = after.by_source.find(source);
    if (count == 0 || (now != after.by_source.end() && now->second > 0)) continue;
    const bool still_a_source = std::any_of(
        options.sources.begin(), options.sources.end(), [&name = source](const TableSource& one) {
          return std::find(one.paths.begin(), one.paths.end(), name) != one.paths.end();
        });
    if (still_a_source)
      return "'" + source + "' is suddenly empty: " + std::to_string(count) +
             (count == 1 ? " entry" : " entries") + " came from it before";
  }
  if (removed <= kAlwaysAllowed || before.entries == 0) return std::nullopt;
  const double share = static_cast<double>(removed) / static_cast<double>(before.entries);
  if (share <= options.most_removed) return std::nullopt;
  return std::to_string(removed) + " of " + std::to_string(before.entries) + " entries are gone (" +
         percent(share) + "; routing.most_removed allows " + percent(options.most_removed) + ")";
}

}  // namespace waypost::routing
