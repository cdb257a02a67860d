// Other next hops that operators ordered: the same address over another way.
//
// An order stands for the route that it was given about. When routing sends the recipient elsewhere
// (its wave is rolled back, its target changes), the other way is none for the new address: the
// order rests, and holds again should routing come back to what it was. So it does while the next
// hop that was ordered is not configured: routing's own has always one.
#include "queue/queue_impl.h"

namespace waypost::queue {

std::string QueueImpl::reroute_key(const routing::Decision& decision) {
  return decision.next_hop + " " + mail::ascii_lower(decision.target.to_string());
}

const Reroute* QueueImpl::reroute_of(QueueId id, std::uint32_t recipient) const {
  const auto message = rerouted_.find(id.value);
  if (message == rerouted_.end()) return nullptr;
  const auto found = message->second.find(recipient);
  return found == message->second.end() ? nullptr : &found->second;
}

bool QueueImpl::is_served(const Reroute& order) const {
  return context_.deliverers.contains(order.next_hop);
}

/// What the order is about, as routing decides now; empty: nowhere now, to be bound when it goes.
std::string QueueImpl::reroute_about(const mail::Envelope& envelope,
                                     std::uint32_t recipient) const {
  const routing::Decision decision = decide_unordered(envelope, recipient);
  return decision.next_hop.empty() ? std::string() : reroute_key(decision);
}

/// An order about mail that had no way then, or by a version that did not write down for what.
void QueueImpl::bind_reroute(const mail::Envelope& envelope, std::uint32_t recipient) {
  const auto message = rerouted_.find(envelope.id.value);
  if (message == rerouted_.end()) return;
  const auto found = message->second.find(recipient);
  if (found == message->second.end() || !found->second.of.empty()) return;
  found->second.of = reroute_about(envelope, recipient);
}

bool QueueImpl::is_rerouted(const mail::Envelope& envelope, std::uint32_t recipient) const {
  const Reroute* const ordered = reroute_of(envelope.id, recipient);
  if (ordered == nullptr || !is_served(*ordered)) return false;
  const std::string about = reroute_about(envelope, recipient);
  return about.empty() || ordered->of.empty() || ordered->of == about;
}

}  // namespace waypost::queue
