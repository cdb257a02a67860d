#include "inbound/transaction.h"

#include "waypost/ops/log.h"

namespace waypost::inbound {
namespace {

/// A message may rightly come back: WorkMail forwards it to an address that is still on Exchange,
/// whose own rule forwards it again. Three returns are no journey any more. Other machines of a
/// cluster have other names; a loop through them ends here, too, or at Limits::hops.
constexpr unsigned kMostReturns = 2;

/// RFC 3848, RFC 6531 §4.3.
std::string protocol_word(const ClientFacts& client, bool smtputf8) {
  if (!client.esmtp) return "SMTP";
  std::string word = smtputf8 ? "UTF8SMTP" : "ESMTP";
  if (!client.tls.empty()) word += 'S';
  if (!client.user.empty()) word += 'A';
  return word;
}

/// RFC 5321 §4.1.3.
std::string literal_of(std::string_view address) {
  std::string literal = address.find(':') == std::string_view::npos ? "" : "IPv6:";
  return literal += address;
}

/// As much as a recipient takes, roughly: short strings live inside of their object.
template <class... Strings>
std::size_t octets_of(const Strings&... strings) {
  constexpr std::size_t kInside = 15, kOfTheAllocator = 16;
  return ((strings.size() > kInside ? strings.size() + kOfTheAllocator : 0) + ...);
}

/// "'exchange' sent it back" for the loop's refusal: whose mail goes where it came from.
bool goes_back(routing::EntryState state) {
  return state == routing::EntryState::pending || state == routing::EntryState::rolled_back;
}

std::string tls_comment(std::string_view tls) {
  std::string comment(tls);
  std::replace(comment.begin(), comment.end(), ' ', ':');
  return comment;
}

}  // namespace

std::string ClientFacts::to_string() const {
  std::string text(helo);
  text += '[';
  text += address;
  text += ']';
  return text;
}

Transaction::Transaction(ShardDoor& door, const Limits& limits, const std::string& own_name,
                         ClientAccount& account, smtp::MailCommand mail)
    : door_(door),
      limits_(limits),
      own_name_(own_name),
      began_(door.timers().now()),
      router_(door.server.router.get()),
      memory_(door.server.budget, door.clients.recipient_octets(), account.recipient_octets),
      envelope_(std::make_shared<mail::Envelope>()),
      header_(own_name) {
  envelope_->reverse_path = std::move(mail.reverse_path);
  envelope_->ret = mail.ret;
  envelope_->envid = std::move(mail.envid);
  envelope_->body = mail.body;
  envelope_->smtputf8 = mail.smtputf8;
  if (mail.smtputf8) utf8_header_.emplace();
}

smtp::Reply Transaction::add_recipient(const smtp::RcptCommand& command,
                                       const ClientFacts& client) {
  const WallTime present = door_.timers().clock().now();
  routing::Decision decision = router_->decide(command.forward_path, present);
  if (decision.verdict == routing::Verdict::refuse || decision.verdict == routing::Verdict::defer) {
    refuse_recipient(command, client, decision, present);
    return std::move(decision.reply);
  }
  if (memory_.exhausted()) {
    decision.why =
        "the recipients of unfinished messages have used up their part of "
        "memory_for_content";
    decision.reply = {452, mail::status::disk_full,
                      "no memory for more recipients at the moment; send the others in another "
                      "transaction"};
    refuse_recipient(command, client, decision, present);
    return std::move(decision.reply);
  }
  mail::Recipient recipient;
  recipient.original = command.forward_path;
  recipient.target = std::move(decision.target);
  recipient.next_hop = std::move(decision.next_hop);
  recipient.orcpt = command.orcpt;
  recipient.notify = command.notify;
  envelope_->recipients.push_back(std::move(recipient));
  reasons_.push_back({std::move(decision.why), std::move(decision.wave),
                      std::move(decision.shadow_target), std::move(decision.shadow_next_hop),
                      decision.state});
  count_memory(reasons_.size() - 1);
  add_copies(std::move(decision.copies), envelope_->recipients.size() - 1);
  door_.metrics.recipients_accepted.add();
  return {250, mail::status::recipient_ok, "recipient OK"};
}

/// Further targets of an entry; one that another recipient has brought already gets no second copy.
/// The client has named one recipient: what becomes of the copies is
/// not told to the sender.
void Transaction::add_copies(std::vector<routing::Copy> copies, std::size_t of) {
  for (std::size_t k = 0; k < copies.size(); ++k) {
    const auto place = static_cast<std::uint32_t>(envelope_->recipients.size());
    const auto [known, fresh] =
        copied_.try_emplace(mail::ascii_lower(copies[k].target.to_string()), place);
    if (!fresh) {
      envelope_->shared_copies.push_back({known->second, static_cast<std::uint32_t>(of)});
      continue;
    }
    mail::Recipient copy = envelope_->recipients[of];
    copy.target = std::move(copies[k].target);
    copy.next_hop = std::move(copies[k].next_hop);
    copy.notify = mail::kNotifyNever;
    copy.copy = static_cast<std::uint8_t>(k + 1);
    envelope_->recipients.push_back(std::move(copy));
    reasons_.push_back(
        {"copy " + std::to_string(k + 1) + ": " + reasons_[of].why, reasons_[of].wave, {}, {}, {}});
    count_memory(reasons_.size() - 1);
    ++copies_;
  }
}

void Transaction::count_memory(std::size_t recipient) {
  const mail::Recipient& one = envelope_->recipients[recipient];
  const Reason& reason = reasons_[recipient];
  // Vectors grow by doubling: half of their room may be empty.
  memory_.take(2 * (sizeof one + sizeof reason) +
               octets_of(one.original.local_part, one.original.domain, one.target.local_part,
                         one.target.domain, one.next_hop, one.orcpt, reason.why, reason.wave,
                         reason.shadow_target, reason.shadow_next_hop));
}

void Transaction::refuse_recipient(const smtp::RcptCommand& command, const ClientFacts& client,
                                   const routing::Decision& decision, WallTime at) {
  door_.metrics.recipient_refused(decision.reply).add();
  const std::string sender = mail::to_string(envelope_->reverse_path);
  const std::string recipient = command.forward_path.to_string();
  const std::string who = client.to_string();
  const std::string reply = decision.reply.to_line();
  const std::string status = decision.reply.status.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::refused;
  event.at = at;
  event.sender = sender;
  event.recipient = recipient;
  event.client = who;
  event.tls = client.tls;
  event.reply = reply;
  event.status = status;
  event.why = decision.why;
  event.wave = decision.wave;
  door_.server.tracking.write(event);
}

void Transaction::begin_content(const ClientFacts& client) {
  content_ = door_.server.spool.begin(door_.context.shard.io.get_executor());
  envelope_->id = door_.context.ids.next();
  envelope_->accepted_at = door_.timers().clock().now();
  const std::string address = literal_of(client.address);
  const std::string protocol = protocol_word(client, envelope_->smtputf8);
  const std::string tls = tls_comment(client.tls);
  content_->append(mail::format_received(
      {client.helo, address, own_name_, protocol, tls, envelope_->id, envelope_->accepted_at}));
}

std::optional<smtp::Reply> Transaction::take_content(std::string_view bytes,
                                                     const ClientFacts& client) {
  if (!content_) return std::nullopt;  // refused within the same arrival
  if (!begun_ && !bytes.empty()) {
    begun_ = true;
    // RFC 5322 §2.2.3: it would continue our Received field, so that whoever sends could write into
    // our trace. To end the field in another way is to change the content.
    if (bytes.front() == ' ' || bytes.front() == '\t') {
      constexpr std::string_view why =
          "the message begins with a blank, which can't begin a header field; put an empty line in "
          "front of a text without header";
      return refuse_message(MessageRefusal::malformed, {554, {5, 6, 0}, std::string(why)}, client,
                            why);
    }
  }
  content_->append(bytes);
  if (utf8_header_) utf8_header_->feed(bytes);
  if (header_judged_) return std::nullopt;
  header_.feed(bytes);
  const std::string loop = loop_in_header();
  header_judged_ = header_.header_complete() || !loop.empty();
  if (loop.empty()) return std::nullopt;
  return refuse_message(MessageRefusal::loop, {554, mail::status::routing_loop, loop}, client,
                        loop);
}

/// RFC 5321 §6.3. Judged as soon as the count is too high, not only at the end of the header.
/// Empty: none.
std::string Transaction::loop_in_header() const {
  if (header_.received_count() > limits_.hops)
    return "mail loop: more than " + std::to_string(limits_.hops) + " Received fields" +
           likely_cause();
  if (header_.own_received_count() > kMostReturns)
    return "mail loop: the message has passed " + own_name_ + " " +
           std::to_string(header_.own_received_count()) + " times already" + likely_cause();
  return {};
}

/// The recipient whose mail most likely goes in a circle: one whose next hop is where mail of
/// people who have not moved goes, else the first.
std::string Transaction::likely_cause() const {
  std::size_t suspect = 0;
  while (suspect < reasons_.size() &&
         !(reasons_[suspect].state && goes_back(*reasons_[suspect].state)))
    ++suspect;
  const bool found = suspect < reasons_.size();
  const mail::Recipient& recipient = envelope_->recipients[found ? suspect : 0];
  std::string text = "; " + recipient.original.to_string();
  if (found) {
    text += " is " + std::string(routing::to_string(*reasons_[suspect].state)) + " and '" +
            recipient.next_hop + "' sent it back: has it a mailbox there?";
  } else {
    text += " goes to '" + recipient.next_hop + "': does something there send it on to here?";
  }
  if (named_recipients() > 1)
    text += " (one of " + std::to_string(named_recipients()) + " recipients)";
  return text;
}

std::size_t Transaction::room_in_block() const {
  if (!content_) return 0;
  return kBlockSize - static_cast<std::size_t>((content_->octets() - flushed_) % kBlockSize);
}

net::Task<std::optional<smtp::Reply>> Transaction::flush(ClientFacts client) {
  auto flushed = co_await content_->flush();
  if (!flushed) co_return spool_trouble(flushed.error(), client);
  flushed_ = content_->octets();
  co_return std::nullopt;
}

smtp::Reply Transaction::refuse_message(MessageRefusal why, smtp::Reply reply,
                                        const ClientFacts& client, std::string_view detail) {
  door_.metrics.refused(why).add();
  track_unaccepted(ops::TrackingKind::refused, client, reply.to_line(), reply.status.to_string(),
                   detail);
  content_.reset();
  return reply;
}

void Transaction::track_lost(const ClientFacts& client, std::string_view why) {
  track_unaccepted(ops::TrackingKind::abandoned, client, {}, {}, why);
}

void Transaction::track_unaccepted(ops::TrackingKind kind, const ClientFacts& client,
                                   const std::string& reply, const std::string& status,
                                   std::string_view why) {
  const std::string sender = mail::to_string(envelope_->reverse_path);
  const std::string who = client.to_string();
  ops::TrackingEvent event;
  event.kind = kind;
  event.at = door_.timers().clock().now();
  event.queue_id = envelope_->id;
  event.message_id = header_.message_id();
  event.sender = sender;
  event.client = who;
  event.tls = client.tls;
  event.reply = reply;
  event.status = status;
  event.why = why;
  event.size = content_ ? content_->octets() : 0;
  event.recipients = named_recipients();
  door_.server.tracking.write(event);
}

smtp::Reply Transaction::spool_trouble(const Error& error, const ClientFacts& client) {
  ops::log().error("message {} from {}: not accepted: {}", envelope_->id.to_string(),
                   mail::to_string(envelope_->reverse_path), error.message);
  if (error.kind == ErrorKind::exhausted) {
    return refuse_message(MessageRefusal::no_room,
                          {452, mail::status::disk_full, "no room for the message at the moment"},
                          client, error.message);
  }
  return refuse_message(
      MessageRefusal::storage,
      {452, mail::status::spool_trouble, "the message can't be stored safely at the moment"},
      client, error.message);
}

net::Task<smtp::Reply> Transaction::commit(ClientFacts client, bool bare_newlines) {
  envelope_->has_bare_newline = bare_newlines;
  if (utf8_header_)
    envelope_->header = utf8_header_->found() ? mail::HeaderText::utf8 : mail::HeaderText::ascii;
  envelope_->message_id = header_.message_id();
  envelope_->client = client.to_string();
  envelope_->content_size = content_->octets();
  std::string blob = mail::encode(*envelope_);
  const auto count = static_cast<std::uint32_t>(envelope_->recipients.size());
  auto committed = co_await content_->commit(envelope_->id, std::move(blob), count);
  if (!committed) co_return spool_trouble(committed.error(), client);
  message_ = *committed;
  stored_ = true;
  std::string text = "queued as " + envelope_->id.to_string();
  // Exchange shows what stands in front in its own tracking log.
  if (!envelope_->message_id.empty() && envelope_->message_id.size() < 300)
    text = envelope_->message_id + " " + text;
  co_return smtp::Reply{250, mail::status::queued, std::move(text)};
}

void Transaction::hand_over(const ClientFacts& client, Duration took) {
  door_.metrics.messages.add();
  door_.metrics.octets.add(envelope_->content_size);
  door_.metrics.time_to_250.observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)));
  const std::string sender = mail::to_string(envelope_->reverse_path);
  ops::TrackingEvent event;
  event.at = door_.timers().clock().now();
  event.queue_id = envelope_->id;
  event.message_id = envelope_->message_id;
  event.sender = sender;
  event.client = envelope_->client;
  event.tls = client.tls;
  event.size = envelope_->content_size;
  event.recipients = named_recipients();
  event.took_us = took.count();
  door_.server.tracking.write(event);
  for (std::size_t i = 0; i < envelope_->recipients.size(); ++i) track_routed(i, event.at);
  door_.context.on_committed(message_, envelope_, began_);
}

void Transaction::track_routed(std::size_t recipient, WallTime at) {
  const mail::Recipient& routed = envelope_->recipients[recipient];
  const std::string original = routed.original.to_string();
  const std::string target = routed.target.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::routed;
  event.at = at;
  event.queue_id = envelope_->id;
  event.recipient = original;
  event.target = target;
  event.message_id = envelope_->message_id;
  event.next_hop = routed.next_hop;
  event.why = reasons_[recipient].why;
  event.wave = reasons_[recipient].wave;
  event.shadow_target = reasons_[recipient].shadow_target;
  event.shadow_next_hop = reasons_[recipient].shadow_next_hop;
  door_.server.tracking.write(event);
}

}  // namespace waypost::inbound
