// What operators say to the queue. Everything acts on recipients, not on messages: who means bob
// does not mean the other 999 recipients of a message to bob.
#include "waypost/ops/log.h"

#include "queue/queue_impl.h"
#include "queue/selector.h"

#include <algorithm>
#include <set>

namespace waypost::queue {

bool QueueImpl::fits_message(const Message& message, const Selector& selector) const {
  if (!message.alive) return false;
  if (!selector.ids.empty() &&
      std::find(selector.ids.begin(), selector.ids.end(), message.id) == selector.ids.end())
    return false;
  const Duration age = age_of(message);
  if (selector.older_than > Duration::zero() && age < selector.older_than) return false;
  return selector.younger_than <= Duration::zero() || age < selector.younger_than;
}

bool QueueImpl::fits_recipient(const mail::Envelope& envelope, std::uint32_t recipient,
                               const Selector& selector) const {
  // Routing is asked only if the address that the client has named does not tell.
  if (selector.wave.empty() &&
      fits_address(envelope.recipients[recipient].original, nullptr, selector))
    return true;
  return fits_decided(envelope.recipients[recipient], decide(envelope, recipient), selector);
}

/// What counts is where the recipient goes now, as the list shows it; never where it was to go when
/// it was accepted.
bool QueueImpl::fits_decided(const mail::Recipient& recipient, const routing::Decision& decision,
                             const Selector& selector) {
  if (!selector.wave.empty() && decision.wave != selector.wave) return false;
  const mail::Mailbox& goes_to = is_gone(recipient, decision) ? recipient.target : decision.target;
  return fits_address(recipient.original, &goes_to, selector);
}

bool QueueImpl::goes_by(const mail::Envelope& envelope, std::uint32_t recipient,
                        const std::string& next_hop) const {
  const routing::Decision decision = decide(envelope, recipient);
  return decision.next_hop == next_hop && !is_nowhere(decision);
}

/// Which open recipients of the message are meant, by where they are.
QueueImpl::Picked QueueImpl::pick(Index at, const Selector& selector) {
  Picked picked;
  const Message& message = messages_[at];
  if (!fits_message(message, selector)) return picked;
  std::shared_ptr<const mail::Envelope> envelope;
  if (needs_envelope(selector)) {
    envelope = envelope_of(at);
    if (!envelope || !fits_sender(*envelope, selector)) return picked;
  }
  const bool asks = needs_envelope(selector);
  const auto wanted = [&](std::uint32_t i) {
    return !asks || fits_recipient(*envelope, i, selector);
  };
  // A job, or what is held, knows its next hop, but for two cases: the walk over what waits after a
  // change may not have come here yet, and who waits for a word of routing goes nowhere.
  const auto there = [&](std::uint32_t i, const std::string& hop, bool certain) {
    if (selector.next_hop.empty()) return true;
    if (!certain && !envelope) envelope = envelope_of(at);
    return certain || !envelope ? hop == selector.next_hop
                                : goes_by(*envelope, i, selector.next_hop);
  };
  const bool reviewed = all_reviewed();
  for (Index j = message.first_job; j != kNone; j = jobs_[j].next) {
    const Job& job = jobs_[j];
    const RecipientState state = job.state == JobState::ready    ? RecipientState::ready
                                 : job.state == JobState::active ? RecipientState::active
                                                                 : RecipientState::waiting;
    if (selector.state && *selector.state != state) continue;
    const bool certain = job.state == JobState::active || (reviewed && !job.route.is_nowhere());
    const auto answered = [&](std::uint32_t i) {
      return selector.reply.empty() ||
             (job.last_reply && matches_pattern(selector.reply, job.last_reply->of(i).reply));
    };
    std::vector<std::uint32_t> these;
    for (const std::uint32_t i : job.recipients) {
      if (answered(i) && there(i, hops_[job.hop].name, certain) && wanted(i)) these.push_back(i);
    }
    picked.count += these.size();
    if (!these.empty()) picked.jobs.emplace_back(j, std::move(these));
  }
  // No server has answered about a held recipient.
  if (message.live && selector.reply.empty() &&
      selector.state.value_or(RecipientState::held) == RecipientState::held) {
    for (const HeldRecipient& one : message.live->held) {
      const bool certain = reviewed || one.by == HeldBy::damage;
      if (there(one.index, hop_name(one), certain) && wanted(one.index))
        picked.held.push_back(one.index);
    }
    picked.count += picked.held.size();
  }
  if (message.live && selector.reply.empty() && selector.next_hop.empty() &&
      selector.state.value_or(RecipientState::ended) == RecipientState::ended) {
    for (const EndedRecipient& one : message.live->ended) {
      if (wanted(one.index)) picked.ended.push_back(one.index);
    }
  }
  return picked;
}

/// Of those that are meant, the ones on which the verb has an effect. `in_delivery`: how many an
/// attempt keeps from it.
QueueImpl::Picked QueueImpl::concerned(Index at, const Command& command,
                                       std::uint64_t& in_delivery) {
  const Verb verb = command.verb;
  const bool is_late = verb != Verb::release && verb != Verb::resume && verb != Verb::flush;
  // Whatever a suspension has put aside is asked again; what is still suspended comes back.
  Picked picked = pick(at, verb == Verb::resume ? Selector{} : command.selector);
  std::erase_if(picked.jobs, [&](const auto& one) {
    const JobState state = jobs_[one.first].state;
    if (state == JobState::active && is_late) in_delivery += one.second.size();
    return state == JobState::active ||  // too late for this attempt
           verb == Verb::release || verb == Verb::resume ||
           (verb == Verb::flush &&
            (state != JobState::waiting || hops_[jobs_[one.first].hop].suspended));
  });
  const auto held_by = [&](std::uint32_t index) {
    const auto& held = messages_[at].live->held;
    return std::find_if(held.begin(), held.end(),
                        [index](const auto& one) { return one.index == index; })
        ->by;
  };
  // To hold what is held by a command changes nothing, but counts: it may be that only the answer
  // to the first command was lost, and the journal has yet to hear of it.
  std::erase_if(picked.held, [&](std::uint32_t i) {
    return verb == Verb::flush || verb == Verb::suspend ||
           (verb == Verb::resume && held_by(i) != HeldBy::suspension) ||
           (held_by(i) == HeldBy::damage && verb != Verb::remove && verb != Verb::release);
  });
  return picked;
}

void QueueImpl::stand(const Command& command) {
  set_suspension(command);
  review_all(false);
}

ControlResult QueueImpl::control(const Command& command, const Slice& slice) {
  ControlResult result;
  // Its walk may come later than the word that ends it: nobody would let go what it holds.
  if (command.verb == Verb::suspend && !command.dry_run &&
      std::find(suspensions_.begin(), suspensions_.end(), command.selector) == suspensions_.end())
    return result;
  const Index until = std::min(messages_.end(), slice.from + slice.most_seen);
  for (Index at = slice.from; at < until; ++at) {
    if (messages_[at].alive) control_message(at, command, result);
  }
  if (until < messages_.end()) result.next = until;
  if (command.dry_run) return result;
  if (command.verb == Verb::flush && slice.from == 0) {
    for (Hop& hop : hops_) {
      if (command.selector.next_hop.empty() || hop.name == command.selector.next_hop)
        hop.site.open();
    }
  }
  for (Index hop = 0; hop < hops_.size(); ++hop) dispatch(hop);
  return result;
}

void QueueImpl::control_message(Index at, const Command& command, ControlResult& result) {
  const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
  if (standing && command.selector.only_next_hop()) {
    // A stopped next hop keeps its mail where it is; there is nothing to move.
    for (const auto& [job, recipients] : pick(at, command.selector).jobs) {
      const Hop& hop = hops_[jobs_[job].hop];
      const bool counts = command.verb == Verb::suspend ? jobs_[job].state != JobState::active
                                                        : hop.suspended || hop.just_resumed;
      if (counts) result.suspended += recipients.size();
      if (!counts && command.verb == Verb::suspend) result.in_delivery += recipients.size();
    }
    if (command.verb == Verb::suspend || !command.selector.everything()) return;
  }
  const QueueId id = messages_[at].id;
  const std::uint32_t generation = messages_[at].generation;
  const bool may_stay =
      command.verb == Verb::flush || command.verb == Verb::release || command.verb == Verb::suspend;
  const Picked meant = may_stay && !suspensions_.empty() ? pick(at, command.selector) : Picked();
  const Picked picked = concerned(at, command, result.in_delivery);
  Touched touched{id, picked.held, {}};
  for (const auto& [job, recipients] : picked.jobs)
    touched.recipients.insert(touched.recipients.end(), recipients.begin(), recipients.end());
  const auto count = touched.recipients.size();
  const bool done = count > 0 && (command.dry_run || act(at, picked, command));
  const bool left = messages_[at].alive && messages_[at].generation == generation;
  if (left) result.suspended += suspended_of(at, meant);
  if (!done) return;
  if (command.verb == Verb::suspend && command.dry_run) result.suspended += count;
  for (const std::uint32_t i : touched.recipients) {
    if (command.verb != Verb::reroute || command.dry_run) break;
    const Reroute* const way = reroute_of(id, i);
    touched.routes.push_back(way == nullptr ? std::string() : way->of);
  }
  result.recipients += count;
  result.touched.push_back(std::move(touched));
}

/// Of these recipients, how many wait behind a suspension now.
std::uint64_t QueueImpl::suspended_of(Index at, const Picked& meant) const {
  std::set<std::uint32_t> these(meant.held.begin(), meant.held.end());
  for (const auto& [job, recipients] : meant.jobs)
    these.insert(recipients.begin(), recipients.end());
  if (these.empty()) return 0;
  std::uint64_t count = 0;
  const Message& message = messages_[at];
  for (Index j = message.first_job; j != kNone; j = jobs_[j].next) {
    const Job& job = jobs_[j];
    if (!hops_[job.hop].suspended || job.state == JobState::active) continue;
    for (const std::uint32_t i : job.recipients) count += these.count(i);
  }
  if (!message.live) return count;
  for (const HeldRecipient& one : message.live->held) {
    if (one.by == HeldBy::suspension) count += these.count(one.index);
  }
  return count;
}

/// False: nothing could be done.
bool QueueImpl::act(Index at, const Picked& picked, const Command& command) {
  const auto envelope = envelope_of(at);
  if (!envelope) return act_unread(at, picked, command);
  const std::uint32_t generation = messages_[at].generation;
  std::uint32_t count = static_cast<std::uint32_t>(picked.held.size());
  for (const auto& [job, recipients] : picked.jobs)
    count += static_cast<std::uint32_t>(recipients.size());
  track_control(command, at, count);
  if (!picked.held.empty()) act_on_held(at, picked.held, command, *envelope);
  for (const auto& [job, recipients] : picked.jobs) {
    if (jobs_[job].alive) act_on_job(job, recipients, command, *envelope);
  }
  if (messages_[at].generation != generation) return true;
  note_released(at);
  let_go(at);
  report_if_quiet(at);
  finish_if_done(at);
  return true;
}

/// Without an envelope nobody can be sent or told anything; but it can be given up.
bool QueueImpl::act_unread(Index at, const Picked& picked, const Command& command) {
  if (command.verb != Verb::remove) return false;
  std::vector<std::uint32_t> gone = picked.held;
  for (const auto& [job, recipients] : picked.jobs) {
    gone.insert(gone.end(), recipients.begin(), recipients.end());
    remove_recipients(job, recipients);
  }
  if (!picked.held.empty()) {
    std::erase_if(messages_[at].live->held, [&](const HeldRecipient& one) {
      return std::find(picked.held.begin(), picked.held.end(), one.index) != picked.held.end();
    });
    if (messages_[at].live->held.empty()) --held_;
  }
  track_control(command, at, static_cast<std::uint32_t>(gone.size()));
  give_up_unread(at, std::move(gone), "deleted by " + command.by);
  note_released(at);
  finish_if_done(at);
  return true;
}

void QueueImpl::act_on_job(Index at, const std::vector<std::uint32_t>& recipients,
                           const Command& command, const mail::Envelope& envelope) {
  const Index message = jobs_[at].message;
  const bool told = jobs_[at].delay_told;
  const std::string hop = hops_[jobs_[at].hop].name;
  switch (command.verb) {
    case Verb::release:
    case Verb::resume:
      return;
    case Verb::flush:
      if (jobs_[at].state == JobState::waiting) make_ready(at);
      return;
    case Verb::hold:
    case Verb::suspend: {
      remove_recipients(at, recipients);
      routing::Decision decision;
      decision.next_hop = hop;
      decision.why = std::string(to_string(command.verb)) + " by " + command.by;
      const HeldBy by = command.verb == Verb::hold ? HeldBy::command : HeldBy::suspension;
      for (const std::uint32_t i : recipients) hold(message, {i, by, told}, envelope, decision);
      return;
    }
    case Verb::bounce:
    case Verb::remove:
      remove_recipients(at, recipients);
      for (const std::uint32_t i : recipients) give_up(message, envelope, i, hop, command);
      return;
    case Verb::reroute: {
      for (const std::uint32_t i : recipients)
        rerouted_[envelope.id.value][i] = {command.next_hop, reroute_about(envelope, i)};
      remove_recipients(at, recipients);
      add_job(message, hop_of(command.next_hop), recipients, told);
      return;
    }
  }
}

void QueueImpl::act_on_held(Index at, const std::vector<std::uint32_t>& recipients,
                            const Command& command, const mail::Envelope& envelope) {
  std::vector<std::uint32_t> out;
  bool told = false;
  const auto take = [&](auto&& which) {
    std::erase_if(messages_[at].live->held, [&](const HeldRecipient& one) {
      const bool meant = which(one) && std::find(recipients.begin(), recipients.end(), one.index) !=
                                           recipients.end();
      if (meant) out.push_back(one.index);
      if (meant) told = told || one.delay_told;
      return meant;
    });
    if (!out.empty() && messages_[at].live->held.empty()) --held_;
  };
  switch (command.verb) {
    case Verb::hold:
      for (HeldRecipient& one : messages_[at].live->held) {
        if (std::find(recipients.begin(), recipients.end(), one.index) != recipients.end())
          one.by = HeldBy::command;
      }
      return;
    case Verb::suspend:
    case Verb::flush:
      return;
    case Verb::reroute:
      for (HeldRecipient& one : messages_[at].live->held) {
        if (std::find(recipients.begin(), recipients.end(), one.index) == recipients.end())
          continue;
        rerouted_[envelope.id.value][one.index] = {command.next_hop,
                                                   reroute_about(envelope, one.index)};
        one.hop = static_cast<std::uint16_t>(hop_of(command.next_hop));
        plan_aging(deadline_of(messages_[at], policy_of(one), one.delay_told));
      }
      return;
    case Verb::resume:
      take([](const HeldRecipient& one) { return one.by == HeldBy::suspension; });
      break;
    case Verb::release:
      // What a wave or a suspension holds is asked again, and may be held again.
      take([](const HeldRecipient&) { return true; });
      break;
    case Verb::bounce:
    case Verb::remove:
      take([](const HeldRecipient&) { return true; });
      for (const std::uint32_t i : out) give_up(at, envelope, i, "", command);
      return;
  }
  for (const std::uint32_t i : out)
    track_released(at, envelope, i, decide(envelope, i).wave, &command);
  if (!out.empty()) add_jobs(at, envelope, out, told);
  if (!out.empty() && stands_still_with(messages_[at])) review_jobs(at, envelope);
}

/// bounce tells the sender; delete does not.
void QueueImpl::give_up(Index at, const mail::Envelope& envelope, std::uint32_t recipient,
                        const std::string& hop, const Command& command) {
  mail::Outcome outcome;
  outcome.fate = mail::Fate::failed;
  outcome.status = {5, 7, 0};
  outcome.reply = command.reason.empty()
                      ? "was given up by the administrator of " + context_.own_name
                      : command.reason;
  if (command.verb == Verb::bounce) return fail_recipient(at, envelope, recipient, hop, outcome, 0);
  outcome.reply = "deleted by " + command.by;
  track(ops::TrackingKind::failed, envelope, recipient, "", hop, outcome, 0, nullptr, {});
  context_.spool.settle(messages_[at].ref(), recipient, spool::Settlement::failed);
  --messages_[at].open;
}

void QueueImpl::set_suspension(const Command& command) {
  const Selector& what = command.selector;
  if (command.verb == Verb::suspend) {
    if (std::find(suspensions_.begin(), suspensions_.end(), what) == suspensions_.end())
      suspensions_.push_back(what);
  } else if (what.everything()) {
    suspensions_.clear();
  } else {
    std::erase(suspensions_, what);
  }
  for (Hop& hop : hops_) {
    const bool before = hop.suspended;
    hop.suspended = std::any_of(suspensions_.begin(), suspensions_.end(), [&](const Selector& one) {
      return one.only_next_hop() && (one.next_hop.empty() || one.next_hop == hop.name);
    });
    hop.just_resumed = before && !hop.suspended;
  }
}

/// A suspension of less than a next hop that this recipient falls under.
const Selector* QueueImpl::suspended_by(const mail::Envelope& envelope, std::uint32_t recipient,
                                        const routing::Decision& decision) const {
  for (const Selector& one : suspensions_) {
    if (one.only_next_hop()) continue;
    if (!one.next_hop.empty() && one.next_hop != decision.next_hop) continue;
    if (fits_sender(envelope, one) && fits_decided(envelope.recipients[recipient], decision, one))
      return &one;
  }
  return nullptr;
}

/// After a restart: what was held by a command stays held.
void QueueImpl::recall(Index at, const mail::Envelope& envelope, std::vector<std::uint32_t>& open) {
  const auto found = context_.remembered->held.find(messages_[at].id.value);
  if (found == context_.remembered->held.end()) return;
  std::erase_if(open, [&](std::uint32_t i) {
    if (!found->second.contains(i)) return false;
    routing::Decision decision = decide(envelope, i);
    decision.why = "held by an operator before the restart";
    const Policy& policy = hops_[held_hop(envelope, i, decision)].policy;
    hold(at, {i, HeldBy::command, told_by_age(at, policy)}, envelope, decision);
    return true;
  });
}

void QueueImpl::track_control(const Command& command, Index at, std::uint32_t recipients) {
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::control;
  event.at = clock().now();
  event.queue_id = messages_[at].id;
  event.recipients = recipients;
  event.by = command.by;
  event.action = to_string(command.verb);
  event.next_hop = command.next_hop;
  event.why = command.reason;
  context_.tracking.write(event);
}

}  // namespace waypost::queue
