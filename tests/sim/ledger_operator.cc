// What operators said to the queue, and what may be done about it.
#include "sim/ledger.h"

namespace waypost::sim {

using queue::Verb;

template <class Each>
void Ledger::each_touched(const std::vector<queue::Touched>& touched, Each each) {
  for (const queue::Touched& one : touched) {
    Letter* letter = by_id(one.id);
    if (letter == nullptr) {
      accuse("an operator touches something unknown");
      continue;
    }
    for (const std::uint32_t i : one.recipients) {
      Fate& fate = letter->fates.at(letter->stored_fates.at(i));
      if (fate.settled != spool::Settlement::open)
        accuse(name(*letter, fate) + " is settled, and an operator can touch it");
      each(fate);
    }
  }
}

void Ledger::operator_says(const queue::Command& command,
                           const std::vector<queue::Touched>& touched) {
  stage_.journal.note("an operator says {}: {} messages", queue::to_string(command.verb),
                      touched.size());
  catch_up();
  each_touched(touched, [&](Fate& fate) {
    fate.lies_since.reset();
    switch (command.verb) {
      case Verb::hold:
        fate.held = true;
        ++said_.held;
        return;
      case Verb::release:
        fate.held = fate.hold_promised = false;
        return;
      case Verb::bounce:
      case Verb::remove:
        fate.held = false;
        fate.given_up =
            command.verb == Verb::bounce ? Fate::GivenUp::bounced : Fate::GivenUp::deleted;
        ++(command.verb == Verb::bounce ? said_.bounced : said_.deleted);
        return;
      case Verb::reroute:
        fate.ways.push_back({command.next_hop, about_now(fate)});
        ++said_.rerouted;
        return;
      case Verb::suspend:
      case Verb::resume:
      case Verb::flush:
        return;
    }
  });
}

void Ledger::operator_was_promised(const queue::Command& command,
                                   const std::vector<queue::Touched>& touched) {
  for (const queue::Touched& one : touched) {
    Letter* letter = by_id(one.id);
    for (const std::uint32_t i : one.recipients) {
      Fate& fate = letter->fates.at(letter->stored_fates.at(i));
      if (command.verb == Verb::hold && fate.held) fate.hold_promised = true;
      if (command.verb == Verb::reroute) fate.ways.back().promised = true;
    }
  }
}

/// After a crash it may be so or so; and whoever was given up but not settled is as before.
void Ledger::forget_unpromised(Fate& fate) {
  fate.given_up = Fate::GivenUp::no;
  fate.held = fate.hold_promised;
  for (Fate::Way& way : fate.ways) way.doubtful = way.doubtful || !way.promised;
}

/// An order stands while routing decides what it did when the order was given.
bool Ledger::way_is_right(const Fate& fate, const Place& routed, const std::string& hop,
                          bool strict) {
  for (auto way = fate.ways.rbegin(); way != fate.ways.rend(); ++way) {
    const bool stands = !way->about || *way->about == routed;
    if (stands && way->hop == hop) return true;
    // Given while it had no way, it is about the first that it gets: who knows which that was.
    if (strict && !way->doubtful && way->about) return !stands && routed.hop == hop;
  }
  return routed.hop == hop;
}

/// By an order that stands, or that may.
bool Ledger::is_rerouted(const Fate& fate) const {
  const auto now = about_now(fate);
  return std::any_of(fate.ways.begin(), fate.ways.end(),
                     [&](const Fate::Way& way) { return !way.about || way.about == now; });
}

std::optional<Place> Ledger::about_now(const Fate& fate) const {
  const auto places = routes_.back().second.places_in_the_end(fate.original);
  for (const Place& place : places) {
    if (place.address == fate.accepted) return place;
  }
  for (const mail::Mailbox& other : fate.sharers) {
    for (const Place& place : routes_.back().second.places_in_the_end(other)) {
      if (place.address == fate.accepted) return place;
    }
  }
  if (fate.of_report && places.empty() && !limits_.report_next_hop.empty())
    return Place{fate.original, limits_.report_next_hop};
  if (fate.is_copy || places.empty()) return std::nullopt;
  return places.front();
}

}  // namespace waypost::sim
