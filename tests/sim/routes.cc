#include "sim/routes.h"

#include <algorithm>
#include <cstdlib>

namespace waypost::sim {

using routing::EntryState;

Routes Routes::drawn(Chance& chance) {
  Routes routes;
  for (std::size_t user = 0; user < kUsers; ++user) {
    Row& row = routes.rows_[user];
    switch (user == 0 ? 9 : chance.below(10)) {  // somebody can always be written to
      case 0:
        break;
      case 1:
        row.state = EntryState::pending;
        break;
      case 2:
      case 3:
        row.state = EntryState::migrating;
        break;
      case 4:
        row.state = EntryState::rolled_back;
        break;
      default:
        row.state = EntryState::active;
    }
    if (chance.odds(0.3)) row.targets.push_back(row.next_target++);
    if (chance.odds(0.15)) row.targets.push_back(row.next_target++);
    if (chance.odds(0.15)) row.targets.push_back(kArchive);
  }
  if (chance.odds(0.6)) routes.pending_hop_ = "exchange";
  if (chance.odds(0.4)) routes.default_hop_ = "internet";
  routes.unknown_defers_ = chance.odds(0.3);
  return routes;
}

void Routes::change(Chance& chance) {
  for (Row& row : rows_) {
    if (!chance.odds(0.4)) continue;
    switch (chance.below(8)) {
      case 0:
        row.state.reset();
        break;
      case 1:
        row.state = EntryState::rolled_back;
        break;
      case 2:
        row.state = EntryState::pending;
        break;
      case 3:
        row.state = EntryState::migrating;
        break;
      case 4:
      case 5:
        row.state = EntryState::active;
        break;
      default:
        change_targets(chance, row);
    }
  }
}

/// One is corrected, comes, goes, or they change places.
void Routes::change_targets(Chance& chance, Row& row) {
  std::vector<unsigned>& all = row.targets;
  switch (chance.below(all.size() > 1 ? 6 : 2)) {
    case 0:
      all.front() = row.next_target++;
      return;
    case 1:
      if (all.size() < 4) all.insert(all.begin() + chance.below(all.size() + 1), row.next_target++);
      return;
    case 2:
      all.erase(all.begin());
      break;
    case 3:
      all.pop_back();
      break;
    default:
      std::swap(all[chance.below(all.size())], all[chance.below(all.size())]);
  }
  // Nobody's mailbox is the archive: what is written to it comes as copies.
  if (all.front() == kArchive) all.front() = row.next_target++;
}

void Routes::release_all() {
  for (Row& row : rows_) {
    if (row.state) row.state = EntryState::active;
  }
}

std::optional<Place> Routes::where(const mail::Mailbox& original) const {
  const auto all = places(original);
  if (all.empty()) return std::nullopt;
  return all.front();
}

std::vector<Place> Routes::places(const mail::Mailbox& original) const {
  if (lost_) return {};  // any address may stand in it
  if (original.domain == kTargetDomain) {
    for (std::size_t user = 0; user < kUsers; ++user) {
      if (rows_[user].state != EntryState::migrating) continue;
      for (const unsigned target : rows_[user].targets) {
        if (original.local_part == local_of(user, target)) return {};
      }
    }
  } else if (original.domain == kOwnDomain) {
    const std::size_t user = std::strtoul(original.local_part.c_str() + 1, nullptr, 10);
    if (rows_[user % kUsers].state == EntryState::migrating) return {};
  }
  return places_in_the_end(original);
}

std::vector<Place> Routes::places_in_the_end(const mail::Mailbox& original) const {
  if (lost_) return {};
  if (original.domain == kTargetDomain) return {{original, "workmail"}};
  if (original.domain != kOwnDomain) {
    if (default_hop_.empty()) return {};
    return {{original, default_hop_}};
  }
  const auto plus = std::min(original.local_part.find('+'), original.local_part.size());
  const std::size_t user = std::strtoul(original.local_part.c_str() + 1, nullptr, 10);
  const Row& row = rows_[user % kUsers];
  if (!row.state) return {};
  if (*row.state == EntryState::pending || *row.state == EntryState::rolled_back) {
    if (pending_hop_.empty()) return {};
    return {{original, pending_hop_}};
  }
  std::vector<Place> all;
  for (const unsigned target : row.targets)
    all.push_back(
        {{local_of(user % kUsers, target) + original.local_part.substr(plus), kTargetDomain},
         "workmail"});
  return all;
}

bool Routes::waits(const mail::Mailbox& original) const {
  if (lost_) return true;
  if (original.domain != kOwnDomain) return false;
  const std::size_t user = std::strtoul(original.local_part.c_str() + 1, nullptr, 10);
  const Row& row = rows_[user % kUsers];
  if (!row.state) return unknown_defers_;
  const bool not_yet = *row.state == EntryState::pending || *row.state == EntryState::rolled_back;
  return *row.state == EntryState::migrating || (not_yet && pending_hop_.empty());
}

std::shared_ptr<const routing::Router> Routes::router() const {
  routing::Options options;
  options.own_domains = {kOwnDomain};
  options.target_domains = {{kTargetDomain, "workmail"}};
  options.pending_next_hop = pending_hop_;
  options.default_next_hop = default_hop_;
  options.unknown =
      unknown_defers_ ? routing::UnknownPolicy::defer : routing::UnknownPolicy::refuse;
  routing::TableSource source;
  source.kind = routing::TableSource::Kind::inline_yaml;
  for (std::size_t user = 0; user < kUsers; ++user) {
    const Row& row = rows_[user];
    if (!row.state) continue;
    routing::Entry entry;
    entry.address = {"u" + std::to_string(user), kOwnDomain};
    entry.target = {local_of(user, row.targets.front()), kTargetDomain};
    for (std::size_t k = 1; k < row.targets.size(); ++k)
      entry.copies.push_back({local_of(user, row.targets[k]), kTargetDomain});
    entry.state = *row.state;
    entry.has_state = true;
    entry.place = {"table", static_cast<std::uint32_t>(user + 1)};
    source.entries.push_back(std::move(entry));
  }
  options.sources.push_back(std::move(source));
  if (lost_) return routing::Router::unavailable(options, "the table is lost");
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  WAYPOST_INVARIANT(router.has_value());
  return *router;
}

}  // namespace waypost::sim
