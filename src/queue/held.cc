// Mail that is held: by its wave, by a command, by a suspension, or because nobody can read where
// it should go. review.cc asks it again.
#include "queue/queue_impl.h"

namespace waypost::queue {

void QueueImpl::hold(Index at, HeldRecipient held, const mail::Envelope& envelope,
                     const routing::Decision& decision) {
  held.hop = held_hop(envelope, held.index, decision);
  Message& message = messages_[at];
  if (!message.has_held()) ++held_;
  message.need_live().held.push_back(held);
  if (!message.marked_held) {
    message.marked_held = true;
    context_.spool.set_held(message.ref(), true);
  }
  plan_aging(deadline_of(message, policy_of(held), held.delay_told));
  const std::string original = envelope.recipients[held.index].original.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::held;
  event.at = clock().now();
  event.queue_id = message.id;
  event.recipient = original;
  event.next_hop = decision.next_hop;
  event.wave = decision.wave;
  event.why = decision.why;
  context_.tracking.write(event);
}

/// Where it would go: as routing decides, else where it was to go when it was accepted.
std::uint16_t QueueImpl::held_hop(const mail::Envelope& envelope, std::uint32_t recipient,
                                  const routing::Decision& decision) {
  const std::string& name =
      decision.next_hop.empty() ? envelope.recipients[recipient].next_hop : decision.next_hop;
  return static_cast<std::uint16_t>(hop_of(name));
}

const Policy& QueueImpl::policy_of(const HeldRecipient& held) const {
  return held.hop == HeldRecipient::kNoHop ? options_ : hops_[held.hop].policy;
}

std::string QueueImpl::hop_name(const HeldRecipient& held) const {
  return held.hop == HeldRecipient::kNoHop ? std::string() : hops_[held.hop].name;
}

/// The mark in the spool goes when nothing of the message is held any more.
void QueueImpl::note_released(Index at) {
  Message& message = messages_[at];
  if (!message.marked_held || message.has_held() || message.open == 0) return;
  message.marked_held = false;
  context_.spool.set_held(message.ref(), false);
}

/// `command`: null: its wave has come further, or its suspension is over.
void QueueImpl::track_released(Index at, const mail::Envelope& envelope, std::uint32_t recipient,
                               std::string_view wave, const Command* command) {
  const std::string original = envelope.recipients[recipient].original.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::released;
  event.at = clock().now();
  event.queue_id = messages_[at].id;
  event.recipient = original;
  event.wave = wave;
  event.why = "routing holds it no longer";
  if (command != nullptr) {
    event.by = command->by;
    event.action = to_string(command->verb);
    event.why = command->reason;
  }
  context_.tracking.write(event);
}

}  // namespace waypost::queue
