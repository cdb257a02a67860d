#include "waypost/queue/queue.h"

#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <algorithm>
#include <functional>
#include <random>

namespace waypost::queue {

std::unique_ptr<Queue> Queue::make(Options options, Context context) {
  return std::make_unique<QueueImpl>(std::move(options), std::move(context));
}

QueueImpl::QueueImpl(Options options, Context context)
    : options_(std::move(options)),
      context_(std::move(context)),
      backoff_(options_.backoff, options_.jitter, std::random_device()()),
      sleeper_(context_.shard.timers),
      reports_sent_(context_.metrics.counter(
          "waypost_queue_reports_total", "Delivery status notifications", {{"result", "queued"}})),
      reports_lost_(context_.metrics.counter("waypost_queue_reports_total",
                                             "Delivery status notifications",
                                             {{"result", "undeliverable"}})),
      expired_(context_.metrics.counter("waypost_queue_expired_recipients_total",
                                        "Recipients given up because of age")) {
  if (options_.postmaster.empty()) options_.postmaster = "postmaster@" + context_.own_name;
}

void QueueImpl::submit(spool::MessageRef ref, std::shared_ptr<const mail::Envelope> envelope) {
  const mail::Envelope& what = *envelope;
  std::vector<std::uint32_t> all(what.recipients.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const Index message = add_message(ref, envelope, what.accepted_at, ref.recipients);
  add_jobs(message, *envelope, all);
}

void QueueImpl::restore(spool::StoredMessage stored) {
  auto decoded = mail::decode_envelope(stored.envelope);
  if (!decoded) {
    ops::log().error(
        "message {}: its envelope can't be read: {}; it stays in the spool, undelivered",
        stored.ref.id.to_string(), decoded.error().message);
    return;
  }
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < decoded->recipients.size(); ++i) {
    if (i >= stored.settled.size() || stored.settled[i] == spool::Settlement::open)
      open.push_back(i);
  }
  if (open.empty()) return;
  const std::string sender = mail::to_string(decoded->reverse_path);
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::requeued;
  event.at = clock().now();
  event.queue_id = stored.ref.id;
  event.sender = sender;
  event.message_id = decoded->message_id;
  event.recipients = static_cast<std::uint32_t>(open.size());
  context_.tracking.write(event);
  // The envelope is not kept: after a restart there may be a million of them.
  const Index message = add_message(stored.ref, nullptr, decoded->accepted_at,
                                    static_cast<std::uint32_t>(open.size()));
  messages_[message].marked_held = stored.held;
  add_jobs(message, *decoded, open);
}

QueueImpl::Index QueueImpl::add_message(spool::MessageRef ref,
                                        std::shared_ptr<const mail::Envelope> envelope,
                                        WallTime accepted_at, std::uint32_t open) {
  Message message;
  message.ref = ref;
  message.envelope = std::move(envelope);
  message.accepted_at = accepted_at;
  message.open = open;
  message.generation = next_generation_++;
  message.alive = true;
  const std::uint32_t generation = message.generation;
  const Index at = messages_.add(std::move(message));
  const Duration left = accepted_at + options_.expiry - clock().now();
  set_timer(now() + std::max(left, Duration::zero()), Due::expiry, at, generation);
  return at;
}

/// Groups the recipients by next hop, in order of first appearance.
void QueueImpl::add_jobs(Index message, const mail::Envelope& envelope,
                         const std::vector<std::uint32_t>& recipients) {
  std::vector<std::pair<std::string, std::vector<std::uint32_t>>> groups;
  for (const std::uint32_t i : recipients) {
    const std::string& hop = envelope.recipients[i].next_hop;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& known) { return known.first == hop; });
    if (group == groups.end()) {
      groups.emplace_back(hop, std::vector<std::uint32_t>());
      group = std::prev(groups.end());
    }
    group->second.push_back(i);
  }
  std::vector<Index> touched;
  for (auto& group : groups) {
    const Index hop = hop_of(group.first);
    add_job(message, hop, std::move(group.second));
    touched.push_back(hop);
  }
  for (const Index hop : touched) dispatch(hop);
}

QueueImpl::Index QueueImpl::hop_of(const std::string& name) {
  const auto found = hop_index_.find(name);
  if (found != hop_index_.end()) return found->second;
  const auto index = static_cast<Index>(hops_.size());
  hops_.emplace_back();
  hops_.back().name = name;
  hop_index_[name] = index;
  return index;
}

QueueImpl::Index QueueImpl::add_job(Index message, Index hop,
                                    std::vector<std::uint32_t> recipients) {
  Job job;
  job.message = message;
  job.hop = hop;
  job.alive = true;
  job.generation = next_generation_++;
  job.recipients = std::move(recipients);
  job.next = messages_[message].first_job;
  const std::uint32_t generation = job.generation;
  const Index at = jobs_.add(std::move(job));
  if (jobs_[at].next != Slab<Job>::kNone) jobs_[jobs_[at].next].previous = at;
  messages_[message].first_job = at;
  ++messages_[message].moving;
  hops_[hop].ready.push_back({at, generation});
  return at;
}

void QueueImpl::make_ready(Index at) {
  Job& job = jobs_[at];
  if (job.state == JobState::waiting) --hops_[job.hop].waiting;
  if (job.state == JobState::waiting) ++messages_[job.message].moving;
  job.state = JobState::ready;
  hops_[job.hop].ready.push_back({at, job.generation});
}

void QueueImpl::make_waiting(Index at, SteadyTime due) {
  Job& job = jobs_[at];
  job.state = JobState::waiting;
  job.due = due;
  ++hops_[job.hop].waiting;
  --messages_[job.message].moving;
  set_timer(due, Due::job, at, job.generation);
}

/// The job's recipients are elsewhere by now.
void QueueImpl::remove_job(Index at) {
  Job& job = jobs_[at];
  if (job.state == JobState::waiting) {
    --hops_[job.hop].waiting;
  } else {
    --messages_[job.message].moving;
  }
  if (job.previous != Slab<Job>::kNone) {
    jobs_[job.previous].next = job.next;
  } else {
    messages_[job.message].first_job = job.next;
  }
  if (job.next != Slab<Job>::kNone) jobs_[job.next].previous = job.previous;
  jobs_.remove(at);
}

void QueueImpl::finish_if_done(Index at) {
  if (messages_[at].alive && messages_[at].open == 0) messages_.remove(at);
}

std::shared_ptr<const mail::Envelope> QueueImpl::envelope_of(Index at) {
  if (messages_[at].envelope) return messages_[at].envelope;
  auto stored = context_.spool.load(messages_[at].ref);
  const std::string id = messages_[at].ref.id.to_string();
  if (!stored) {
    ops::log().error("message {}: can't be read from the spool: {}", id, stored.error().message);
    return nullptr;
  }
  auto decoded = mail::decode_envelope(stored->envelope);
  if (!decoded) {
    ops::log().error("message {}: its envelope can't be read: {}", id, decoded.error().message);
    return nullptr;
  }
  messages_[at].envelope = std::make_shared<const mail::Envelope>(std::move(*decoded));
  return messages_[at].envelope;
}

WallTime QueueImpl::wall(SteadyTime at) const {
  return clock().now() + std::chrono::duration_cast<Duration>(at - now());
}

void QueueImpl::set_timer(SteadyTime at, Due what, Index index, std::uint32_t generation) {
  const bool sooner = timers_.empty() || at < timers_.front().at;
  timers_.push_back({at, what, index, generation});
  std::push_heap(timers_.begin(), timers_.end(), std::greater<>());
  if (sooner) sleeper_.wake();
  if (timers_.size() > 2 * timers_swept_at_ + 1024) drop_dead_timers();
}

/// A delivered message leaves its expiry behind, two days ahead: at a thousand messages a second
/// they would fill the memory.
void QueueImpl::drop_dead_timers() {
  std::erase_if(timers_, [this](const Timer& timer) { return !means_something(timer); });
  std::make_heap(timers_.begin(), timers_.end(), std::greater<>());
  timers_swept_at_ = timers_.size();
}

bool QueueImpl::means_something(const Timer& timer) const {
  switch (timer.what) {
    case Due::job: {
      const Job& job = jobs_[timer.index];
      // A flush may have moved it on.
      return job.alive && job.generation == timer.generation && job.state == JobState::waiting &&
             job.due == timer.at;
    }
    case Due::expiry:
    case Due::report:
      return messages_[timer.index].alive && messages_[timer.index].generation == timer.generation;
    case Due::pause:
      return true;
  }
  return false;
}

void QueueImpl::fire(const Timer& timer) {
  if (!means_something(timer)) return;
  switch (timer.what) {
    case Due::job: {
      const Index hop = jobs_[timer.index].hop;
      make_ready(timer.index);
      return dispatch(hop);
    }
    case Due::expiry:
      return expire(timer.index);
    case Due::report:
      messages_[timer.index].report_timer = false;
      return begin_report(timer.index);
    case Due::pause:
      hops_[timer.index].pause_timer = false;
      return dispatch(timer.index);
  }
}

net::Task<void> QueueImpl::run() {
  while (!stopping_) {
    while (!timers_.empty() && timers_.front().at <= now() && !stopping_) {
      const Timer timer = timers_.front();
      std::pop_heap(timers_.begin(), timers_.end(), std::greater<>());
      timers_.pop_back();
      fire(timer);
    }
    const SteadyTime next = timers_.empty() ? SteadyTime::max() : timers_.front().at;
    const auto slept = co_await sleeper_.sleep_until(next);
    if (!slept) break;
  }
  stopping_ = true;
  // Who waits for a report (one on success too) would be tried again after the restart: a second
  // copy for a recipient that has it.
  for (Index at = 0; at < messages_.end(); ++at) begin_report(at);
  while (active_ > 0) {
    const auto slept = co_await sleeper_.sleep_until(SteadyTime::max());
    if (!slept) break;
  }
}

void QueueImpl::stop() {
  stopping_ = true;
  sleeper_.wake();
}

void QueueImpl::flush(const std::string& next_hop) {
  for (Index hop = 0; hop < hops_.size(); ++hop) {
    if (!next_hop.empty() && hops_[hop].name != next_hop) continue;
    hops_[hop].paused_until = {};
  }
  for (Index at = 0; at < jobs_.end(); ++at) {
    if (!jobs_[at].alive || jobs_[at].state != JobState::waiting) continue;
    if (next_hop.empty() || hops_[jobs_[at].hop].name == next_hop) make_ready(at);
  }
  for (Index hop = 0; hop < hops_.size(); ++hop) {
    if (next_hop.empty() || hops_[hop].name == next_hop) dispatch(hop);
  }
}

void QueueImpl::routes_changed() {
  for (Index at = 0; at < messages_.end(); ++at) {
    if (!messages_[at].alive || messages_[at].held.empty()) continue;
    const auto envelope = envelope_of(at);
    if (!envelope) continue;
    const std::vector<std::uint32_t> released = std::exchange(messages_[at].held, {});
    --held_;
    add_jobs(at, *envelope, released);
  }
  // Next hops may have come or gone.
  for (Index hop = 0; hop < hops_.size(); ++hop) dispatch(hop);
}

QueueStats QueueImpl::stats() const {
  QueueStats stats;
  stats.messages = messages_.size();
  stats.held = held_;
  stats.timers = timers_.size();
  for (Index at = 0; at < messages_.end(); ++at) {
    const Message& message = messages_[at];
    if (!message.alive) continue;
    if (stats.oldest == WallTime{} || message.accepted_at < stats.oldest)
      stats.oldest = message.accepted_at;
  }
  for (const Hop& hop : hops_) {
    NextHopState state;
    state.name = hop.name;
    state.ready = hop.ready.size() - hop.gone;
    state.waiting = hop.waiting;
    state.active = hop.active;
    state.consecutive_site_troubles = hop.troubles;
    if (hop.paused_until > now()) state.paused_until = hop.paused_until_wall;
    if (hop.last_reply) state.last_reply = *hop.last_reply;
    stats.next_hops.push_back(std::move(state));
  }
  return stats;
}

}  // namespace waypost::queue
