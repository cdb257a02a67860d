#include "queue/queue_impl.h"
#include "queue/selector.h"

#include <algorithm>

namespace waypost::queue {

ListResult QueueImpl::list(const Selector& selector, const Slice& slice) {
  ListResult result;
  const Index until = std::min(messages_.end(), slice.from + slice.most_seen);
  for (Index at = slice.from; at < until; ++at) {
    if (!fits_message(messages_[at], selector)) continue;
    if (auto one = listed(at, selector)) result.messages.push_back(std::move(*one));
  }
  if (until < messages_.end()) result.next = until;
  return result;
}

std::optional<spool::MessageRef> QueueImpl::find(QueueId id) const {
  for (Index at = 0; at < messages_.end(); ++at) {
    if (messages_[at].alive && messages_[at].id == id) return messages_[at].ref();
  }
  return std::nullopt;
}

std::optional<ListedMessage> QueueImpl::listed(Index at, const Selector& selector) {
  const Picked picked = pick(at, selector);
  if (picked.count + picked.ended.size() == 0) return std::nullopt;
  const Message& message = messages_[at];
  const auto envelope = envelope_of(at);
  if (!envelope) return listed_unread(at, picked);
  ListedMessage line;
  line.id = message.id;
  line.message_id = envelope->message_id;
  line.sender = mail::to_string(envelope->reverse_path);
  line.client = envelope->client;
  line.accepted_at = message.accepted_at;
  line.expires_at = clock().now() + (options_.expiry - age_of(message));
  line.size = envelope->content_size;
  line.recipients = message.recipients;
  line.settled = message.recipients - message.open;
  const auto add = [&](std::uint32_t i, RecipientState state,
                       const std::string& hop) -> ListedRecipient& {
    ListedRecipient one;
    one.index = i;
    one.state = state;
    one.address = envelope->recipients[i].original.to_string();
    const routing::Decision decision = decide(*envelope, i);
    const bool gone = is_gone(envelope->recipients[i], decision);
    const mail::Mailbox& target = gone ? envelope->recipients[i].target : decision.target;
    if (!target.domain.empty()) one.target = target.to_string();
    // After a change of routes the walk over what waits may not have come here yet.
    const bool moves = !all_reviewed() && state != RecipientState::active && goes(decision);
    if (gone || !is_nowhere(decision)) one.next_hop = moves ? decision.next_hop : hop;
    one.wave = decision.wave;
    line.open.push_back(std::move(one));
    return line.open.back();
  };
  for (const auto& [j, recipients] : picked.jobs) {
    const Job& job = jobs_[j];
    const Hop& hop = hops_[job.hop];
    line.expires_at = clock().now() + (hop.policy.expiry - age_of(message));
    const RecipientState state = job.state == JobState::ready    ? RecipientState::ready
                                 : job.state == JobState::active ? RecipientState::active
                                                                 : RecipientState::waiting;
    for (const std::uint32_t i : recipients) {
      ListedRecipient& one = add(i, state, hop.name);
      one.attempts = job.attempts;
      if (job.last_reply) one.why = job.last_reply->of(i).reply;
      if (job.state == JobState::waiting) one.next_attempt = wall(job.due);
      if (job.state == JobState::ready && hop.suspended) one.why = "the next hop is suspended";
      if (job.state == JobState::ready && hop.site.paused(now()))
        one.next_attempt = hop.paused_until_wall;
    }
  }
  for (const std::uint32_t i : picked.held) {
    for (const HeldRecipient& held : message.live->held) {
      if (held.index != i) continue;
      ListedRecipient& one = add(i, RecipientState::held, hop_name(held));
      line.expires_at = clock().now() + (policy_of(held).expiry - age_of(message));
      one.why = held.by == HeldBy::wave      ? "its wave is migrating"
                : held.by == HeldBy::command ? "held by an operator"
                                             : "suspended by an operator";
    }
  }
  for (const std::uint32_t i : picked.ended) {
    ListedRecipient& one = add(i, RecipientState::ended, "");
    for (const EndedRecipient& ended : message.live->ended) {
      if (ended.index == i) one.why = ended.outcome.reply;
    }
  }
  return line;
}

/// It is there, and more can't be said.
ListedMessage QueueImpl::listed_unread(Index at, const Picked& picked) const {
  const Message& message = messages_[at];
  ListedMessage line;
  line.id = message.id;
  line.accepted_at = message.accepted_at;
  line.expires_at = clock().now() + (options_.expiry - age_of(message));
  line.recipients = message.recipients;
  line.settled = message.recipients - message.open;
  const auto add = [&line](std::uint32_t i, RecipientState state) {
    ListedRecipient one;
    one.index = i;
    one.state = state;
    one.why = "its envelope can't be read";
    line.open.push_back(std::move(one));
  };
  for (const auto& [j, recipients] : picked.jobs) {
    const RecipientState state = jobs_[j].state == JobState::active    ? RecipientState::active
                                 : jobs_[j].state == JobState::waiting ? RecipientState::waiting
                                                                       : RecipientState::ready;
    for (const std::uint32_t i : recipients) add(i, state);
  }
  for (const std::uint32_t i : picked.held) add(i, RecipientState::held);
  for (const std::uint32_t i : picked.ended) add(i, RecipientState::ended);
  return line;
}

}  // namespace waypost::queue
