#include "queue/queue_impl.h"

#include <algorithm>

namespace waypost::queue {

QueueImpl::Index QueueImpl::hop_of(const std::string& name) {
  if (last_hop_ < hops_.size() && hops_[last_hop_].name == name) return last_hop_;
  const auto found = hop_index_.find(name);
  if (found != hop_index_.end()) return last_hop_ = found->second;
  const auto index = static_cast<Index>(hops_.size());
  hops_.emplace_back(name, options_.policy(name), jobs_);
  hop_index_[name] = index;
  for (const Selector& suspension : suspensions_) {
    if (suspension.only_next_hop() && (suspension.next_hop.empty() || suspension.next_hop == name))
      hops_.back().suspended = true;
  }
  return index;
}

/// Where it was to go when it was accepted, for the attempt asks routing anew; but in a lane that
/// stands still, or is about to, it may wait long for an attempt. So routing is asked here when it
/// may have changed since.
QueueImpl::Index QueueImpl::first_hop(const mail::Envelope& envelope, std::uint32_t recipient,
                                      SteadyTime decided) {
  const Index accepted = hop_of(envelope.recipients[recipient].next_hop);
  if (decided > changed_at_ && !stands_still(accepted)) return accepted;
  const routing::Decision decision = decide(envelope, recipient);
  return decision.next_hop.empty() ? accepted : hop_of(decision.next_hop);
}

/// Groups the recipients by next hop, in order of first appearance. No `delay_told`: after a
/// restart; it must be known before a job begins, for from there it may be held.
void QueueImpl::add_jobs(Index message, const mail::Envelope& envelope,
                         const std::vector<std::uint32_t>& recipients,
                         std::optional<bool> delay_told, SteadyTime decided) {
  Groups groups;
  for (const std::uint32_t i : recipients) {
    const Index hop = first_hop(envelope, i, decided);
    auto group = std::find_if(groups.begin(), groups.end(),
                              [hop](const auto& known) { return known.first == hop; });
    if (group == groups.end()) {
      groups.emplace_back(hop, std::vector<std::uint32_t>());
      group = std::prev(groups.end());
    }
    group->second.push_back(i);
  }
  for (auto& [hop, members] : groups) {
    const bool told = delay_told.value_or(told_by_age(message, hops_[hop].policy));
    add_job(message, hop, std::move(members), told);
  }
  for (const auto& [hop, members] : groups) dispatch(hop);
}

QueueImpl::Index QueueImpl::add_job(Index message, Index hop, std::vector<std::uint32_t> recipients,
                                    bool delay_told) {
  const Index at = jobs_.add();
  Job& job = jobs_[at];
  job.message = message;
  job.hop = static_cast<std::uint16_t>(hop);
  job.alive = true;
  job.delay_told = delay_told;
  job.generation = next_generation_++;
  job.recipients = RecipientList(std::move(recipients));
  job.next = messages_[message].first_job;
  if (job.next != kNone) jobs_[job.next].previous = at;
  messages_[message].first_job = at;
  ++messages_[message].moving;
  hops_[hop].ready.push_back(messages_[message].sender, at);
  // What moves to a next hop with less patience is due earlier than anybody has planned.
  plan_aging(deadline_of(messages_[message], hops_[hop].policy, delay_told));
  return at;
}

QueueImpl::Index QueueImpl::add_rest(const Job& whole, std::vector<std::uint32_t> recipients) {
  const Index at = add_job(whole.message, whole.hop, std::move(recipients), whole.delay_told);
  Job& rest = jobs_[at];
  rest.failures = whole.failures;
  rest.attempts = whole.attempts;
  rest.last_reply = whole.last_reply;
  rest.route = whole.route;
  return at;
}

bool QueueImpl::told_by_age(Index message, const Policy& policy) const {
  return age_of(messages_[message]) >= policy.delay_notice;
}

void QueueImpl::make_ready(Index at) {
  Job& job = jobs_[at];
  if (job.state == JobState::waiting) {
    --hops_[job.hop].waiting;
    ++messages_[job.message].moving;
  }
  job.state = JobState::ready;
  hops_[job.hop].ready.push_back(messages_[job.message].sender, at);
}

/// REQUIRES: the job is in no lane.
void QueueImpl::make_waiting(Index at, SteadyTime due) {
  Job& job = jobs_[at];
  job.state = JobState::waiting;
  job.due = due;
  ++hops_[job.hop].waiting;
  --messages_[job.message].moving;
  set_timer(due, Due::job, at, job.generation);
}

void QueueImpl::take_out(Index at) {
  Job& job = jobs_[at];
  if (job.state == JobState::ready) hops_[job.hop].ready.remove(messages_[job.message].sender, at);
  if (job.state == JobState::waiting) {
    --hops_[job.hop].waiting;
    ++messages_[job.message].moving;
  }
  job.state = JobState::active;
}

/// The job's recipients are elsewhere by now. REQUIRES: it is in no lane.
void QueueImpl::remove_job(Index at) {
  Job& job = jobs_[at];
  if (job.state == JobState::waiting) {
    --hops_[job.hop].waiting;
  } else {
    --messages_[job.message].moving;
  }
  if (job.previous != kNone) {
    jobs_[job.previous].next = job.next;
  } else {
    messages_[job.message].first_job = job.next;
  }
  if (job.next != kNone) jobs_[job.next].previous = job.previous;
  jobs_.remove(at);
}

/// REQUIRES: no attempt of the job runs. The job goes when nothing is left of it.
void QueueImpl::remove_recipients(Index at, const std::vector<std::uint32_t>& gone) {
  Job& job = jobs_[at];
  std::vector<std::uint32_t> left;
  for (const std::uint32_t i : job.recipients) {
    if (std::find(gone.begin(), gone.end(), i) == gone.end()) left.push_back(i);
  }
  if (left.empty()) {
    take_out(at);
    return remove_job(at);
  }
  job.recipients = RecipientList(std::move(left));
  if (!job.route.is_nowhere()) job.route = RouteMark();
}

}  // namespace waypost::queue
