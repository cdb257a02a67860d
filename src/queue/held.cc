// Mail that is held: by its wave, by a command, by a suspension, or because nobody can read where
// it should go. After each reload it is asked again, in slices: half a million may be held.
#include "queue/queue_impl.h"

#include <algorithm>

namespace waypost::queue {
namespace {

constexpr std::uint32_t kSlice = 4096;
constexpr std::uint32_t kHeldInSlice = 64;  // those cost a read each
constexpr std::chrono::milliseconds kNextSlice{1};

}  // namespace

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

void QueueImpl::routes_changed() {
  // Each message is looked at once more, wherever the walk is; what comes meanwhile knows the new
  // routes already.
  const bool walks = review_left_ > 0;
  review_left_ = messages_.end();
  if (!walks) review_some();
  // Next hops may have come or gone.
  for (Index hop = 0; hop < hops_.size(); ++hop) dispatch(hop);
}

void QueueImpl::review_some() {
  std::uint32_t read = 0;
  if (held_ == 0) review_left_ = 0;
  for (std::uint32_t seen = 0; review_left_ > 0 && seen < kSlice && read < kHeldInSlice; ++seen) {
    if (review_at_ >= messages_.end()) review_at_ = 0;
    const Index at = review_at_++;
    --review_left_;
    if (!messages_[at].alive || !messages_[at].has_held()) continue;
    ++read;
    review(at);
  }
  if (review_left_ > 0) set_timer(now() + kNextSlice, Due::review, 0, 0);
}

/// Decides in place: what is still held stays where it is, and nothing is written about it.
void QueueImpl::review(Index at) {
  const auto envelope = envelope_of(at);
  if (!envelope) return;
  std::vector<std::uint32_t> released;
  bool told = false;
  std::erase_if(messages_[at].live->held, [&](HeldRecipient& one) {
    if (one.by == HeldBy::damage) return false;
    const routing::Decision decision = decide(*envelope, one.index);
    one.hop = held_hop(*envelope, one.index, decision);
    const bool held = one.by == HeldBy::command ||
                      (one.by == HeldBy::wave && decision.verdict == routing::Verdict::hold) ||
                      (one.by == HeldBy::suspension &&
                       suspended_by(*envelope, one.index, decision.next_hop) != nullptr);
    if (held) {
      plan_aging(deadline_of(messages_[at], policy_of(one), one.delay_told));
      return false;
    }
    track_released(at, *envelope, one.index, decision.wave, nullptr);
    released.push_back(one.index);
    told = told || one.delay_told;
    return true;
  });
  if (released.empty()) return;
  if (messages_[at].live->held.empty()) --held_;
  messages_[at].need_live().envelope = envelope;
  keep_warm(at);
  note_released(at);
  add_jobs(at, *envelope, released, told);
}

}  // namespace waypost::queue
