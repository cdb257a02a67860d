#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

namespace waypost::queue {
namespace {

constexpr std::size_t kKeptReply = 200;
constexpr std::chrono::minutes kExpiryRetry{1};

std::string tls_words(const net::TlsInfo& tls) {
  if (tls.version.empty()) return {};
  return tls.version + " " + tls.cipher +
         (tls.verified ? " verified=" + tls.peer_name : " unverified");
}

}  // namespace

void QueueImpl::track(ops::TrackingKind kind, const mail::Envelope& envelope,
                      std::uint32_t recipient, const std::string& target, const std::string& hop,
                      const mail::Outcome& outcome, std::uint32_t attempt,
                      const outbound::AttemptResult* result, WallTime next_attempt) {
  const std::string original = envelope.recipients[recipient].original.to_string();
  const std::string sender = mail::to_string(envelope.reverse_path);
  const std::string status = outcome.status.to_string();
  std::string tls;
  ops::TrackingEvent event;
  event.kind = kind;
  event.at = clock().now();
  event.queue_id = envelope.id;
  event.message_id = envelope.message_id;
  event.sender = sender;
  event.recipient = original;
  event.target = target;
  event.next_hop = hop;
  event.reply = outcome.reply;
  event.status = status;
  event.attempt = attempt;
  event.delay_us = std::max<std::int64_t>((event.at - envelope.accepted_at).count(), 0);
  event.next_attempt = next_attempt;
  if (result != nullptr) {
    tls = tls_words(result->tls);
    event.remote_host = result->remote_host;
    event.tls = tls;
    event.took_us = result->took.count();
  }
  context_.tracking.write(event);
}

void QueueImpl::remember_reply(Job& job, Hop& hop, const std::string& reply) {
  const std::string kept = mail::printable(reply, kKeptReply);
  // A thousand deferrals of one hop share one string.
  if (!hop.last_reply || *hop.last_reply != kept)
    hop.last_reply = std::make_shared<const std::string>(kept);
  job.last_reply = hop.last_reply;
}

void QueueImpl::apply(Index at, const outbound::AttemptInput& input,
                      const outbound::AttemptResult& result) {
  const Index message = jobs_[at].message;
  const Index hop = jobs_[at].hop;
  const std::uint32_t attempts = jobs_[at].attempts;
  const auto envelope = input.envelope;
  --hops_[hop].active;
  std::vector<std::uint32_t> deferred;
  const mail::Outcome* why = nullptr;
  for (std::size_t k = 0; k < input.recipients.size(); ++k) {
    const mail::Outcome& outcome = result.outcomes[k];
    const std::uint32_t i = input.recipients[k].index;
    if (outcome.fate == mail::Fate::deferred) {
      deferred.push_back(i);
      why = &outcome;
      continue;
    }
    const std::string target = input.recipients[k].target.to_string();
    const bool delivered = outcome.fate == mail::Fate::delivered;
    track(delivered ? ops::TrackingKind::delivered : ops::TrackingKind::failed, *envelope, i,
          target, hops_[hop].name, outcome, attempts, &result, {});
    const bool wants_success = (envelope->recipients[i].notify & mail::kNotifySuccess) != 0;
    if (!delivered) {
      end_recipient(message, {i, outcome, clock().now(), mail::ReportAction::failed});
    } else if (wants_success && !outcome.remote_has_dsn && envelope->reverse_path) {
      end_recipient(message,
                    {i, outcome, clock().now(), mail::ReportAction::relayed});  // RFC 3461 §5.2.2
    } else {
      context_.spool.settle(messages_[message].ref, i, spool::Settlement::delivered);
      --messages_[message].open;
    }
  }
  if (result.site_trouble) {
    pause_hop(hop, why != nullptr ? *why : mail::Outcome{});
  } else if (deferred.size() < input.recipients.size() || why == nullptr || why->from_remote) {
    hops_[hop].troubles = 0;  // it speaks with us
  }
  if (deferred.empty()) {
    remove_job(at);
  } else {
    Job& job = jobs_[at];
    job.recipients = deferred;
    // The site's trouble is counted for the site, not against each message that met it.
    if (!result.site_trouble) ++job.failures;
    SteadyTime due = now() + backoff_.after(std::max(job.failures, 1u));
    if (result.site_trouble) due = hops_[hop].paused_until;
    if (why != nullptr) remember_reply(job, hops_[hop], why->reply);
    for (std::size_t k = 0; k < input.recipients.size(); ++k) {
      if (result.outcomes[k].fate != mail::Fate::deferred) continue;
      track(ops::TrackingKind::deferred, *envelope, input.recipients[k].index,
            input.recipients[k].target.to_string(), hops_[hop].name, result.outcomes[k], attempts,
            &result, wall(due));
    }
    make_waiting(at, due);
    let_go(message);
  }
  report_if_quiet(message);
  finish_if_done(message);
  dispatch(hop);
}

void QueueImpl::pause_hop(Index at, const mail::Outcome& why) {
  Hop& hop = hops_[at];
  // Attempts that ran side by side meet the same trouble: it counts once.
  if (hop.paused_until > now()) return;
  ++hop.troubles;
  const Duration pause = backoff_.after(hop.troubles);
  hop.paused_until = now() + pause;
  hop.paused_until_wall = wall(hop.paused_until);
  if (!why.reply.empty())
    hop.last_reply = std::make_shared<const std::string>(mail::printable(why.reply, kKeptReply));
  ops::log().warn("next hop {}: {}; trying again in {} s with one connection ({} times in a row)",
                  hop.name, hop.last_reply ? *hop.last_reply : "trouble", pause.count() / 1'000'000,
                  hop.troubles);
}

/// The recipient goes no further; what remains is to tell the sender, or not.
void QueueImpl::end_recipient(Index at, EndedRecipient ended) {
  Message& message = messages_[at];
  if (!message.ended) message.ended = std::make_unique<std::vector<EndedRecipient>>();
  message.ended->push_back(std::move(ended));
}

/// Routing does not want this recipient (any more): unknown_grace long it may be a mistake that is
/// mended.
void QueueImpl::defer_by_routing(Index message, Index hop, std::uint32_t failures,
                                 const mail::Envelope& envelope,
                                 std::vector<std::uint32_t> recipients,
                                 const routing::Decision& decision) {
  mail::Outcome outcome;
  outcome.reply = decision.reply.to_line();
  outcome.status = decision.reply.status;
  const bool patient =
      decision.verdict == routing::Verdict::defer ||
      (clock().now() - envelope.accepted_at < options_.unknown_grace && !envelope.is_report);
  for (const std::uint32_t i : recipients) {
    if (patient) {
      outcome.fate = mail::Fate::deferred;
      const SteadyTime due = now() + backoff_.after(failures + 1);
      const Index parked = add_job(message, hop, {i});
      hops_[hop].ready.pop_back();  // add_job has put it there
      jobs_[parked].failures = failures + 1;
      remember_reply(jobs_[parked], hops_[hop], outcome.reply);
      track(ops::TrackingKind::deferred, envelope, i, "", hops_[hop].name, outcome, 0, nullptr,
            wall(due));
      make_waiting(parked, due);
    } else {
      outcome.fate = mail::Fate::failed;
      if (outcome.status.klass != 5) outcome.status = mail::status::unknown_mailbox;
      track(ops::TrackingKind::failed, envelope, i, "", hops_[hop].name, outcome, 0, nullptr, {});
      end_recipient(message, {i, outcome, clock().now(), mail::ReportAction::failed});
    }
  }
}

/// RFC 5321 §4.5.4.1: too old, wherever its recipients are, except under an attempt that runs.
void QueueImpl::expire(Index at) {
  const auto envelope = envelope_of(at);
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(options_.expiry).count();
  bool later = !envelope;
  Index following = Slab<Job>::kNone;
  for (Index j = envelope ? messages_[at].first_job : following; j != Slab<Job>::kNone;
       j = following) {
    following = jobs_[j].next;
    if (jobs_[j].state == JobState::active) {
      later = true;
      continue;
    }
    mail::Outcome outcome;
    outcome.fate = mail::Fate::failed;
    outcome.status = mail::status::expired;
    outcome.reply = "could not be delivered within " + std::to_string(hours) + " hours";
    if (jobs_[j].last_reply) outcome.reply += "; the last answer was: " + *jobs_[j].last_reply;
    for (const std::uint32_t i : jobs_[j].recipients) {
      expired_.add();
      track(ops::TrackingKind::failed, *envelope, i, "", hops_[jobs_[j].hop].name, outcome,
            jobs_[j].attempts, nullptr, {});
      end_recipient(at, {i, outcome, clock().now(), mail::ReportAction::failed});
    }
    if (jobs_[j].state == JobState::ready) ++hops_[jobs_[j].hop].gone;
    remove_job(j);
  }
  if (envelope && !messages_[at].held.empty()) {
    mail::Outcome outcome;
    outcome.fate = mail::Fate::failed;
    outcome.status = mail::status::expired;
    outcome.reply = "was held for a migration for more than " + std::to_string(hours) + " hours";
    const std::vector<std::uint32_t> held = std::exchange(messages_[at].held, {});
    --held_;
    for (const std::uint32_t i : held) {
      expired_.add();
      track(ops::TrackingKind::failed, *envelope, i, "", "", outcome, 0, nullptr, {});
      end_recipient(at, {i, outcome, clock().now(), mail::ReportAction::failed});
    }
  }
  if (later) set_timer(now() + kExpiryRetry, Due::expiry, at, messages_[at].generation);
  report_if_quiet(at);
  finish_if_done(at);
}

}  // namespace waypost::queue
