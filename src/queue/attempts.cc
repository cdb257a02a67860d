#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <boost/asio/detached.hpp>

namespace waypost::queue {

/// How many attempts may run at once: one while the site is in trouble.
std::uint32_t QueueImpl::window(const Hop& hop, const outbound::Deliverer* deliverer) const {
  if (hop.troubles > 0) return 1;
  if (deliverer == nullptr) return options_.concurrency;
  return std::max(1u, std::min(options_.concurrency, deliverer->options().max_connections));
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
  for (;;) {
    Hop& hop = hops_[at];
    if (stopping_ || hop.ready.empty()) return;
    if (hop.paused_until > now()) {
      if (!hop.pause_timer) {
        hop.pause_timer = true;
        set_timer(hop.paused_until, Due::pause, at, 0);
      }
      return;
    }
    const auto found = context_.deliverers.find(hop.name);
    const outbound::Deliverer* deliverer =
        found == context_.deliverers.end() ? nullptr : found->second;
    if (hop.active >= window(hop, deliverer)) return;
    const ReadyPlace place = hop.ready.front();
    hop.ready.pop_front();
    if (!jobs_[place.job].alive || jobs_[place.job].generation != place.generation) {
      --hop.gone;
      continue;
    }
    begin_attempt(place.job);
  }
}

/// REQUIRES: the job is ready and out of its hop's list.
void QueueImpl::begin_attempt(Index at) {
  const Index message = jobs_[at].message;
  const Index hop = jobs_[at].hop;
  const auto envelope = envelope_of(message);
  if (!envelope) {  // the disk may come back
    ++jobs_[at].failures;
    return make_waiting(at, now() + backoff_.after(jobs_[at].failures));
  }
  // The timer for it runs on steady time, which stands still while a machine is suspended.
  if (clock().now() - messages_[message].accepted_at >= options_.expiry) {
    hops_[hop].ready.push_front({at, jobs_[at].generation});  // where expire() looks for it
    return expire(message);
  }
  const auto found = context_.deliverers.find(hops_[hop].name);
  outbound::Deliverer* const deliverer =
      found == context_.deliverers.end() ? nullptr : found->second;
  const std::size_t most =
      deliverer == nullptr ? 100 : std::max(1u, deliverer->options().max_recipients);
  outbound::AttemptInput input = ask_routing(at, *envelope, most);
  input.envelope = envelope;
  input.message = messages_[message].ref;
  note_released(message);
  if (jobs_[at].recipients.empty()) {  // all of them have moved, are held, or have ended
    remove_job(at);
    let_go(message);
    report_if_quiet(message);
    return finish_if_done(message);
  }
  if (deliverer == nullptr) {
    const std::string words = "next hop '" + hops_[hop].name + "' is not configured any more";
    outbound::AttemptResult result;
    mail::Outcome outcome;
    outcome.status = {4, 3, 5};
    outcome.reply = words;
    result.outcomes.assign(input.recipients.size(), outcome);
    jobs_[at].state = JobState::active;
    ++hops_[hop].active;
    apply(at, input, result);
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
  const outbound::AttemptResult result = co_await deliverer->attempt(std::move(input));
  --active_;
  apply(job, kept, result);
  if (stopping_ && active_ == 0) sleeper_.wake();
}

/// Routing decides anew at every attempt: a wave that was rolled back re-routes what is queued
/// already. Leaves in the job exactly the recipients that go to its next hop now, at most `most`;
/// the others are put where they belong.
outbound::AttemptInput QueueImpl::ask_routing(Index at, const mail::Envelope& envelope,
                                              std::size_t most) {
  const Index message = jobs_[at].message;
  const Index hop = jobs_[at].hop;
  const std::uint32_t failures = jobs_[at].failures;
  const std::vector<std::uint32_t> recipients = std::move(jobs_[at].recipients);
  jobs_[at].recipients.clear();
  outbound::AttemptInput input;
  std::vector<std::uint32_t> staying;
  std::map<Index, std::vector<std::uint32_t>> moving;
  std::size_t asked = 0;
  for (; asked < recipients.size() && staying.size() < most; ++asked) {
    const std::uint32_t i = recipients[asked];
    routing::Decision decision = decide(envelope, envelope.recipients[i]);
    switch (decision.verdict) {
      case routing::Verdict::rewrite:
      case routing::Verdict::pass: {
        const Index wanted = decision.next_hop == hops_[hop].name ? hop : hop_of(decision.next_hop);
        if (wanted == hop) {
          staying.push_back(i);
          input.recipients.push_back({i, std::move(decision.target)});
        } else {
          moving[wanted].push_back(i);
        }
        break;
      }
      case routing::Verdict::hold:
        hold(message, i, envelope, decision);
        break;
      case routing::Verdict::defer:
      case routing::Verdict::refuse:
        defer_by_routing(message, hop, failures, envelope, {i}, decision);
        break;
    }
  }
  if (asked < recipients.size()) {
    // The rest goes behind everybody else who waits: a long list must not delay others.
    const Index rest = add_job(
        message, hop, {recipients.begin() + static_cast<std::ptrdiff_t>(asked), recipients.end()});
    jobs_[rest].failures = failures;
    jobs_[rest].attempts = jobs_[at].attempts;
  }
  jobs_[at].recipients = std::move(staying);
  for (auto& group : moving) {
    add_job(message, group.first, std::move(group.second));
    if (group.first != hop) dispatch(group.first);
  }
  return input;
}

routing::Decision QueueImpl::decide(const mail::Envelope& envelope,
                                    const mail::Recipient& recipient) const {
  routing::Decision decision = context_.router.get()->decide(recipient.original, clock().now());
  const bool nowhere =
      decision.verdict == routing::Verdict::refuse || decision.verdict == routing::Verdict::defer;
  if (envelope.is_report && nowhere && !options_.report_next_hop.empty()) {
    // Senders who are still on Exchange, or outside, are in no table.
    decision.verdict = routing::Verdict::pass;
    decision.target = recipient.original;
    decision.next_hop = options_.report_next_hop;
  }
  return decision;
}

/// The mark in the spool goes when nothing of the message is held any more.
void QueueImpl::note_released(Index at) {
  Message& message = messages_[at];
  if (!message.marked_held || !message.held.empty()) return;
  message.marked_held = false;
  context_.spool.set_held(message.ref, false);
}

/// Nothing of the message goes out soon: its content and envelope need not stay in memory.
void QueueImpl::let_go(Index at) {
  if (messages_[at].moving > 0) return;
  messages_[at].envelope.reset();
  context_.spool.forget_content(messages_[at].ref);
}

void QueueImpl::hold(Index at, std::uint32_t recipient, const mail::Envelope& envelope,
                     const routing::Decision& decision) {
  Message& message = messages_[at];
  if (message.held.empty()) ++held_;
  message.held.push_back(recipient);
  if (!message.marked_held) {
    message.marked_held = true;
    context_.spool.set_held(message.ref, true);
  }
  const std::string original = envelope.recipients[recipient].original.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::held;
  event.at = clock().now();
  event.queue_id = message.ref.id;
  event.recipient = original;
  event.next_hop = decision.next_hop;
  event.wave = decision.wave;
  event.why = decision.why;
  context_.tracking.write(event);
}

}  // namespace waypost::queue
