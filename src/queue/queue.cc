#include "waypost/queue/queue.h"

#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <algorithm>
#include <functional>
#include <random>

namespace waypost::queue {

std::unique_ptr<Queue> Queue::make(Options options, Context context) {
  return std::make_unique<QueueImpl>(std::move(options), std::move(context));
}

namespace {

Duration soonest_of(const Options& options) {
  Duration soonest = Duration::max();
  const auto consider = [&soonest](const Policy& policy) {
    soonest = std::min(soonest, policy.expiry);
    if (policy.delay_notice > Duration::zero()) soonest = std::min(soonest, policy.delay_notice);
  };
  consider(options);
  for (const auto& [name, policy] : options.next_hops) consider(policy);
  return soonest;
}

/// So many messages, those submitted last, keep envelope and content in memory for their first
/// attempt. Mail that waits longer is read again: a million may wait.
constexpr std::size_t kWarm = 1000;

}  // namespace

QueueImpl::QueueImpl(Options options, Context context)
    : options_(std::move(options)),
      context_(std::move(context)),
      soonest_(soonest_of(options_)),
      backoff_(options_.jitter,
               options_.jitter_seed != 0 ? options_.jitter_seed : std::random_device()()),
      sleeper_(context_.shard.timers),
      wall_watch_(clock().now(), now()),
      reports_sent_(context_.metrics.counter(
          "waypost_queue_reports_total", "Delivery status notifications", {{"result", "queued"}})),
      reports_lost_(context_.metrics.counter("waypost_queue_reports_total",
                                             "Delivery status notifications",
                                             {{"result", "undeliverable"}})),
      reports_failed_(context_.metrics.counter(
          "waypost_queue_reports_total", "Delivery status notifications", {{"result", "failed"}})),
      expired_(context_.metrics.counter("waypost_queue_expired_recipients_total",
                                        "Recipients given up because of age")),
      delay_notices_(context_.metrics.counter("waypost_queue_delay_notices_total",
                                              "Messages whose sender was told of a delay")) {
  if (options_.postmaster.empty()) options_.postmaster = "postmaster@" + context_.own_name;
  if (context_.remembered != nullptr) {
    suspensions_ = context_.remembered->suspensions;
    rerouted_ = context_.remembered->rerouted;
  }
}

void QueueImpl::replace_options(Options options) {
  if (options.postmaster.empty()) options.postmaster = "postmaster@" + context_.own_name;
  const std::uint64_t seed =
      options.jitter_seed != 0 ? options.jitter_seed : std::random_device()();
  backoff_ = Backoff(options.jitter, seed);
  options_ = std::move(options);
  soonest_ = soonest_of(options_);
  for (Hop& hop : hops_) hop.policy = options_.policy(hop.name);
  plan_aging(now());  // a message may be due sooner than was planned
  for (Index hop = 0; hop < hops_.size(); ++hop) dispatch(hop);
}

void QueueImpl::submit(spool::MessageRef ref, std::shared_ptr<const mail::Envelope> envelope,
                       SteadyTime decided) {
  const Index message = add_message(ref, *envelope, ref.recipients);
  std::vector<std::uint32_t> all(envelope->recipients.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  messages_[message].need_live().envelope = envelope;
  add_jobs(message, *envelope, all, false, decided);
  keep_warm(message);
  if (stands_still_with(messages_[message])) review(message, envelope, false);
}

void QueueImpl::keep_warm(Index added) {
  warm_.emplace_back(added, messages_[added].generation);
  if (warm_.size() <= kWarm) return;
  const auto [at, generation] = warm_.front();
  warm_.pop_front();
  Message& message = messages_[at];
  if (!message.alive || message.generation != generation || has_attempt(at)) return;
  drop_from_memory(message);
}

void QueueImpl::restore(spool::StoredMessage stored) {
  auto decoded = mail::decode_envelope(stored.envelope);
  if (!decoded) return restore_unreadable(stored, decoded.error());
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
  const Index message = add_message(stored.ref, *decoded, static_cast<std::uint32_t>(open.size()));
  messages_[message].marked_held = stored.held;
  messages_[message].restored = true;
  plan_aging(due_at(messages_[message], soonest_));
  if (context_.remembered != nullptr) recall(message, *decoded, open);
  // Whoever is late already was told before the restart; telling nobody twice goes first.
  add_jobs(message, *decoded, open, std::nullopt);
  if (stands_still_with(messages_[message]))
    review(message, std::make_shared<const mail::Envelope>(std::move(*decoded)), false);
}

/// Nobody knows where it should go and who should be told: it waits for somebody who mends the
/// disk, and then restarts; or for a delete; or for its end.
void QueueImpl::restore_unreadable(const spool::StoredMessage& stored, const Error& why) {
  ops::log().error(
      "message {}: its envelope can't be read: {}; it is held, undelivered; 'waypost queue delete "
      "{}' gives it up",
      stored.ref.id.to_string(), why.message, stored.ref.id.to_string());
  std::vector<HeldRecipient> open;
  for (std::uint32_t i = 0; i < stored.ref.recipients; ++i) {
    if (i >= stored.settled.size() || stored.settled[i] == spool::Settlement::open)
      open.push_back({i, HeldBy::damage, true});
  }
  if (open.empty()) return;
  mail::Envelope unknown;
  // A queue id is a moment, too.
  unknown.accepted_at = WallTime(std::chrono::microseconds(stored.ref.id.value >> 4));
  const Index at = add_message(stored.ref, unknown, static_cast<std::uint32_t>(open.size()));
  messages_[at].marked_held = stored.held;
  messages_[at].restored = true;
  plan_aging(due_at(messages_[at], soonest_));
  messages_[at].need_live().held = std::move(open);
  ++held_;
}

QueueImpl::Index QueueImpl::add_message(spool::MessageRef ref, const mail::Envelope& envelope,
                                        std::uint32_t open) {
  const Index at = messages_.add();
  Message& message = messages_[at];
  message.id = ref.id;
  message.slot = ref.slot;
  message.recipients = ref.recipients;
  message.accepted_at = envelope.accepted_at;
  message.seen_at = now();
  message.open = open;
  message.generation = next_generation_++;
  message.alive = true;
  message.is_report = envelope.is_report;
  if (envelope.reverse_path) {
    const std::size_t hash = std::hash<std::string>()(envelope.reverse_path->to_string());
    message.sender = static_cast<std::uint32_t>(hash ^ hash >> 32);
  }
  plan_aging(due_at(message, soonest_));
  return at;
}

void QueueImpl::finish_if_done(Index at) {
  if (!messages_[at].alive || messages_[at].open > 0) return;
  if (!rerouted_.empty()) rerouted_.erase(messages_[at].id.value);
  messages_.remove(at);
}

std::shared_ptr<const mail::Envelope> QueueImpl::envelope_of(Index at) {
  Message& message = messages_[at];
  if (message.live && message.live->envelope) return message.live->envelope;
  auto stored = context_.spool.load(message.ref());
  const std::string id = message.id.to_string();
  if (!stored) {
    ops::log().error("message {}: can't be read from the spool: {}", id, stored.error().message);
    return nullptr;
  }
  auto decoded = mail::decode_envelope(stored->envelope);
  if (!decoded) {
    ops::log().error("message {}: its envelope can't be read: {}", id, decoded.error().message);
    return nullptr;
  }
  return std::make_shared<const mail::Envelope>(std::move(*decoded));
}

WallTime QueueImpl::wall(SteadyTime at) const {
  return clock().now() + std::chrono::duration_cast<Duration>(at - now());
}

void QueueImpl::set_timer(SteadyTime at, Due what, Index index, std::uint32_t generation) {
  const bool sooner = timers_.empty() || at < timers_.front().at;
  timers_.push_back({at, generation, index, static_cast<Index>(what)});
  std::push_heap(timers_.begin(), timers_.end(), std::greater<>());
  if (sooner) sleeper_.wake();
  if (timers_.size() > 2 * timers_swept_at_ + 1024) drop_dead_timers();
}

/// Flushed jobs leave their timers behind.
void QueueImpl::drop_dead_timers() {
  std::erase_if(timers_, [this](const Timer& timer) { return !means_something(timer); });
  std::make_heap(timers_.begin(), timers_.end(), std::greater<>());
  timers_swept_at_ = timers_.size();
}

bool QueueImpl::means_something(const Timer& timer) const {
  switch (timer.due()) {
    case Due::job: {
      const Job& job = jobs_[timer.index];
      // A flush may have moved it on.
      return job.alive && job.generation == timer.generation && job.state == JobState::waiting &&
             job.due == timer.at;
    }
    case Due::report:
      return messages_[timer.index].alive && messages_[timer.index].generation == timer.generation;
    case Due::aging:
      return timer.generation == aging_generation_;
    case Due::pause:
    case Due::review:
      return true;
  }
  return false;
}

void QueueImpl::fire(const Timer& timer) {
  if (!means_something(timer)) return;
  switch (timer.due()) {
    case Due::job: {
      const Index hop = jobs_[timer.index].hop;
      const Index message = jobs_[timer.index].message;
      make_ready(timer.index);
      // No attempt will ask there whether it still is the way.
      if (stands_still(hop)) return review(message, envelope_of(message));
      return dispatch(hop);
    }
    case Due::report:
      messages_[timer.index].report_timer = false;
      return begin_report(timer.index);
    case Due::pause:
      hops_[timer.index].pause_timer = false;
      return dispatch(timer.index);
    case Due::aging:
      return age_some();
    case Due::review:
      return review_some();
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
  for (Hop& hop : hops_) {
    if (next_hop.empty() || hop.name == next_hop) hop.site.open();
  }
  for (Index at = 0; at < jobs_.end(); ++at) {
    if (!jobs_[at].alive || jobs_[at].state != JobState::waiting) continue;
    if (next_hop.empty() || hops_[jobs_[at].hop].name == next_hop) make_ready(at);
  }
  for (Index hop = 0; hop < hops_.size(); ++hop) {
    if (next_hop.empty() || hops_[hop].name == next_hop) dispatch(hop);
  }
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
    if (!message.has_held()) continue;
    for (const HeldRecipient& one : message.live->held)
      stats.held_until =
          std::min(stats.held_until, clock().now() + (policy_of(one).expiry - age_of(message)));
  }
  for (const Hop& hop : hops_) {
    NextHopState state;
    state.name = hop.name.empty() ? "undecided" : hop.name;  // reports whose addressee has to wait
    state.ready = hop.ready.size();
    state.waiting = hop.waiting;
    state.active = hop.active;
    state.consecutive_site_troubles = hop.site.troubles();
    if (hop.site.paused(now())) state.paused_until = hop.paused_until_wall;
    state.last_reply = mail::printable(hop.last_answer, hop.last_answer.size());
    state.answered_at = hop.answered_at;
    const auto deliverer = context_.deliverers.find(hop.name);
    state.window = hop.site.window(
        most_at_once(hop, deliverer == context_.deliverers.end() ? nullptr : deliverer->second));
    state.suspended = hop.suspended;
    stats.next_hops.push_back(std::move(state));
  }
  return stats;
}

}  // namespace waypost::queue
