#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <algorithm>

namespace waypost::queue {
namespace {

constexpr std::size_t kKeptReply = 200;

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
  event.rewritten_sender = outcome.rewritten_sender;
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

/// `said`: to whom what was said, not empty. `hop`: null: it was none that has answered.
void QueueImpl::remember_reply(Job& job, Hop* hop,
                               const std::vector<std::pair<std::uint32_t, mail::Outcome>>& said) {
  ReplyRef last = hop != nullptr ? hop->last_reply : nullptr;
  Reply::Own own;
  bool differ = false;
  for (const auto& [recipient, outcome] : said) {
    std::string text = mail::printable(outcome.reply, kKeptReply);
    if (!last || last->text() != text) {
      differ = differ || !own.empty();
      mail::Outcome kept = outcome;
      kept.reply = std::move(text);
      last = ReplyRef(new Reply(std::move(kept)));
    }
    own.emplace_back(recipient, last);
  }
  if (hop != nullptr) hop->last_reply = last;
  job.last_reply = last;
  if (!differ) return;
  std::sort(own.begin(), own.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  job.last_reply = ReplyRef(new Reply(last->outcome, std::move(own)));
}

void QueueImpl::apply(Index at, const outbound::AttemptInput& input,
                      const outbound::AttemptResult& result, Began began) {
  const Index message = jobs_[at].message;
  const Index hop = jobs_[at].hop;
  const std::uint32_t attempts = jobs_[at].attempts;
  const auto envelope = input.envelope;
  const std::uint32_t generation = messages_[message].generation;
  --hops_[hop].active;
  std::vector<std::uint32_t> deferred;
  std::vector<std::pair<std::uint32_t, mail::Outcome>> said;
  RouteMark route;
  for (std::size_t k = 0; k < input.recipients.size(); ++k) {
    const mail::Outcome& outcome = result.outcomes[k];
    const std::uint32_t i = input.recipients[k].index;
    if (outcome.fate == mail::Fate::deferred) {
      deferred.push_back(i);
      route.add(i, input.recipients[k].target);
      said.emplace_back(i, outcome);
      continue;
    }
    const std::string target = input.recipients[k].target.to_string();
    const bool delivered = outcome.fate == mail::Fate::delivered;
    track(delivered ? ops::TrackingKind::delivered : ops::TrackingKind::failed, *envelope, i,
          target, hops_[hop].name, outcome, attempts, &result, {});
    const bool wants_success = (envelope->recipients[i].notify & mail::kNotifySuccess) != 0;
    if (!delivered) {
      note_unreturnable(*envelope, i, outcome);
      end_recipient(message, {i, outcome, clock().now(), mail::ReportAction::failed});
    } else if (wants_success && !outcome.remote_has_dsn && envelope->reverse_path) {
      end_recipient(message,
                    {i, outcome, clock().now(), mail::ReportAction::relayed});  // RFC 3461 §5.2.2
    } else {
      context_.spool.settle(messages_[message].ref(), i, spool::Settlement::delivered);
      --messages_[message].open;
    }
    wake_behind_copy(message, *envelope, i);
  }
  judge_site(hop, result, began.at);
  if (deferred.empty()) {
    remove_job(at);
  } else {
    Job& job = jobs_[at];
    job.recipients = RecipientList(std::move(deferred));
    job.route = route;
    // A site that can't be reached is the site's trouble, not that of each message that met it.
    if (!result.unreachable) ++job.failures;
    const auto& schedule = hops_[hop].policy.backoff;
    SteadyTime due = now() + backoff_.after(schedule, std::max<std::uint32_t>(job.failures, 1));
    if (result.unreachable && hops_[hop].site.paused(now())) due = hops_[hop].site.paused_until();
    remember_reply(job, &hops_[hop], said);
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
  // What was said while it ran has found it in delivery.
  const bool left = messages_[message].alive && messages_[message].generation == generation;
  if (left && began.changes != changes_) review(message, envelope);
  dispatch(hop);
}

/// What an attempt says about the next hop, whatever became of its recipients.
void QueueImpl::judge_site(Index at, const outbound::AttemptResult& result, SteadyTime began) {
  Hop& hop = hops_[at];
  if (!result.outcomes.empty() && !result.outcomes.back().reply.empty()) {
    hop.last_answer.assign(result.outcomes.back().reply, 0, kKeptReply);
    hop.answered_at = now();
  }
  const mail::Outcome* why = nullptr;
  bool delivered = false;
  bool answered = false;
  for (const mail::Outcome& outcome : result.outcomes) {
    delivered = delivered || outcome.fate == mail::Fate::delivered;
    answered = answered || outcome.from_remote || outcome.fate != mail::Fate::deferred;
    if (outcome.fate == mail::Fate::deferred) why = &outcome;
  }
  if (result.site_trouble || result.unreachable) {
    if (hop.site.troubled(!result.unreachable, began, now())) pause_hop(at, why);
    return;
  }
  if (result.asks_for_less) {
    hop.site.shrink(began, now());
  } else if (delivered) {
    const auto deliverer = context_.deliverers.find(hop.name);
    hop.site.succeeded(
        most_at_once(hop, deliverer == context_.deliverers.end() ? nullptr : deliverer->second));
  }
  if (!answered && why != nullptr) return;
  hop.site.speaks_with_us();
  if (const auto lasted = context_.news->back(hop.name, began, now()))
    ops::log().info("next hop {}: it answers again, after {} s", hop.name,
                    lasted->count() / 1'000'000);
}

void QueueImpl::pause_hop(Index at, const mail::Outcome* why) {
  Hop& hop = hops_[at];
  const Duration pause = backoff_.after(hop.policy.backoff, hop.site.troubles() + 1);
  hop.site.pause(now() + pause);
  hop.paused_until_wall = wall(hop.site.paused_until());
  if (why != nullptr && !why->reply.empty()) {
    mail::Outcome kept = *why;
    kept.reply = mail::printable(why->reply, kKeptReply);
    hop.last_reply = ReplyRef(new Reply(std::move(kept)));
  }
  const auto times = context_.news->down(hop.name, now(), hop.site.paused_until());
  if (!times) return;
  ops::log().warn("next hop {}: {}; trying again in {} s with one connection{}", hop.name,
                  hop.last_reply ? hop.last_reply->text() : "trouble", pause.count() / 1'000'000,
                  *times > 1 ? " (" + std::to_string(*times) + " times in a row)" : std::string());
}

/// The recipient goes no further; what remains is to tell the sender, or not.
void QueueImpl::end_recipient(Index at, EndedRecipient ended) {
  messages_[at].need_live().ended.push_back(std::move(ended));
}

void QueueImpl::fail_recipient(Index message, const mail::Envelope& envelope,
                               std::uint32_t recipient, const std::string& hop,
                               const mail::Outcome& outcome, std::uint32_t attempts) {
  track(ops::TrackingKind::failed, envelope, recipient, "", hop, outcome, attempts, nullptr, {});
  note_unreturnable(envelope, recipient, outcome);
  end_recipient(message, {recipient, outcome, clock().now(), mail::ReportAction::failed});
}

/// Routing does not want these recipients (any more): unknown_grace long it may be a mistake that
/// is mended. They wait together, so that those that fail in the end are told of in one report.
/// `like`: the job that they come from.
void QueueImpl::defer_by_routing(Index message, Index hop, const Job& like,
                                 const mail::Envelope& envelope, const Leaving& recipients) {
  look_at_clock();
  const bool grace = sure_age(messages_[message]) < options_.unknown_grace && !envelope.is_report;
  std::vector<std::uint32_t> patient;
  std::vector<std::pair<std::uint32_t, mail::Outcome>> said;
  for (const auto& [i, decision] : recipients) {
    mail::Outcome outcome;
    outcome.reply = decision.reply.to_line();
    outcome.status = decision.reply.status;
    if (decision.verdict == routing::Verdict::defer || grace) {
      patient.push_back(i);
      said.emplace_back(i, std::move(outcome));
      continue;
    }
    outcome.fate = mail::Fate::failed;
    if (outcome.status.klass != 5) outcome.status = mail::status::unknown_mailbox;
    fail_recipient(message, envelope, i, hops_[hop].name, outcome, 0);
  }
  if (patient.empty()) return;
  const Index parked = add_rest(like, patient);
  Job& job = jobs_[parked];
  ++job.failures;
  job.route = RouteMark::nowhere();
  remember_reply(job, nullptr, said);
  const SteadyTime due = now() + backoff_.after(hops_[hop].policy.backoff, job.failures);
  for (const auto& [i, outcome] : said)
    track(ops::TrackingKind::deferred, envelope, i, "", hops_[hop].name, outcome, 0, nullptr,
          wall(due));
  take_out(parked);
  make_waiting(parked, due);
}

}  // namespace waypost::queue
