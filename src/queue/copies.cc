// An entry with several targets: a message has a recipient for each of them, and each keeps the
// address that it was accepted for.
//
// What the entry says later is held against these addresses, never against places in its list:
//   still a target, first or further    it goes there
//   a copy, and no target any more      it ends quietly
//   the recipient itself, and its address is no target any more: it goes where the entry leads now,
//     unless a copy of this message stands for that address; then it waits for the copy's fate,
//     for nobody gets a message twice
// New targets get nothing of mail that was accepted before.
#include "queue/queue_impl.h"

#include <algorithm>
#include <cstring>

namespace waypost::queue {
namespace {

bool same_address(const mail::Mailbox& a, const mail::Mailbox& b) {
  return a == b || (mail::ascii_lower(a.domain) == mail::ascii_lower(b.domain) &&
                    mail::ascii_lower(a.local_part) == mail::ascii_lower(b.local_part));
}

/// The same for all spellings of same_address(), and seldom for others. Eight octets at once, each
/// with the bit set that tells upper case from lower.
std::uint64_t hash_of(const mail::Mailbox& address) {
  constexpr std::uint64_t kLower = 0x2020'2020'2020'2020, kMix = 0x9E37'79B9'7F4A'7C15;
  std::uint64_t hash = 0;
  for (std::string_view part :
       {std::string_view(address.local_part), std::string_view(address.domain)}) {
    hash = (hash ^ part.size()) * kMix;
    while (!part.empty()) {
      std::uint64_t octets = 0;
      const std::size_t taken = std::min(part.size(), sizeof octets);
      std::memcpy(&octets, part.data(), taken);
      hash = (hash ^ (octets | kLower)) * kMix;
      hash ^= hash >> 32;
      part.remove_prefix(taken);
    }
  }
  return hash;
}

/// The recipient that the client has named, and its copies behind it: [first, end).
std::pair<std::uint32_t, std::uint32_t> group_of(const mail::Envelope& envelope,
                                                 std::uint32_t recipient) {
  const auto& all = envelope.recipients;
  std::uint32_t first = recipient;
  while (first > 0 && all[first].copy > 0) --first;
  std::uint32_t end = first + 1;
  while (end < all.size() && all[end].copy > 0) ++end;
  return {first, end};
}

/// The recipients that are copies of this one, those that it shares with others, too.
std::vector<std::uint32_t> copies_of(const mail::Envelope& envelope, std::uint32_t named) {
  std::vector<std::uint32_t> copies;
  const std::uint32_t end = group_of(envelope, named).second;
  for (std::uint32_t i = named + 1; i < end; ++i) copies.push_back(i);
  for (const mail::SharedCopy& shared : envelope.shared_copies) {
    if (shared.of == named) copies.push_back(shared.copy);
  }
  return copies;
}

/// How the entry that has decided serves this address; null: it is none of its targets.
bool serve(routing::Decision& decision, const mail::Mailbox& address) {
  if (same_address(decision.target, address)) return true;
  for (routing::Copy& copy : decision.copies) {
    if (!same_address(copy.target, address)) continue;
    decision.target = copy.target;
    decision.next_hop = copy.next_hop;
    return true;
  }
  return false;
}

}  // namespace

/// Makes of the decision about the original address that about this recipient's own target.
void QueueImpl::keep_address(const mail::Envelope& envelope, std::uint32_t recipient,
                             routing::Decision& decision) const {
  const mail::Recipient& one = envelope.recipients[recipient];
  if (one.copy == 0 && decision.copies.empty()) return;
  if (is_nowhere(decision)) return;
  if (serve(decision, one.target) || one.copy == 0) return;
  if (serve_another(envelope, recipient, decision)) return;
  decision.target = {};
  decision.next_hop.clear();
  decision.why = "the routing entry has no such copy any more";
}

/// A copy that several recipients of the message have in common is stored once, with the first of
/// them; it goes as long as any of them has it, and at once if it is held for some of them only.
bool QueueImpl::serve_another(const mail::Envelope& envelope, std::uint32_t recipient,
                              routing::Decision& decision) const {
  std::optional<routing::Decision> held;
  for (const mail::SharedCopy& shared : envelope.shared_copies) {
    if (shared.copy != recipient) continue;
    routing::Decision other =
        context_.router.get()->decide(envelope.recipients[shared.of].original, clock().now());
    if (is_nowhere(other) || !serve(other, envelope.recipients[recipient].target)) continue;
    if (other.verdict == routing::Verdict::hold) {
      if (!held) held = std::move(other);
      continue;
    }
    decision = std::move(other);
    return true;
  }
  if (!held) return false;
  decision = std::move(*held);
  return true;
}

/// A refused or deferred address is treated as any other: it may be a mistake that is mended.
bool QueueImpl::is_gone(const mail::Recipient& recipient, const routing::Decision& decision) {
  if (recipient.copy == 0 || !decision.target.domain.empty()) return false;
  return !is_nowhere(decision);
}

/// The recipient itself is sent to another address than the one that it was accepted for: is there
/// a copy of the message for that?
QueueImpl::Way QueueImpl::way_beside_copies(Index message, const mail::Envelope& envelope,
                                            std::uint32_t recipient,
                                            const routing::Decision& decision) {
  const mail::Recipient& one = envelope.recipients[recipient];
  if (one.copy > 0 || same_address(one.target, decision.target)) return Way::goes;
  for (const std::uint32_t i : copies_of(envelope, recipient)) {
    if (!same_address(envelope.recipients[i].target, decision.target)) continue;
    if (is_open(message, i)) return Way::behind_copy;
    const auto stored = context_.spool.load(messages_[message].ref());
    if (!stored || i >= stored->settled.size()) return Way::behind_copy;  // the disk may come back
    if (stored->settled[i] == spool::Settlement::open) return Way::behind_copy;
    if (stored->settled[i] == spool::Settlement::delivered) return Way::arrived;
  }
  return Way::goes;
}

/// It has not come to its end, or its end is not settled yet.
bool QueueImpl::is_open(Index message, std::uint32_t recipient) const {
  for (Index j = messages_[message].first_job; j != kNone; j = jobs_[j].next) {
    const RecipientList& list = jobs_[j].recipients;
    if (std::find(list.begin(), list.end(), recipient) != list.end()) return true;
  }
  const Live* const live = messages_[message].live.get();
  if (live == nullptr) return false;
  const auto is_it = [recipient](const auto& one) { return one.index == recipient; };
  return std::any_of(live->held.begin(), live->held.end(), is_it) ||
         std::any_of(live->ended.begin(), live->ended.end(), is_it);
}

/// REQUIRES: the job `like` is of the same message.
void QueueImpl::wait_for_copy(Index like, std::vector<std::uint32_t> recipients) {
  const Index parked = add_rest(jobs_[like], std::move(recipients));
  Job& job = jobs_[parked];
  job.route = RouteMark::nowhere();
  mail::Outcome why;
  why.status = mail::status::no_answer;
  why.reply = "waits: the same message goes to this address as a copy already";
  job.last_reply = ReplyRef(new Reply(std::move(why)));
  take_out(parked);
  make_waiting(parked, now() + backoff_.after(hops_[job.hop].policy.backoff, 1));
}

/// A copy has come to its end: who waited for that is asked again.
void QueueImpl::wake_behind_copy(Index message, const mail::Envelope& envelope,
                                 std::uint32_t recipient) {
  if (envelope.recipients[recipient].copy == 0) return;
  std::vector<std::uint32_t> behind = {group_of(envelope, recipient).first};
  for (const mail::SharedCopy& shared : envelope.shared_copies) {
    if (shared.copy == recipient) behind.push_back(shared.of);
  }
  for (Index j = messages_[message].first_job; j != kNone; j = jobs_[j].next) {
    Job& job = jobs_[j];
    if (job.state != JobState::waiting || !job.route.is_nowhere()) continue;
    if (std::find_first_of(job.recipients.begin(), job.recipients.end(), behind.begin(),
                           behind.end()) == job.recipients.end())
      continue;
    job.due = now();
    set_timer(job.due, Due::job, j, job.generation);
  }
}

/// The person gets the message at the other targets; nobody misses the copy.
void QueueImpl::end_copy(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                         const routing::Decision& decision) {
  const std::string original = envelope.recipients[recipient].original.to_string();
  const std::string target = envelope.recipients[recipient].target.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::failed;
  event.at = clock().now();
  event.queue_id = envelope.id;
  event.message_id = envelope.message_id;
  event.recipient = original;
  event.target = target;
  event.wave = decision.wave;
  event.why = decision.why;
  context_.tracking.write(event);
  context_.spool.settle(messages_[message].ref(), recipient, spool::Settlement::failed);
  --messages_[message].open;
}

/// The address that the recipient would go to now has the message already, as a copy.
void QueueImpl::end_as_copy(Index message, const mail::Envelope& envelope, std::uint32_t recipient,
                            const routing::Decision& decision) {
  mail::Outcome outcome;
  outcome.fate = mail::Fate::delivered;
  outcome.status = {2, 0, 0};
  outcome.reply = "this address has got the message as a copy already";
  track(ops::TrackingKind::delivered, envelope, recipient, decision.target.to_string(),
        decision.next_hop, outcome, 0, nullptr, {});
  if ((envelope.recipients[recipient].notify & mail::kNotifySuccess) != 0 && envelope.reverse_path)
    return end_recipient(message, {recipient, outcome, clock().now(), mail::ReportAction::relayed});
  context_.spool.settle(messages_[message].ref(), recipient, spool::Settlement::delivered);
  --messages_[message].open;
}

/// Whom a failure is told for: a copy has nobody to be told, unless its address is the mailbox
/// itself by now and the sender thinks that the person has the message.
mail::Recipient QueueImpl::told_for(Index message, const mail::Envelope& envelope,
                                    std::uint32_t recipient) {
  mail::Recipient one = envelope.recipients[recipient];
  if (one.copy == 0) return one;
  const std::uint32_t named = group_of(envelope, recipient).first;
  const routing::Decision decision = context_.router.get()->decide(one.original, clock().now());
  if (!goes(decision) || !same_address(decision.target, one.target)) return one;
  if (is_open(message, named)) return one;
  const auto stored = context_.spool.load(messages_[message].ref());
  if (!stored || named >= stored->settled.size()) return one;
  if (stored->settled[named] != spool::Settlement::delivered) return one;
  one.copy = 0;
  one.notify = envelope.recipients[named].notify;
  return one;
}

/// Whether once_each() has anything to do. By hashes, for it nearly never has: two addresses that
/// share one by chance cost no more than its work.
bool QueueImpl::names_somebody_twice(const outbound::AttemptInput& all) {
  if (all.recipients.size() < 2) return false;
  std::vector<std::uint64_t> hashes;
  hashes.reserve(all.recipients.size());
  for (const outbound::AttemptRecipient& one : all.recipients)
    hashes.push_back(hash_of(one.target));
  std::sort(hashes.begin(), hashes.end());
  return std::adjacent_find(hashes.begin(), hashes.end()) != hashes.end();
}

/// One delivery for each address: who would be named beside another recipient with the same address
/// rides with that one. `rides_on`: for each of `all`, the place in the result that speaks for it.
outbound::AttemptInput QueueImpl::once_each(const outbound::AttemptInput& all,
                                            std::vector<std::size_t>& rides_on) {
  const auto& recipients = all.envelope->recipients;
  std::unordered_map<std::string, std::size_t> places;
  outbound::AttemptInput once;
  once.envelope = all.envelope;
  once.message = all.message;
  rides_on.assign(all.recipients.size(), 0);
  // Copies last: what the sender wants to hear goes out with the recipient itself.
  for (const bool copies : {false, true}) {
    for (std::size_t k = 0; k < all.recipients.size(); ++k) {
      const mail::Recipient& one = recipients[all.recipients[k].index];
      if ((one.copy > 0) != copies) continue;
      const auto [place, fresh] = places.try_emplace(
          mail::ascii_lower(all.recipients[k].target.to_string()), once.recipients.size());
      rides_on[k] = place->second;
      if (fresh) {
        once.recipients.push_back(all.recipients[k]);
        continue;
      }
      const mail::Recipient& other = recipients[once.recipients[place->second].index];
      const bool tells_the_same =
          one.notify == other.notify && (one.notify & mail::kNotifySuccess) == 0;
      if (copies || tells_the_same) continue;
      rides_on[k] = once.recipients.size();
      once.recipients.push_back(all.recipients[k]);
    }
  }
  return once;
}

}  // namespace waypost::queue
