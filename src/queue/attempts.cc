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
  dispatch_rest();
}

/// Ends a time in which dispatch() only took note.
void QueueImpl::dispatch_rest() {
  while (!to_dispatch_.empty()) {
    const Index hop = to_dispatch_.front();
    to_dispatch_.pop_front();
    hops_[hop].to_dispatch = false;
    dispatch_one_hop(hop);
  }
  dispatching_ = false;
}

/// What is ready there is not asked by an attempt soon.
bool QueueImpl::stands_still(Index hop) const {
  return hops_[hop].suspended || hops_[hop].site.paused(now());
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
  look_at_clock();
  if (sure_age(messages_[message]) >= policy.expiry) {
    expire_job(at, *envelope);
    let_go(message);
    report_if_quiet(message);
    return finish_if_done(message);
  }
  const auto found = context_.deliverers.find(hops_[hop].name);
  outbound::Deliverer* const deliverer =
      found == context_.deliverers.end() ? nullptr : found->second;
  const std::size_t most =
      deliverer == nullptr ? 100 : std::max(1u, deliverer->recipients_at_once());
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
    apply(at, input, result, {now(), changes_});
    return;
  }
  if (deliverer->options().mx_of_recipient && !take_domain_turn(at, input)) return let_go(message);
  jobs_[at].state = JobState::active;
  ++jobs_[at].attempts;
  ++hops_[hop].active;
  ++active_;
  boost::asio::co_spawn(context_.shard.io, attempt(at, deliverer, std::move(input)),
                        boost::asio::detached);
}

net::Task<void> QueueImpl::attempt(Index job, outbound::Deliverer* deliverer,
                                   outbound::AttemptInput input) {
  std::vector<std::size_t> rides_on;
  std::optional<outbound::AttemptInput> fewer;
  if (names_somebody_twice(input)) fewer = once_each(input, rides_on);
  const outbound::AttemptInput& sent = fewer ? *fewer : input;
  const Began began{now(), changes_};
  const Index hop = jobs_[job].hop;
  std::string domain;
  if (deliverer->options().mx_of_recipient)
    domain = mail::ascii_lower(input.recipients.front().target.domain);
  outbound::AttemptResult result = co_await deliverer->attempt(sent);
  if (fewer) {
    const std::vector<mail::Outcome> said = std::move(result.outcomes);
    result.outcomes.clear();
    for (const std::size_t place : rides_on) result.outcomes.push_back(said[place]);
  }
  --active_;
  if (!domain.empty()) end_domain_turn(hop, domain);
  apply(job, input, result, began);
  if (stopping_ && active_ == 0) sleeper_.wake();
}

/// Routing decides anew at every attempt: a wave that was rolled back re-routes what is queued
/// already. Leaves in the job exactly the recipients that go to its next hop now, at most `most`;
/// the others are put where they belong.
outbound::AttemptInput QueueImpl::ask_routing(Index at, const mail::Envelope& envelope,
                                              std::size_t most) {
  Job& job = jobs_[at];
  const Index hop = job.hop;
  const RecipientList recipients = std::move(job.recipients);
  job.recipients = RecipientList();
  outbound::AttemptInput input;
  std::vector<std::uint32_t> staying;
  Leaving leaving;
  std::size_t asked = 0;
  for (; asked < recipients.size() && staying.size() < most; ++asked) {
    const std::uint32_t i = recipients[asked];
    routing::Decision decision = decide(envelope, i);
    if (way_of(job.message, envelope, i, decision) != Way::goes ||
        decision.next_hop != hops_[hop].name) {
      leaving.emplace_back(i, std::move(decision));
      continue;
    }
    staying.push_back(i);
    if (!rerouted_.empty()) bind_reroute(envelope, i);
    routing::SenderChoice sender =
        context_.router.get()->sender_for(envelope.reverse_path, decision, clock().now());
    if (!sender.trouble.empty() && input.recipients.empty())
      ops::log().warn("message {}: the sender {} is not rewritten: {}", envelope.id.to_string(),
                      mail::to_string(envelope.reverse_path), sender.trouble);
    input.recipients.push_back({i, std::move(decision.target), std::move(sender.rewritten)});
  }
  if (asked < recipients.size()) {
    // The rest goes behind the others of its lane: a long list must not delay others.
    add_rest(job, {recipients.begin() + asked, recipients.end()});
  }
  job.recipients = RecipientList(std::move(staying));
  job.route = mark_of(input);
  put_away(at, envelope, std::move(leaving));
  return input;
}

/// What routing says of a recipient now, as far as the queue is concerned.
QueueImpl::Way QueueImpl::way_of(Index message, const mail::Envelope& envelope,
                                 std::uint32_t recipient, const routing::Decision& decision) {
  if (is_gone(envelope.recipients[recipient], decision)) return Way::ends;
  switch (decision.verdict) {
    case routing::Verdict::rewrite:
    case routing::Verdict::pass:
      if (suspended_by(envelope, recipient, decision) != nullptr) return Way::suspended;
      return way_beside_copies(message, envelope, recipient, decision);
    case routing::Verdict::hold:
      return Way::held;
    case routing::Verdict::defer:
    case routing::Verdict::refuse:
      break;
  }
  return Way::nowhere;
}

/// Recipients that the job `from` has had until now: each goes where it belongs.
void QueueImpl::put_away(Index from, const mail::Envelope& envelope, Leaving leaving) {
  if (leaving.empty()) return;
  const Index message = jobs_[from].message;
  const Index hop = jobs_[from].hop;
  const bool told = jobs_[from].delay_told;
  std::map<Index, std::vector<std::uint32_t>> moving;
  std::vector<std::uint32_t> merging;
  Leaving unroutable;
  for (auto& [i, decision] : leaving) {
    switch (way_of(message, envelope, i, decision)) {
      case Way::goes:
        bind_reroute(envelope, i);
        moving[hop_of(decision.next_hop)].push_back(i);
        break;
      case Way::ends:
        end_copy(message, envelope, i, decision);
        break;
      case Way::arrived:
        end_as_copy(message, envelope, i, decision);
        break;
      case Way::behind_copy:
        merging.push_back(i);
        break;
      case Way::held:
        hold(message, {i, HeldBy::wave, told}, envelope, decision);
        break;
      case Way::suspended:
        decision.why = "suspended by an operator; 'waypost queue resume' lets it go";
        hold(message, {i, HeldBy::suspension, told}, envelope, decision);
        break;
      case Way::nowhere:
        unroutable.emplace_back(i, std::move(decision));
        break;
    }
  }
  for (auto& [wanted, recipients] : moving) {
    add_job(message, wanted, std::move(recipients), told);
    if (wanted != hop) dispatch(wanted);
  }
  if (!merging.empty()) wait_for_copy(from, std::move(merging));
  if (!unroutable.empty()) defer_by_routing(message, hop, jobs_[from], envelope, unroutable);
}

RouteMark QueueImpl::mark_of(const outbound::AttemptInput& input) {
  RouteMark mark;
  for (const auto& one : input.recipients) mark.add(one.index, one.target);
  return mark;
}

routing::Decision QueueImpl::decide(const mail::Envelope& envelope, std::uint32_t recipient) const {
  routing::Decision decision = decide_unordered(envelope, recipient);
  if (rerouted_.empty() || !goes(decision)) return decision;
  const Reroute* const ordered = reroute_of(envelope.id, recipient);
  if (ordered != nullptr && is_served(*ordered) &&
      (ordered->of.empty() || ordered->of == reroute_key(decision)))
    decision.next_hop = ordered->next_hop;
  return decision;
}

/// As if no operator had ordered another next hop.
routing::Decision QueueImpl::decide_unordered(const mail::Envelope& envelope,
                                              std::uint32_t recipient) const {
  const mail::Mailbox& original = envelope.recipients[recipient].original;
  routing::Decision decision = context_.router.get()->decide(original, clock().now());
  keep_address(envelope, recipient, decision);
  if (envelope.is_report && is_nowhere(decision) && !options_.report_next_hop.empty()) {
    // Senders who are still on Exchange, or outside, are in no table.
    decision.verdict = routing::Verdict::pass;
    decision.target = original;
    decision.next_hop = options_.report_next_hop;
  }
  return decision;
}

bool QueueImpl::is_nowhere(const routing::Decision& decision) {
  return decision.verdict == routing::Verdict::refuse ||
         decision.verdict == routing::Verdict::defer;
}

bool QueueImpl::goes(const routing::Decision& decision) {
  return decision.verdict == routing::Verdict::rewrite ||
         decision.verdict == routing::Verdict::pass;
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

}  // namespace waypost::queue
