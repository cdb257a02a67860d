#include "waypost/routing/wave_plan.h"

#include <algorithm>
#include <unordered_map>

namespace waypost::routing {
namespace {

constexpr std::size_t kMostConflicts = 200;

std::string key_of(const mail::Mailbox& address) {
  auto key = normalise_key(address);
  return key ? std::move(*key) : std::string();
}

void add_conflict(WavePlan& plan, std::string what) {
  ++plan.conflict_count;
  if (plan.conflicts.size() < kMostConflicts) plan.conflicts.push_back(std::move(what));
}

std::string named(const Entry& entry) {
  return "'" + entry.address.to_string() + "' (" + entry.place.to_string() + ")";
}

void plan_entry(WavePlan& plan, const Entry& entry, const Router& now, const Router& then,
                WallTime at, std::size_t most_changes) {
  ++plan.people;
  const EntryState was = now.state_of(entry, at);
  const EntryState will_be = then.state_of(entry, at);
  ++plan.moves[{was, will_be}];
  const Decision decision = then.decide(entry.address, at);
  if (decision.verdict == Verdict::defer || decision.verdict == Verdict::refuse)
    add_conflict(plan, named(entry) + ": mail would get " + decision.reply.to_line() + " (" +
                           decision.why + ")");
  if (was == will_be) {
    if (entry.has_state)
      add_conflict(plan, named(entry) + " stays " + std::string(to_string(was)) +
                             ": its source gives it a state of its own");
    return;
  }
  if (plan.changes.size() >= most_changes) return;
  PlannedChange change{entry, was, will_be, decision.next_hop, {}};
  if (!decision.next_hop.empty()) change.target = decision.target.to_string();
  plan.changes.push_back(std::move(change));
}

}  // namespace

std::uint64_t WavePlan::changed() const {
  std::uint64_t sum = 0;
  for (const auto& [move, count] : moves)
    if (move.first != move.second) sum += count;
  return sum;
}

WavePlan plan_wave(const Router& now, const Router& then, const std::string& wave, WallTime at,
                   std::size_t most_changes) {
  WavePlan plan;
  if (now.options().pending_next_hop.empty())
    add_conflict(plan,
                 "there is no routing.pending_next_hop: mail for whoever is pending or rolled back "
                 "gets 451 and waits at the sender, also after a rollback of this wave");
  std::unordered_map<std::string, std::string> targets;  // to one address of the person
  now.table().for_each([&](const Entry& entry) {
    if (entry.wave != wave) return;
    plan_entry(plan, entry, now, then, at, most_changes);
    targets.emplace(key_of(entry.target), entry.address.to_string());
  });
  now.table().for_each([&](const Entry& entry) {
    if (entry.wave == wave) return;
    const auto person = targets.find(key_of(entry.target));
    if (person == targets.end()) return;
    const EntryState state = then.state_of(entry, at);
    add_conflict(plan, named(entry) + " is the same person as '" + person->second + "' but " +
                           (entry.wave.empty() ? "of no wave" : "of wave '" + entry.wave + "'") +
                           ": it would be " + std::string(to_string(state)));
  });
  return plan;
}

}  // namespace waypost::routing
