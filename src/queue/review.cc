// What waits is asked again when something has been said that may change its way: another table, a
// wave, a suspension. Wherever it waits: held, for its next attempt, behind a next hop that is
// suspended or left alone, for a place in its domain. Only an attempt that runs is not touched;
// when it comes back its message is asked then.
//
// In slices: a million may wait, and each message costs a read of its envelope.
#include "queue/queue_impl.h"

#include <algorithm>

namespace waypost::queue {
namespace {

constexpr std::uint32_t kSlice = 4096;
constexpr std::uint32_t kReadInSlice = 64;
constexpr std::chrono::milliseconds kNextSlice{1};

}  // namespace

void QueueImpl::routes_changed() { review_all(true); }

/// `everything`: other routes. Else only suspensions have changed: what is in no lane that stands
/// still will be asked by its attempt.
void QueueImpl::review_all(bool everything) {
  ++changes_;
  if (everything) changed_at_ = now();
  // Each message is looked at once more, wherever the walk is; what comes meanwhile knows the new
  // routes already.
  const bool walks = review_left_ > 0;
  review_left_ = messages_.end();
  review_everything_ = everything || (walks && review_everything_);
  if (!walks) review_some();
  // Next hops may have come or gone.
  for (Index hop = 0; hop < hops_.size(); ++hop) dispatch(hop);
}

void QueueImpl::review_some() {
  std::uint32_t read = 0;
  for (std::uint32_t seen = 0; review_left_ > 0 && seen < kSlice && read < kReadInSlice; ++seen) {
    if (review_at_ >= messages_.end()) review_at_ = 0;
    const Index at = review_at_++;
    --review_left_;
    if (!messages_[at].alive || !is_to_review(messages_[at])) continue;
    ++read;
    review(at, envelope_of(at), review_everything_);
  }
  if (review_left_ > 0) set_timer(now() + kNextSlice, Due::review, 0, 0);
}

bool QueueImpl::is_to_review(const Message& message) const {
  if (message.has_held() && review_everything_) return true;
  for (Index j = message.first_job; j != kNone; j = jobs_[j].next) {
    if (jobs_[j].state == JobState::active) continue;
    if (review_everything_ || stands_still(jobs_[j].hop)) return true;
  }
  return false;
}

/// `held`: what is held, too. (When a suspension ends its own walk lets go what it has held.)
void QueueImpl::review(Index at, const std::shared_ptr<const mail::Envelope>& envelope, bool held) {
  if (!envelope) return;
  const bool outer = std::exchange(dispatching_, true);  // nothing goes while it is looked at
  if (held) review_held(at, envelope);
  review_jobs(at, *envelope);
  note_released(at);
  let_go(at);
  report_if_quiet(at);
  finish_if_done(at);
  if (!outer) dispatch_rest();
}

/// What has just come into a lane that stands still is to be reviewed: no attempt would ask soon,
/// and nobody would see that it is held, or has no way.
bool QueueImpl::stands_still_with(const Message& message) const {
  for (Index j = message.first_job; j != kNone; j = jobs_[j].next)
    if (jobs_[j].state != JobState::active && stands_still(jobs_[j].hop)) return true;
  return false;
}

/// Decides in place: what is still held stays where it is, and nothing is written about it.
void QueueImpl::review_held(Index at, const std::shared_ptr<const mail::Envelope>& envelope) {
  if (!messages_[at].has_held()) return;
  std::vector<std::uint32_t> released;
  bool told = false;
  std::erase_if(messages_[at].live->held, [&](HeldRecipient& one) {
    if (one.by == HeldBy::damage) return false;
    const routing::Decision decision = decide(*envelope, one.index);
    one.hop = held_hop(*envelope, one.index, decision);
    const bool held =
        !is_gone(envelope->recipients[one.index], decision) &&
        (one.by == HeldBy::command ||
         (one.by == HeldBy::wave && decision.verdict == routing::Verdict::hold) ||
         (one.by == HeldBy::suspension && suspended_by(*envelope, one.index, decision) != nullptr));
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
  add_jobs(at, *envelope, released, told);
}

void QueueImpl::review_jobs(Index at, const mail::Envelope& envelope) {
  std::vector<Index> jobs;
  for (Index j = messages_[at].first_job; j != kNone; j = jobs_[j].next) {
    if (jobs_[j].state != JobState::active) jobs.push_back(j);
  }
  for (const Index job : jobs) review_job(job, envelope);
}

/// Takes out of a job whoever goes elsewhere now. A job that waits for its next attempt does not
/// wait for it if its address is another now.
void QueueImpl::review_job(Index at, const mail::Envelope& envelope) {
  Job& job = jobs_[at];
  const JobState state = job.state;
  std::vector<std::uint32_t> staying;
  Leaving leaving;
  RouteMark route;
  bool nowhere = false;
  for (const std::uint32_t i : job.recipients) {
    routing::Decision decision = decide(envelope, i);
    const Way way = way_of(job.message, envelope, i, decision);
    const bool unasked = way == Way::nowhere || way == Way::behind_copy;
    // Who has no way waits for a word of routing; in a lane that moves, an attempt asks for it.
    const bool stays = unasked ? state == JobState::waiting || !stands_still(job.hop)
                               : way == Way::goes && decision.next_hop == hops_[job.hop].name;
    if (!stays) {
      leaving.emplace_back(i, std::move(decision));
      continue;
    }
    nowhere = nowhere || unasked;
    if (!unasked) route.add(i, decision.target);
    staying.push_back(i);
  }
  const bool asks_now = state == JobState::waiting && !staying.empty() && !nowhere &&
                        (job.route.is_nowhere() || route.differs(job.route));
  if (leaving.empty()) {
    if (!asks_now) return;
    make_ready(at);
    return dispatch(job.hop);
  }
  const SteadyTime due = job.due;
  take_out(at);
  job.recipients = RecipientList(std::move(staying));
  if (!job.route.is_nowhere()) job.route = route;
  put_away(at, envelope, std::move(leaving));
  if (job.recipients.empty()) return remove_job(at);
  if (state == JobState::waiting && !asks_now) return make_waiting(at, due);
  make_ready(at);
  dispatch(job.hop);
}

/// As review, and what waits of `wave` is tried now.
AskedAgain QueueImpl::ask_again(const std::string& wave, const Slice& slice) {
  AskedAgain result;
  if (slice.from == 0) {
    ++asking_;
    ++changes_;
    changed_at_ = now();
    for (Hop& hop : hops_) hop.site.open();
  }
  const Index until = std::min(messages_.end(), slice.from + slice.most_seen);
  Index at = slice.from;
  for (std::uint32_t read = 0; at < until && read < kReadInSlice; ++at) {
    if (!messages_[at].alive) continue;
    ++read;
    const auto envelope = envelope_of(at);
    if (!envelope) continue;
    const bool outer = std::exchange(dispatching_, true);
    const std::uint32_t generation = messages_[at].generation;
    review(at, envelope);
    if (messages_[at].alive && messages_[at].generation == generation)
      try_wave_now(at, *envelope, wave, result);
    if (!outer) dispatch_rest();
  }
  if (at < messages_.end()) result.next = at;
  if (result.next == 0 && asking_ > 0) --asking_;
  for (Index hop = 0; hop < hops_.size(); ++hop) dispatch(hop);
  return result;
}

void QueueImpl::try_wave_now(Index at, const mail::Envelope& envelope, const std::string& wave,
                             AskedAgain& result) {
  for (Index j = messages_[at].first_job; j != kNone; j = jobs_[j].next) {
    const Job& job = jobs_[j];
    std::uint64_t meant = 0;
    for (const std::uint32_t i : job.recipients) {
      const routing::Decision decision = decide(envelope, i);
      if (decision.wave != wave) continue;
      ++meant;
      const bool runs = job.state == JobState::active;
      const bool rerouted = !rerouted_.empty() && is_rerouted(envelope, i);
      ++(runs                       ? result.in_delivery
         : is_nowhere(decision)     ? result.nowhere
         : rerouted                 ? result.rerouted
         : hops_[job.hop].suspended ? result.suspended
                                    : result.let_go);
    }
    if (meant > 0 && job.state == JobState::waiting) make_ready(j);
    if (meant > 0) dispatch(job.hop);
  }
  if (!messages_[at].has_held()) return;
  for (const HeldRecipient& one : messages_[at].live->held) {
    if (one.by == HeldBy::damage || decide(envelope, one.index).wave != wave) continue;
    ++(one.by == HeldBy::suspension ? result.suspended : result.held);
  }
}

}  // namespace waypost::queue
