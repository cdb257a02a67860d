#include "waypost/routing/wave_plan.h"

#include "waypost/routing/wave_facts.h"

#include <functional>
#include <set>
#include <unordered_map>
#include <unordered_set>

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

/// People are counted once for each thing that happens to them.
class Planner {
 public:
  Planner(WavePlan& plan, const Router& now, const Router& then, WallTime at, std::size_t most)
      : plan_(plan), now_(now), then_(then), at_(at), most_(most) {}

  void take(const Entry& entry, const std::string& person) {
    const EntryState was = now_.state_of(entry, at_);
    const EntryState will_be = then_.state_of(entry, at_);
    count(plan_.all, person, "all");
    auto& move = plan_.moves[{was, will_be}];
    count(move, person, std::string(to_string(was)) + ">" + std::string(to_string(will_be)));
    const Decision decision = then_.decide(entry.address, at_);
    if (decision.verdict == Verdict::defer || decision.verdict == Verdict::refuse)
      add_conflict(plan_, named(entry) + ": mail would get " + decision.reply.to_line() + " (" +
                              decision.why + ")");
    if (was == will_be) return keep(entry, was);
    count(plan_.changed, person, "changed");
    PlannedChange change{entry, was, will_be, decision.verdict == Verdict::hold, decision.next_hop,
                         {}};
    if (!decision.next_hop.empty()) change.target = decision.target.to_string();
    first_.insert_or_assign({person, key_of(entry.address)}, std::move(change));
    if (first_.size() > most_) first_.erase(std::prev(first_.end()));
  }

  void finish() {
    for (auto& [order, change] : first_) plan_.changes.push_back(std::move(change));
  }

 private:
  void count(WavePlan::Count& count, const std::string& person, const std::string& what) {
    ++count.addresses;
    if (seen_[what].insert(std::hash<std::string>{}(person)).second) ++count.people;
  }

  /// Who goes another way than the wave is told of, if the whole wave is meant.
  void keep(const Entry& entry, EntryState state) {
    const auto* wave = then_.waves().find(entry.wave);
    if (wave == nullptr || wave->state_at(at_) == state) return;
    const auto* word = word_for(then_.waves(), entry);
    if (word != nullptr)
      add_conflict(plan_, named(entry) + " stays " + std::string(to_string(state)) + ": " +
                              word->second.by + " has said so of this person alone");
    else if (entry.has_state)
      add_conflict(plan_, named(entry) + " stays " + std::string(to_string(state)) +
                              ": its source gives it a state of its own");
  }

  WavePlan& plan_;
  const Router& now_;
  const Router& then_;
  WallTime at_;
  std::size_t most_;
  std::map<std::pair<std::string, std::string>, PlannedChange> first_;
  std::map<std::string, std::unordered_set<std::uint64_t>> seen_;
};

}  // namespace

WavePlan plan_wave(const Router& now, const Router& then, const std::string& wave,
                   const std::vector<std::string>& members, WallTime at, std::size_t most_changes) {
  WavePlan plan;
  Planner planner(plan, now, then, at, most_changes);
  const std::set<std::string, std::less<>> named_ones(members.begin(), members.end());
  if (now.options().pending_next_hop.empty())
    add_conflict(plan,
                 "there is no routing.pending_next_hop: mail for whoever is pending or rolled back "
                 "gets 451 and waits at the sender, also after a rollback of this wave");
  std::unordered_map<std::string, std::string> targets;  // to one address of the person
  const auto is_meant = [&](const Entry& entry) {
    return named_ones.empty() ? entry.wave == wave : named_ones.contains(key_of(entry.address));
  };
  now.table().for_each([&](const Entry& entry) {
    if (!is_meant(entry)) return;
    auto person = person_key(entry);
    planner.take(entry, person);
    targets.emplace(std::move(person), entry.address.to_string());
  });
  planner.finish();
  now.table().for_each([&](const Entry& entry) {
    if (is_meant(entry)) return;
    const auto person = targets.find(person_key(entry));
    if (person == targets.end()) return;
    const EntryState state = then.state_of(entry, at);
    add_conflict(plan, named(entry) + " is the same person as '" + person->second + "' but " +
                           (!named_ones.empty()  ? "is not meant (--address-only)"
                            : entry.wave.empty() ? "of no wave"
                                                 : "of wave '" + entry.wave + "'") +
                           ": it would be " + std::string(to_string(state)));
  });
  return plan;
}

}  // namespace waypost::routing
