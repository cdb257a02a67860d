#include "sim/routes.h"

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
        ++row.target;
    }
  }
}

void Routes::release_all() {
  for (Row& row : rows_) {
    if (row.state) row.state = EntryState::active;
  }
}

std::optional<Place> Routes::where(const mail::Mailbox& original) const {
  if (lost_) return std::nullopt;  // any address may stand in it
  if (original.domain == kTargetDomain) {
    for (std::size_t user = 0; user < kUsers; ++user) {
      const bool meant = original.local_part == target_of(user, rows_[user]);
      if (meant && rows_[user].state == EntryState::migrating) return std::nullopt;
    }
    return Place{original, "workmail"};
  }
  if (original.domain != kOwnDomain) {
    if (default_hop_.empty()) return std::nullopt;
    return Place{original, default_hop_};
  }
  const auto plus = std::min(original.local_part.find('+'), original.local_part.size());
  const std::size_t user = std::strtoul(original.local_part.c_str() + 1, nullptr, 10);
  const Row& row = rows_[user % kUsers];
  if (!row.state || *row.state == EntryState::migrating) return std::nullopt;
  if (*row.state == EntryState::active) {
    const std::string local = target_of(user, row) + original.local_part.substr(plus);
    return Place{{local, kTargetDomain}, "workmail"};
  }
  if (pending_hop_.empty()) return std::nullopt;
  return Place{original, pending_hop_};
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
    source.entries.push_back({{"u" + std::to_string(user), kOwnDomain},
                              {target_of(user, row), kTargetDomain},
                              *row.state,
                              true,
                              "",
                              {},
                              {"table", static_cast<std::uint32_t>(user + 1)}});
  }
  options.sources.push_back(std::move(source));
  if (lost_) return routing::Router::unavailable(options, "the table is lost");
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  WAYPOST_INVARIANT(router.has_value());
  return *router;
}

}  // namespace waypost::sim
