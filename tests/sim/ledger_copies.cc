// What may become of a recipient by the table: where it goes, where it may have got the message,
// when it may come to nothing. An entry has several targets; each recipient keeps the address that
// it was stored for.
#include "sim/ledger.h"

#include <algorithm>

namespace waypost::sim {
namespace {

constexpr auto kTrustedAfter = hours(1);

bool has(const std::vector<Place>& places, const mail::Mailbox& address) {
  return std::any_of(places.begin(), places.end(),
                     [&](const Place& place) { return place.address == address; });
}

}  // namespace

std::optional<Place> Ledger::place_of(const Fate& fate, const Routes& routes) {
  const auto places = routes.places(fate.original);
  for (const Place& place : places) {
    if (place.address == fate.accepted) return place;
  }
  if (!fate.is_copy) return places.empty() ? std::nullopt : std::optional(places.front());
  // While its own entry has no way for it nobody knows whether that is a mistake.
  const auto own = routes.places_in_the_end(fate.original);
  if (own.empty() || has(own, fate.accepted)) return std::nullopt;
  for (const mail::Mailbox& other : fate.sharers) {
    for (const Place& place : routes.places(other)) {
      if (place.address == fate.accepted) return place;
    }
  }
  return std::nullopt;
}

/// A copy that nobody's entry has any more. While an address is unknown it may be a mistake.
bool Ledger::is_gone(const Fate& fate, const Routes& routes) {
  if (!fate.is_copy) return false;
  const auto own = routes.places_in_the_end(fate.original);
  if (own.empty() || has(own, fate.accepted)) return false;
  return std::none_of(fate.sharers.begin(), fate.sharers.end(), [&](const mail::Mailbox& other) {
    return has(routes.places_in_the_end(other), fate.accepted);
  });
}

/// Its entry is on the move, and it would go there.
bool Ledger::is_held_by_routes(const Fate& fate, const Routes& routes) {
  if (!routes.holds(fate.original)) return false;
  return !fate.is_copy || has(routes.places_in_the_end(fate.original), fate.accepted);
}

/// A copy of the message stands for where it would go by now: in which lane it waits for that does
/// not matter.
bool Ledger::waits_for_copy(const Letter& letter, const Fate& fate, const Place& place) {
  if (fate.is_copy || place.address == fate.accepted) return false;
  return std::any_of(letter.fates.begin(), letter.fates.end(), [&](const Fate& other) {
    return other.is_copy && other.accepted == place.address &&
           other.settled == spool::Settlement::open;
  });
}

bool Ledger::may_be_at(const Fate& fate, const mail::Mailbox& to, const Routes& routes) {
  const auto place = place_of(fate, routes);
  return place && place->address == to;
}

/// A next hop has taken the message for where this recipient goes, be it with another of its
/// recipients. `heard`: and said so.
bool Ledger::is_reached(const Letter& letter, const Fate& fate, bool heard) const {
  const auto counts = [heard](const auto& copy) { return !heard || copy->heard || copy->spoiled; };
  if (std::any_of(fate.copies.begin(), fate.copies.end(), counts)) return true;
  for (const Fate& other : letter.fates) {
    for (const auto& copy : other.copies) {
      if (counts(copy) && at_some_time(letter.stored_at, [&](const Routes& routes) {
            return may_be_at(fate, copy->address, routes);
          }))
        return true;
    }
  }
  return false;
}

/// The wall clock stood where it stands now at some time between these.
bool Ledger::wall_stood_so(SteadyTime from, SteadyTime until) const {
  const Duration present = wall_ahead_.back().second;
  for (std::size_t i = 0; i < wall_ahead_.size(); ++i) {
    const bool begins = wall_ahead_[i].first <= until;
    const bool lasts = i + 1 == wall_ahead_.size() || wall_ahead_[i + 1].first >= from;
    if (begins && lasts && wall_ahead_[i].second == present) return true;
  }
  return false;
}

/// By a clock that nobody can set; or, of what an earlier life has left, by one that stood where it
/// stands more than an hour ago, in this life. Nobody need have seen what it did meanwhile: it may
/// have gone and come back between two looks.
bool Ledger::is_as_old_as(const Letter& letter, Duration limit) const {
  const SteadyTime now = stage_.clock.steady_now();
  if (now - letter.stored_at + letter.took >= limit) return true;
  if (letter.stored_in == life_ || now - born_at_ < kTrustedAfter) return false;
  return wall_stood_so(born_at_, now - kTrustedAfter) &&
         stage_.clock.now() - letter.accepted_at >= limit;
}

bool Ledger::may_fail_so(const Letter& letter, const Fate& fate,
                         const ops::TrackingEvent& event) const {
  const bool ends_quietly = event.reply.empty() && event.status.empty();
  if (ends_quietly)
    return fate.accepted.to_string() == event.target &&
           at_some_time(letter.stored_at,
                        [&](const Routes& routes) { return is_gone(fate, routes); });
  if (event.status == "5.4.7" || event.status == "4.4.7")
    return is_as_old_as(letter, limits_.policy(std::string(event.next_hop)).expiry);
  if (fate.refusals > 0 && event.reply.starts_with('5')) return true;
  if (event.remote_host.empty() && event.next_hop != "internet")
    return letter.is_report() || is_as_old_as(letter, limits_.unknown_grace);
  // A domain without mail, a message that is too large: only next hops that say so.
  return !event.reply.starts_with('5');
}

/// Whatever was said of routes and suspensions, everything that waits has been asked since.
void Ledger::waits(const std::vector<queue::ListedMessage>& listed) {
  catch_up();
  in_no_delivery(listed);
  if (stage_.clock.steady_now() - said_at_ < seconds(1)) return;
  for (const queue::ListedMessage& message : listed) {
    const Letter* letter = by_id(message.id);
    if (letter == nullptr) {
      accuse("something unknown is listed");
      continue;
    }
    for (const queue::ListedRecipient& one : message.open) {
      const bool lies =
          one.state == queue::RecipientState::ready || one.state == queue::RecipientState::waiting;
      if (one.index >= letter->stored_fates.size()) continue;
      const Fate& fate = letter->fates[letter->stored_fates[one.index]];
      if (one.state == queue::RecipientState::held) check_held(*letter, fate, one);
      if (!lies) continue;
      // What came later, or with this life, is asked by its attempt: it has nowhere else to go.
      const bool asked = routes_.back().first > std::max(born_at_, letter->stored_at);
      if (asked && is_gone(fate, routes_.back().second))
        accuse(name(*letter, fate) + " waits, though its entry has no such target any more");
      const auto place = place_of(fate, routes_.back().second);
      if (place && !waits_for_copy(*letter, fate, *place) &&
          !way_is_right(fate, *place, one.next_hop, true))
        accuse(name(*letter, fate) + " waits for " + one.next_hop + ", and should go by " +
               place->hop);
      if (fate.lies_since && *fate.lies_since + 1 < routes_.size() && !is_rerouted(fate) &&
          is_held_by_routes(fate, routes_.back().second))
        accuse(name(*letter, fate) + " waits for " + one.next_hop +
               ", though its entry is migrating: it is not held");
    }
  }
}

}  // namespace waypost::sim
