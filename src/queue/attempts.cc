#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <boost/asio/detached.hpp>

namespace waypost::queue {

std::uint32_t QueueImpl::most_at_once(const Hop& hop, const outbound::Deliverer* deliverer) const {
  if (deliverer == nullptr) return hop.policy.concurrency;
  return std::max(1u, std::min(hop.policy.concurrency, deliverer->options().max_connections));
}

/// An attempt that ends at once (a next hop that is not configured) and a job that moves to another
/// next hop dispatch again: that must not nest, for there may be a million of them.
void QueueImpl::dispatch(Index at) {
  if (!hops_[at].to_dispatch) {
    hops_[at].to_dispatch = true;
    to_dispatch_.push_back(at);
  }
  if (dispatching_) return;
  dispatching_ = true;
  while (!to_dispatch_.empty()) {
    const Index hop = to_dispatch_.front();
    to_dispatch_.pop_front();
    hops_[hop].to_dispatch = false;
    dispatch_one_hop(hop);
  }
  dispatching_ = false;
}

void QueueImpl::dispatch_one_hop(Index at) {
  Hop& hop = hops_[at];
  for (;;) {
    if (stopping_ || hop.suspended || hop.ready.empty()) return;
    if (hop.site.paused(now())) {
      if (!hop.pause_timer) {
        hop.pause_timer = true;
        set_timer(hop.site.paused_until(), Due::pause, at, 0);
      }
      return;
    }
    const auto found = context_.deliverers.find(hop.name);
    const outbound::Deliverer* deliverer =
        found == context_.deliverers.end() ? nullptr : found->second;
    if (hop.active >= hop.site.window(most_at_once(hop, deliverer))) return;
    begin_attempt(hop.ready.pop());
  }
}

/// REQUIRES: the job is ready and out of its lane.
void QueueImpl::begin_attempt(Index at) {
  const Index message = jobs_[at].message;
  const Index hop = jobs_[at].hop;
  const Policy& policy = hops_[hop].policy;
  const auto envelope = envelope_of(message);
  if (!envelope) {  // the disk may come back
    ++jobs_[at].failures;
    return make_waiting(at, now() + backoff_.after(policy.backoff, jobs_[at].failures));
  }
  messages_[message].need_live().envelope = envelope;
  // Aging looks from time to time; an attempt is never too late.
  if (clock().now() - messages_[message].accepted_at >= policy.expiry) {
    expire_job(at, *envelope);
    let_go(message);
    report_if_quiet(message);
    return finish_if_done(message);
  }
  const auto found = context_.deliverers.find(hops_[hop].name);
  outbound::Deliverer* const deliverer =
      found == context_.deliverers.end() ? nullptr : found->second;
  const std::size_t most =
      deliverer == nullptr ? 100 : std::max(1u, deliverer->options().max_recipients);
  outbound::AttemptInput input = ask_routing(at, *envelope, most);
  input.envelope = envelope;
  input.message = messages_[message].ref();
  note_released(message);
  if (jobs_[at].recipients.empty()) {  // all of them have moved, are held, or have ended
    remove_job(at);
    let_go(message);
    report_if_quiet(message);
    return finish_if_done(message);
  }
  if (deliverer == nullptr) {
    outbound::AttemptResult result;
    mail::Outcome outcome;
    outcome.status = {4, 3, 5};
    outcome.reply = "next hop '" + hops_[hop].name + "' is not configured any more";
    result.outcomes.assign(input.recipients.size(), outcome);
    jobs_[at].state = JobState::active;
    ++hops_[hop].active;
    apply(at, input, result, now());
    return;
  }
  jobs_[at].state = JobState::active;
  ++jobs_[at].attempts;
  ++hops_[hop].active;
  ++active_;
  boost::asio::co_spawn(context_.shard.io, attempt(at, deliverer, std::move(input)),
                        boost::asio::detached);
}

net::Task<void> QueueImpl::attempt(Index job, outbound::Deliverer* deliverer,
                                   outbound::AttemptInput input) {
  const outbound::AttemptInput kept = input;
  const SteadyTime began = now();
  const outbound::AttemptResult result = co_await deliverer->attempt(std::move(input));
  --active_;
  apply(job, kept, result, began);
  if (stopping_ && active_ == 0) sleeper_.wake();
}

/// Routing decides anew at every attempt: a wave that was rolled back re-routes what is queued
/// already. Leaves in the job exactly the recipients that go to its next hop now, at most `most`;
/// the others are put where they belong.
outbound::AttemptInput QueueImpl::ask_routing(Index at, const mail::Envelope& envelope,
                                              std::size_t most) {
  Job& job = jobs_[at];
  const Index message = job.message;
  const Index hop = job.hop;
  const RecipientList recipients = std::move(job.recipients);
  job.recipients = RecipientList();
  outbound::AttemptInput input;
  std::vector<std::uint32_t> staying;
  std::map<Index, std::vector<std::uint32_t>> moving;
  std::size_t asked = 0;
  for (; asked < recipients.size() && staying.size() < most; ++asked) {
    const std::uint32_t i = recipients[asked];
    routing::Decision decision = decide(envelope, i);
    if (is_gone(envelope.recipients[i], decision)) {
      end_copy(message, envelope, i, decision);
      continue;
    }
    switch (decision.verdict) {
      case routing::Verdict::rewrite:
      case routing::Verdict::pass: {
        const Index wanted = decision.next_hop == hops_[hop].name ? hop : hop_of(decision.next_hop);
        if (suspended_by(envelope, i, hops_[wanted].name) != nullptr) {
          decision.why = "suspended by an operator; 'waypost queue resume' lets it go";
          hold(message, {i, HeldBy::suspension, job.delay_told}, envelope, decision);
        } else if (wanted == hop) {
          staying.push_back(i);
          routing::SenderChoice sender =
              context_.router.get()->sender_for(envelope.reverse_path, decision, clock().now());
          if (!sender.trouble.empty() && input.recipients.empty())
            ops::log().warn("message {}: the sender {} is not rewritten: {}",
                            envelope.id.to_string(), mail::to_string(envelope.reverse_path),
                            sender.trouble);
          input.recipients.push_back({i, std::move(decision.target), std::move(sender.rewritten)});
        } else {
          moving[wanted].push_back(i);
        }
        break;
      }
      case routing::Verdict::hold:
        hold(message, {i, HeldBy::wave, job.delay_told}, envelope, decision);
        break;
      case routing::Verdict::defer:
      case routing::Verdict::refuse:
        defer_by_routing(message, hop, job, envelope, i, decision);
        break;
    }
  }
  if (asked < recipients.size()) {
    // The rest goes behind the others of its lane: a long list must not delay others.
    Job& rest = jobs_[add_job(message, hop, {recipients.begin() + asked, recipients.end()})];
    rest.failures = job.failures;
    rest.attempts = job.attempts;
    rest.delay_told = job.delay_told;
    rest.last_reply = job.last_reply;
  }
  job.recipients = RecipientList(std::move(staying));
  for (auto& group : moving) {
    jobs_[add_job(message, group.first, std::move(group.second))].delay_told = job.delay_told;
    if (group.first != hop) dispatch(group.first);
  }
  return input;
}

routing::Decision QueueImpl::decide(const mail::Envelope& envelope, std::uint32_t recipient) const {
  const mail::Mailbox& original = envelope.recipients[recipient].original;
  routing::Decision decision = context_.router.get()->decide(original, clock().now());
  if (const std::size_t copy = envelope.recipients[recipient].copy; copy > 0) {
    const bool has_it = copy <= decision.copies.size();
    decision.target = has_it ? decision.copies[copy - 1].target : mail::Mailbox{};
    decision.next_hop = has_it ? decision.copies[copy - 1].next_hop : std::string();
    if (is_gone(envelope.recipients[recipient], decision))
      decision.why = "the routing entry has no such copy any more";
  }
  const bool nowhere =
      decision.verdict == routing::Verdict::refuse || decision.verdict == routing::Verdict::defer;
  if (envelope.is_report && nowhere && !options_.report_next_hop.empty()) {
    // Senders who are still on Exchange, or outside, are in no table.
    decision.verdict = routing::Verdict::pass;
    decision.target = original;
    decision.next_hop = options_.report_next_hop;
  }
  const bool goes =
      decision.verdict == routing::Verdict::rewrite || decision.verdict == routing::Verdict::pass;
  if (goes && !rerouted_.empty()) {
    const auto ordered = rerouted_.find(envelope.id.value);
    if (ordered == rerouted_.end()) return decision;
    const auto hop = ordered->second.find(recipient);
    if (hop != ordered->second.end()) decision.next_hop = hop->second;
  }
  return decision;
}

/// A refused or deferred address is treated as any other: it may be a mistake that is mended.
bool QueueImpl::is_gone(const mail::Recipient& recipient, const routing::Decision& decision) {
  if (recipient.copy == 0 || !decision.target.domain.empty()) return false;
  return decision.verdict == routing::Verdict::rewrite ||
         decision.verdict == routing::Verdict::pass || decision.verdict == routing::Verdict::hold;
}

/// The mark in the spool goes when nothing of the message is held any more.
void QueueImpl::note_released(Index at) {
  Message& message = messages_[at];
  if (!message.marked_held || message.has_held()) return;
  message.marked_held = false;
  context_.spool.set_held(message.ref(), false);
}

/// Nothing of the message goes out soon: its content and envelope need not stay in memory.
void QueueImpl::let_go(Index at) {
  Message& message = messages_[at];
  if (message.moving == 0) drop_from_memory(message);
}

void QueueImpl::drop_from_memory(Message& message) {
  if (message.live) message.live->envelope.reset();
  if (message.live && message.live->empty()) message.live.reset();
  context_.spool.forget_content(message.ref());
}

bool QueueImpl::has_attempt(Index message) const {
  for (Index j = messages_[message].first_job; j != kNone; j = jobs_[j].next) {
    if (jobs_[j].state == JobState::active) return true;
  }
  return false;
}

void QueueImpl::hold(Index at, HeldRecipient held, const mail::Envelope& envelope,
                     const routing::Decision& decision) {
  Message& message = messages_[at];
  if (!message.has_held()) ++held_;
  message.need_live().held.push_back(held);
  if (!message.marked_held) {
    message.marked_held = true;
    context_.spool.set_held(message.ref(), true);
  }
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

}  // namespace waypost::queue
