#include "inbound/transaction.h"

#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

namespace waypost::inbound {
namespace {

/// A message that WorkMail sends back to the company's domain passes us again, rightly; one that
/// keeps coming is a loop.
constexpr unsigned kMaxOwnPasses = 3;

/// RFC 3848, RFC 6531 §4.3.
std::string protocol_word(const ClientFacts& client, bool smtputf8) {
  if (!client.esmtp) return "SMTP";
  std::string word = smtputf8 ? "UTF8SMTP" : "ESMTP";
  if (!client.tls.empty()) word += 'S';
  if (!client.user.empty()) word += 'A';
  return word;
}

std::string literal_of(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "IPv6:" + address;
}

std::string tls_comment(const std::string& tls) {
  std::string comment = tls;
  std::replace(comment.begin(), comment.end(), ' ', ':');
  return comment;
}

}  // namespace

std::string ClientFacts::to_string() const { return helo + "[" + address + "]"; }

Transaction::Transaction(ShardDoor& door, const Limits& limits, const std::string& own_name,
                         smtp::MailCommand mail)
    : door_(door),
      limits_(limits),
      own_name_(own_name),
      router_(door.server.router.get()),
      envelope_(std::make_shared<mail::Envelope>()),
      header_(own_name) {
  envelope_->reverse_path = std::move(mail.reverse_path);
  envelope_->ret = mail.ret;
  envelope_->envid = std::move(mail.envid);
  envelope_->body = mail.body;
  envelope_->smtputf8 = mail.smtputf8;
}

smtp::Reply Transaction::add_recipient(const smtp::RcptCommand& command,
                                       const ClientFacts& client) {
  const WallTime present = door_.context.shard.timers.clock().now();
  routing::Decision decision = router_->decide(command.forward_path, present);
  const bool refused =
      decision.verdict == routing::Verdict::refuse || decision.verdict == routing::Verdict::defer;
  if (refused) {
    door_.metrics.recipients_refused.add();
    const std::string sender = mail::to_string(envelope_->reverse_path);
    const std::string recipient = command.forward_path.to_string();
    const std::string who = client.to_string();
    const std::string reply = decision.reply.to_line();
    ops::TrackingEvent event;
    event.kind = ops::TrackingKind::refused;
    event.at = present;
    event.sender = sender;
    event.recipient = recipient;
    event.client = who;
    event.reply = reply;
    event.why = decision.why;
    door_.server.tracking.write(event);
    return decision.reply;
  }
  mail::Recipient recipient;
  recipient.original = command.forward_path;
  recipient.target = std::move(decision.target);
  recipient.next_hop = std::move(decision.next_hop);
  recipient.orcpt = command.orcpt;
  recipient.notify = command.notify;
  envelope_->recipients.push_back(std::move(recipient));
  reasons_.emplace_back(std::move(decision.why), std::move(decision.wave));
  door_.metrics.recipients_accepted.add();
  return {250, mail::status::recipient_ok, "recipient OK"};
}

void Transaction::begin_content(const ClientFacts& client) {
  content_ = door_.server.spool.begin(door_.context.shard.io.get_executor());
  envelope_->id = door_.context.ids.next();
  envelope_->accepted_at = door_.context.shard.timers.clock().now();
  const std::string address = literal_of(client.address);
  const std::string protocol = protocol_word(client, envelope_->smtputf8);
  const std::string tls = tls_comment(client.tls);
  content_->append(mail::format_received(
      {client.helo, address, own_name_, protocol, tls, envelope_->id, envelope_->accepted_at}));
}

std::optional<smtp::Reply> Transaction::take_content(std::string_view bytes) {
  content_->append(bytes);
  if (header_judged_) return std::nullopt;
  header_.feed(bytes);
  // RFC 5321 §6.3. Judged as soon as the count is too high, not only at the end of the header.
  if (header_.received_count() > limits_.hops) {
    header_judged_ = true;
    return smtp::Reply{554, mail::status::routing_loop,
                       "mail loop: more than " + std::to_string(limits_.hops) + " Received fields"};
  }
  if (header_.own_received_count() > kMaxOwnPasses) {
    header_judged_ = true;
    return smtp::Reply{554, mail::status::routing_loop,
                       "mail loop: the message has passed " + own_name_ + " more than " +
                           std::to_string(kMaxOwnPasses) + " times"};
  }
  header_judged_ = header_.header_complete();
  return std::nullopt;
}

net::Task<std::optional<smtp::Reply>> Transaction::flush() {
  auto flushed = co_await content_->flush();
  if (flushed) co_return std::nullopt;
  co_return spool_trouble(flushed.error());
}

smtp::Reply Transaction::spool_trouble(const Error& error) const {
  ops::log().error("message {} from {}: not accepted: {}", envelope_->id.to_string(),
                   mail::to_string(envelope_->reverse_path), error.message);
  if (error.kind == ErrorKind::exhausted)
    return {452, mail::status::disk_full, "no room for the message at the moment"};
  return {452, mail::status::spool_trouble, "the message can't be stored safely at the moment"};
}

net::Task<smtp::Reply> Transaction::commit(ClientFacts client, bool bare_newlines) {
  envelope_->has_bare_newline = bare_newlines;
  envelope_->message_id = header_.message_id();
  envelope_->client = client.to_string();
  envelope_->content_size = content_->octets();
  std::string blob = mail::encode(*envelope_);
  const auto count = static_cast<std::uint32_t>(envelope_->recipients.size());
  auto committed = co_await content_->commit(envelope_->id, std::move(blob), count);
  if (!committed) {
    door_.metrics.messages_refused.add();
    co_return spool_trouble(committed.error());
  }
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
  event.at = door_.context.shard.timers.clock().now();
  event.queue_id = envelope_->id;
  event.message_id = envelope_->message_id;
  event.sender = sender;
  event.client = envelope_->client;
  event.tls = client.tls;
  event.size = envelope_->content_size;
  event.recipients = static_cast<std::uint32_t>(envelope_->recipients.size());
  event.took_us = took.count();
  door_.server.tracking.write(event);
  for (std::size_t i = 0; i < envelope_->recipients.size(); ++i) {
    const mail::Recipient& recipient = envelope_->recipients[i];
    const std::string original = recipient.original.to_string();
    const std::string target = recipient.target.to_string();
    ops::TrackingEvent routed;
    routed.kind = ops::TrackingKind::routed;
    routed.at = event.at;
    routed.queue_id = envelope_->id;
    routed.recipient = original;
    routed.target = target;
    routed.next_hop = recipient.next_hop;
    routed.why = reasons_[i].first;
    routed.wave = reasons_[i].second;
    door_.server.tracking.write(routed);
  }
  door_.context.on_committed(message_, envelope_);
}

}  // namespace waypost::inbound
