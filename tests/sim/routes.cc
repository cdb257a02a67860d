#include "sim/routes.h"

#include <algorithm>
#include <cstdlib>

namespace waypost::sim {
namespace {

EntryState drawn_state(Chance& chance) {
  constexpr EntryState kStates[] = {EntryState::pending,   EntryState::migrating,
                                    EntryState::migrating, EntryState::rolled_back,
                                    EntryState::active,    EntryState::active};
  return kStates[chance.below(6)];
}

bool is_old_way(EntryState state) {
  return state == EntryState::pending || state == EntryState::rolled_back;
}

}  // namespace

std::string Routes::drawn_wave(Chance& chance) { return kWaves[chance.below(kWaves.size())]; }

Routes Routes::drawn(Chance& chance, WallTime clock) {
  Routes routes;
  for (std::size_t user = 0; user < kUsers; ++user) {
    Row& row = routes.rows_[user];
    if (user == 0) {  // somebody can always be written to
      row.own = EntryState::active;
    } else {
      row.present = chance.odds(0.9);
      change_state(chance, row);
    }
    if (chance.odds(0.3)) row.targets.push_back(row.next_target++);
    if (chance.odds(0.15)) row.targets.push_back(row.next_target++);
    if (chance.odds(0.15)) row.targets.push_back(kArchive);
  }
  for (const char* wave : kWaves) {
    if (chance.odds(0.7)) routes.file_[wave] = WaveFile::drawn(chance, clock);
  }
  if (chance.odds(0.6)) routes.pending_hop_ = "exchange";
  if (chance.odds(0.4)) routes.default_hop_ = "internet";
  routes.unknown_defers_ = chance.odds(0.3);
  return routes;
}

/// What the entry says of where its person is: a state, a wave, both or nothing.
void Routes::change_state(Chance& chance, Row& row) {
  row.own.reset();
  row.wave.clear();
  row.other_wave.clear();
  if (chance.odds(0.4)) row.own = drawn_state(chance);
  if (!row.own || chance.odds(0.3)) {
    row.wave = drawn_wave(chance);
    row.other_wave = chance.odds(0.3) ? drawn_wave(chance) : row.wave;
  }
  if (chance.odds(0.1)) row.own.reset();
  row.other = chance.odds(0.3);
}

void Routes::change(Chance& chance, WallTime clock) {
  for (Row& row : rows_) {
    if (!chance.odds(0.4)) continue;
    switch (chance.below(8)) {
      case 0:
        row.present = false;
        break;
      case 1:
      case 2:
        row.present = true;
        row.own = drawn_state(chance);
        break;
      case 3:
      case 4:
      case 5:
        row.present = true;
        change_state(chance, row);
        break;
      default:
        change_targets(chance, row);
    }
  }
  for (const char* wave : kWaves) {
    if (!chance.odds(0.3)) continue;
    file_.erase(wave);
    if (chance.odds(0.8)) file_[wave] = WaveFile::drawn(chance, clock);
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
    if (row.own) row.own = EntryState::active;
  }
}

Routes Routes::at(Standing standing) const {
  Routes then = *this;
  then.standing_ = std::move(standing);
  return then;
}

std::string Routes::address_of(std::size_t user, bool other) {
  return (other ? "a" : "u") + std::to_string(user) + "@" + kOwnDomain;
}

std::vector<std::string> Routes::person_of(const std::string& address) const {
  for (std::size_t user = 0; user < kUsers && !lost_; ++user) {
    const Row& row = rows_[user];
    if (!row.present) continue;
    std::vector<std::string> all = {address_of(user, false)};
    if (row.other) all.push_back(address_of(user, true));
    if (std::find(all.begin(), all.end(), address) != all.end()) return all;
  }
  return {};
}

std::string Routes::drawn_member(Chance& chance, const std::string& wave) const {
  std::vector<std::string> members;
  for (std::size_t user = 0; user < kUsers; ++user) {
    const Row& row = rows_[user];
    if (row.present && row.wave == wave) members.push_back(address_of(user, false));
    if (row.present && row.other && row.other_wave == wave)
      members.push_back(address_of(user, true));
  }
  return members.empty() ? std::string() : members[chance.below(members.size())];
}

/// An operator's word about the person, else the entry's own state, else its wave's, else active.
Routes::Found Routes::look_at(std::size_t user, bool other) const {
  const Row& row = rows_[user];
  const std::string& wave = other ? row.other_wave : row.wave;
  Found found{user, EntryState::active, standing_.known || wave.empty()};
  const auto word = standing_.people.find(address_of(user, other));
  if (word != standing_.people.end()) {
    found.state = word->second;
  } else if (row.own) {
    found.state = *row.own;
  } else if (!wave.empty()) {
    found.state = standing_.waves.at(wave);
  }
  return found;
}

std::optional<Routes::Found> Routes::find(const mail::Mailbox& address) const {
  const std::size_t user = std::strtoul(address.local_part.c_str() + 1, nullptr, 10) % kUsers;
  const bool other = address.local_part.starts_with('a');
  if (!rows_[user].present || (other && !rows_[user].other)) return std::nullopt;
  return look_at(user, other);
}

std::vector<Routes::Found> Routes::owners_of(const mail::Mailbox& target) const {
  std::vector<Found> owners;
  for (std::size_t user = 0; user < kUsers; ++user) {
    const Row& row = rows_[user];
    if (!row.present || std::none_of(row.targets.begin(), row.targets.end(), [&](unsigned one) {
          return target.local_part == local_of(user, one);
        }))
      continue;
    owners.push_back(look_at(user, false));
    if (row.other) owners.push_back(look_at(user, true));
  }
  return owners;
}

bool Routes::holds(const mail::Mailbox& original) const {
  if (lost_) return false;
  const auto moves = [](const Found& found) {
    return found.known && found.state == EntryState::migrating;
  };
  if (original.domain == kTargetDomain) {
    const auto owners = owners_of(original);
    return std::any_of(owners.begin(), owners.end(), moves);
  }
  if (original.domain != kOwnDomain) return false;
  const auto found = find(original);
  return found && moves(*found);
}

std::optional<Place> Routes::where(const mail::Mailbox& original) const {
  const auto all = places(original);
  if (all.empty()) return std::nullopt;
  return all.front();
}

std::vector<Place> Routes::places(const mail::Mailbox& original) const {
  if (holds(original)) return {};
  return places_in_the_end(original);
}

std::vector<Place> Routes::places_in_the_end(const mail::Mailbox& original) const {
  if (lost_) return {};  // any address may stand in it
  if (original.domain == kTargetDomain) {
    const auto owners = owners_of(original);
    if (std::any_of(owners.begin(), owners.end(), [](const Found& one) { return !one.known; }))
      return {};
    return {{original, "workmail"}};
  }
  if (original.domain != kOwnDomain) {
    if (default_hop_.empty()) return {};
    return {{original, default_hop_}};
  }
  const auto found = find(original);
  if (!found || !found->known) return {};
  if (is_old_way(found->state)) {
    if (pending_hop_.empty()) return {};
    return {{original, pending_hop_}};
  }
  const auto plus = std::min(original.local_part.find('+'), original.local_part.size());
  std::vector<Place> all;
  for (const unsigned target : rows_[found->user].targets)
    all.push_back(
        {{local_of(found->user, target) + original.local_part.substr(plus), kTargetDomain},
         "workmail"});
  return all;
}

bool Routes::waits(const mail::Mailbox& original) const {
  if (lost_ || holds(original)) return true;
  if (original.domain != kOwnDomain) return false;
  const auto found = find(original);
  if (!found) return unknown_defers_;
  return !found->known || (is_old_way(found->state) && pending_hop_.empty());
}

routing::Options Routes::options() const {
  routing::Options options;
  options.own_domains = {kOwnDomain};
  options.target_domains = {{kTargetDomain, "workmail"}};
  options.pending_next_hop = pending_hop_;
  options.default_next_hop = default_hop_;
  options.unknown =
      unknown_defers_ ? routing::UnknownPolicy::defer : routing::UnknownPolicy::refuse;
  for (const auto& [name, file] : file_) {
    routing::WaveOptions wave;
    wave.name = name;
    wave.state = file.state;
    wave.hold_at = file.hold_at;
    wave.activate_at = file.activate_at;
    wave.shadow = file.shadow;
    options.waves.push_back(std::move(wave));
  }
  routing::TableSource source;
  source.kind = routing::TableSource::Kind::inline_yaml;
  for (std::size_t user = 0; user < kUsers; ++user) add_entries(source, user);
  options.sources.push_back(std::move(source));
  return options;
}

void Routes::add_entries(routing::TableSource& source, std::size_t user) const {
  const Row& row = rows_[user];
  if (!row.present) return;
  for (const bool other : {false, true}) {
    if (other && !row.other) continue;
    routing::Entry entry;
    entry.address = {(other ? "a" : "u") + std::to_string(user), kOwnDomain};
    entry.target = {local_of(user, row.targets.front()), kTargetDomain};
    for (std::size_t k = 1; k < row.targets.size(); ++k)
      entry.copies.push_back({local_of(user, row.targets[k]), kTargetDomain});
    entry.has_state = row.own.has_value();
    if (row.own) entry.state = *row.own;
    entry.wave = other ? row.other_wave : row.wave;
    entry.place = {"table", static_cast<std::uint32_t>(source.entries.size() + 1)};
    source.entries.push_back(std::move(entry));
  }
}

std::shared_ptr<const routing::Router> Routes::router(
    std::shared_ptr<const routing::Waves> waves) const {
  if (lost_)
    return routing::Router::unavailable(options(), "the table is lost")
        ->with_waves(std::move(waves));
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options(), problems, std::move(waves));
  WAYPOST_INVARIANT(router.has_value());
  return *router;
}

}  // namespace waypost::sim
