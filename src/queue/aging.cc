// Mail that gets old: the sender is told of a delay once, and of the end when time is up.
//
// No timer for each message: next_deadline_ is the soonest moment at which any may be due, and one
// timer waits for it; then a pass over all messages finds those that are, in slices. So it makes no
// difference where a recipient is: waiting, ready behind a paused next hop, suspended or held.
//
// What can't be undone (giving up, a notice) is never done on one reading of the wall clock, for
// others can set that: see sure_age().
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <boost/asio/detached.hpp>

namespace waypost::queue {
namespace {

constexpr std::uint32_t kSlice = 4096;
constexpr std::uint32_t kDueInSlice = 128;  // those cost a read and a report each
constexpr std::chrono::minutes kActiveAgain{1};
constexpr std::chrono::minutes kUnreadableAgain{10};
constexpr std::chrono::hours kMendTime{24};
constexpr std::chrono::minutes kLongestSleep{10};  // so often the wall clock is looked at
constexpr std::chrono::milliseconds kNextSlice{1};

bool wants_delay_notice(const mail::Envelope& envelope, const mail::Recipient& recipient) {
  if (!envelope.reverse_path || envelope.is_report) return false;
  return recipient.notify == mail::kNotifyUnset || (recipient.notify & mail::kNotifyDelay) != 0;
}

std::string age_words(Duration age) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(age).count();
  const auto many = static_cast<std::uint64_t>(std::max<std::int64_t>(minutes, 0));
  if (many % 60 != 0 || many == 0) return counted(many, "minute");
  return counted(many / 60, "hour");
}

}  // namespace

/// A jump of the wall clock may bring ages of which no pass knows: there is one when it is
/// believed.
void QueueImpl::look_at_clock() {
  if (wall_watch_.look(clock().now(), now())) return;
  plan_aging(wall_watch_.trusted_from());
  if (!context_.news->clock_jumped(now())) return;
  ops::log().warn(
      "the wall clock has jumped; what is old by it alone is not given up before the clock has run "
      "on for an hour");
}

/// By all that this process knows. It has seen the whole life of what it accepted itself; of what
/// it found it knows the wall time of acceptance.
Duration QueueImpl::age_of(const Message& message) const {
  const auto seen = std::chrono::floor<Duration>(now() - message.seen_at);
  if (!message.restored) return seen;
  return std::max<Duration>(seen, clock().now() - message.accepted_at);
}

/// So old it is at least, whatever somebody has done to the wall clock within the last hour.
Duration QueueImpl::sure_age(const Message& message) const {
  if (now() >= wall_watch_.trusted_from()) return age_of(message);
  return std::chrono::floor<Duration>(now() - message.seen_at);
}

/// When sure_age() will be so much, unless the wall clock jumps.
SteadyTime QueueImpl::due_at(const Message& message, Duration age) const {
  const SteadyTime by_steady = message.seen_at + age;
  if (!message.restored) return by_steady;
  const SteadyTime by_wall = now() + (message.accepted_at + age - clock().now());
  return std::min(by_steady, std::max(by_wall, wall_watch_.trusted_from()));
}

void QueueImpl::plan_aging(SteadyTime deadline) {
  seen_deadline_ = std::min(seen_deadline_, deadline);
  if (deadline >= next_deadline_) return;
  next_deadline_ = deadline;
  set_timer(std::clamp<SteadyTime>(deadline, now(), now() + kLongestSleep), Due::aging, 0,
            ++aging_generation_);
}

void QueueImpl::age_some() {
  look_at_clock();
  const SteadyTime present = now();
  std::uint32_t due = 0;
  if (next_deadline_ <= present || aging_at_ > 0) {
    const Index until = std::min(messages_.end(), aging_at_ + kSlice);
    for (; aging_at_ < until && due < kDueInSlice; ++aging_at_) {
      if (!messages_[aging_at_].alive) continue;
      SteadyTime next = deadline_of(messages_[aging_at_]);
      if (next <= present) {
        ++due;
        next = age(aging_at_);
      }
      seen_deadline_ = std::min(seen_deadline_, next);
    }
    if (aging_at_ < messages_.end()) {
      set_timer(now() + kNextSlice, Due::aging, 0, ++aging_generation_);
      return;
    }
    aging_at_ = 0;
    next_deadline_ = std::exchange(seen_deadline_, SteadyTime::max());
  }
  if (next_deadline_ == SteadyTime::max()) return;
  // A pass over a million takes a while: not more than one in a minute then.
  const Duration rest = std::chrono::microseconds(60 * messages_.end());
  const SteadyTime next = std::min<SteadyTime>(next_deadline_, present + kLongestSleep);
  set_timer(std::max<SteadyTime>(next, present + rest), Due::aging, 0, ++aging_generation_);
}

SteadyTime QueueImpl::deadline_of(const Message& message, const Policy& policy,
                                  bool delay_told) const {
  const bool notice = !delay_told && policy.delay_notice > Duration::zero();
  return due_at(message, notice ? std::min(policy.delay_notice, policy.expiry) : policy.expiry);
}

/// When something is due next, by what was told and by the policies alone: a pass reads nothing of
/// what is only old.
SteadyTime QueueImpl::deadline_of(const Message& message) const {
  const SteadyTime present = now();
  SteadyTime next = SteadyTime::max();
  for (Index j = message.first_job; j != kNone; j = jobs_[j].next) {
    const Job& job = jobs_[j];
    const SteadyTime due = deadline_of(message, hops_[job.hop].policy, job.delay_told);
    const bool later = job.state == JobState::active && due <= present;
    next = std::min<SteadyTime>(next, later ? present + kActiveAgain : due);
  }
  if (!message.has_held()) return next;
  for (const HeldRecipient& one : message.live->held)
    next = std::min(next, deadline_of(message, policy_of(one), one.delay_told));
  return next;
}

/// Does what is due; the next moment at which something may be.
SteadyTime QueueImpl::age(Index at) {
  const auto envelope = envelope_of(at);
  if (!envelope) return age_unreadable(at);
  const Duration old = sure_age(messages_[at]);
  Index following = kNone;
  for (Index j = messages_[at].first_job; j != kNone; j = following) {
    following = jobs_[j].next;
    if (jobs_[j].state == JobState::active || old < hops_[jobs_[j].hop].policy.expiry) continue;
    take_out(j);
    expire_job(j, *envelope);
  }
  if (messages_[at].has_held()) expire_held(at, *envelope);
  tell_delay(at, *envelope);
  let_go(at);
  note_released(at);
  report_if_quiet(at);
  finish_if_done(at);
  return messages_[at].alive ? deadline_of(messages_[at]) : SteadyTime::max();
}

/// Who could be told is not known. It may be mended; when it has been too old for a whole day, it
/// is given up as it is.
SteadyTime QueueImpl::age_unreadable(Index at) {
  Message& message = messages_[at];
  std::vector<std::uint32_t> lost;
  Index following = kNone;
  for (Index j = message.first_job; j != kNone; j = following) {
    following = jobs_[j].next;
    if (jobs_[j].state == JobState::active) continue;
    if (!past_mending(message, hops_[jobs_[j].hop].policy.expiry)) continue;
    lost.insert(lost.end(), jobs_[j].recipients.begin(), jobs_[j].recipients.end());
    take_out(j);
    remove_job(j);
  }
  if (message.has_held()) {
    std::erase_if(message.live->held, [&](const HeldRecipient& one) {
      const bool over = past_mending(message, policy_of(one).expiry);
      if (over) lost.push_back(one.index);
      return over;
    });
    if (message.live->held.empty()) --held_;
  }
  if (!lost.empty()) {
    expired_.add(lost.size());
    give_up_unread(at, std::move(lost), "is too old, and its envelope can't be read");
  }
  note_released(at);
  finish_if_done(at);
  return now() + kUnreadableAgain;
}

bool QueueImpl::past_mending(const Message& message, Duration expiry) const {
  return sure_age(message) >= expiry + kMendTime;
}

/// Settles them, loudly, for nobody else hears of it.
void QueueImpl::give_up_unread(Index at, std::vector<std::uint32_t> recipients,
                               const std::string& why) {
  Message& message = messages_[at];
  ops::log().critical("message {}: {}; {} given up, and no sender is told", message.id.to_string(),
                      why, counted(recipients.size(), "recipient is", "recipients are"));
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::failed;
  event.at = clock().now();
  event.queue_id = message.id;
  event.recipients = static_cast<std::uint32_t>(recipients.size());
  event.reply = why;
  context_.tracking.write(event);
  for (const std::uint32_t i : recipients) {
    context_.spool.settle(message.ref(), i, spool::Settlement::failed);
    --message.open;
  }
}

/// RFC 5321 §4.5.4.1. REQUIRES: the job is in no lane.
void QueueImpl::expire_job(Index at, const mail::Envelope& envelope) {
  const Job& job = jobs_[at];
  const Hop& hop = hops_[job.hop];
  for (const std::uint32_t i : job.recipients) {
    mail::Outcome outcome;
    if (job.last_reply) outcome = job.last_reply->of(i);
    const std::string last = outcome.reply;
    outcome.fate = mail::Fate::failed;
    outcome.status = mail::status::expired;
    outcome.from_remote = false;
    outcome.reply = "could not be delivered within " + age_words(hop.policy.expiry);
    if (!last.empty()) outcome.reply += "; the last answer was: " + last;
    expired_.add();
    fail_recipient(job.message, envelope, i, hop.name, outcome, job.attempts);
  }
  remove_job(at);
}

void QueueImpl::expire_held(Index at, const mail::Envelope& envelope) {
  const Duration old = sure_age(messages_[at]);
  std::vector<HeldRecipient> over;
  std::erase_if(messages_[at].live->held, [&](const HeldRecipient& one) {
    const bool expired = old >= policy_of(one).expiry;
    if (expired) over.push_back(one);
    return expired;
  });
  if (!over.empty() && messages_[at].live->held.empty()) --held_;
  mail::Outcome outcome;
  outcome.fate = mail::Fate::failed;
  outcome.status = mail::status::expired;
  for (const HeldRecipient& one : over) {
    expired_.add();
    outcome.reply = one.by == HeldBy::wave ? "was held for a migration" : "was held by an operator";
    outcome.reply += " for more than " + age_words(policy_of(one).expiry);
    fail_recipient(at, envelope, one.index, hop_name(one), outcome, 0);
  }
}

/// One notice for all recipients of the message that are late now.
void QueueImpl::tell_delay(Index at, const mail::Envelope& envelope) {
  const WallTime wall_now = clock().now();
  const Duration age = sure_age(messages_[at]);
  std::vector<mail::ReportedRecipient> late;
  const auto add = [&](std::uint32_t i, const mail::Outcome& outcome, Duration expiry) {
    if (!wants_delay_notice(envelope, envelope.recipients[i])) return;
    late.push_back({envelope.recipients[i], outcome, wall_now, wall_now + (expiry - age)});
  };
  for (Index j = messages_[at].first_job; j != kNone; j = jobs_[j].next) {
    Job& job = jobs_[j];
    const Policy& policy = hops_[job.hop].policy;
    const bool due = policy.delay_notice > Duration::zero() && age >= policy.delay_notice;
    if (job.delay_told || !due || job.state == JobState::active) continue;
    job.delay_told = true;
    mail::Outcome outcome;
    outcome.status = mail::status::no_answer;
    outcome.reply = "has not been tried yet: its next hop is in trouble or suspended";
    for (const std::uint32_t i : job.recipients)
      add(i, job.last_reply ? job.last_reply->of(i) : outcome, policy.expiry);
  }
  if (messages_[at].has_held()) {
    mail::Outcome outcome;
    outcome.status = mail::status::no_answer;
    for (HeldRecipient& one : messages_[at].live->held) {
      const Policy& policy = policy_of(one);
      const bool due = policy.delay_notice > Duration::zero() && age >= policy.delay_notice;
      if (std::exchange(one.delay_told, one.delay_told || due) || !due) continue;
      outcome.reply =
          one.by == HeldBy::wave ? "is held while the mailbox moves" : "is held by an operator";
      add(one.index, outcome, policy.expiry);
    }
  }
  if (late.empty()) return;
  delay_notices_.add();
  ++active_;
  boost::asio::co_spawn(
      context_.shard.io,
      report_delay(messages_[at].ref(), std::make_shared<const mail::Envelope>(envelope),
                   std::move(late)),
      boost::asio::detached);
}

net::Task<void> QueueImpl::report_delay(spool::MessageRef ref,
                                        std::shared_ptr<const mail::Envelope> envelope,
                                        std::vector<mail::ReportedRecipient> late) {
  const std::string id = ref.id.to_string();
  const auto sent =
      co_await send_report(envelope, ref, mail::ReportAction::delayed, std::move(late));
  if (!sent) {
    ops::log().error("message {}: the notice of its delay could not be queued: {}", id,
                     sent.error().message);
  }
  --active_;
  if (stopping_ && active_ == 0) sleeper_.wake();
}

}  // namespace waypost::queue
