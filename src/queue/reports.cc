#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

#include "queue/queue_impl.h"

#include <boost/asio/detached.hpp>

namespace waypost::queue {
namespace {

constexpr std::chrono::seconds kCollect{10};  // how long failures of one message are collected
constexpr std::chrono::minutes kReportRetry{1};
constexpr std::chrono::minutes kSayUnreturned{1};  // at most one such line in that time
constexpr std::size_t kMaxHeader = 64 * 1024;

/// The header with its empty line; the whole text if there is no empty line.
std::string_view header_of(std::string_view content) {
  const auto crlf = content.find("\r\n\r\n");
  const auto lf = content.find("\n\n");
  if (crlf != std::string_view::npos && (lf == std::string_view::npos || crlf < lf))
    return content.substr(0, crlf + 2);
  return lf == std::string_view::npos ? content : content.substr(0, lf + 1);
}

/// The same mailbox however it is written: quoting is gone after parsing, domains have no case, and
/// nearly nobody's local parts have.
bool same_mailbox(const mail::Mailbox& a, const mail::Mailbox& b) {
  const auto domain = [](const mail::Mailbox& mailbox) {
    std::string name = mail::ascii_lower(mailbox.domain);
    if (name.ends_with('.')) name.pop_back();
    return name;
  };
  return mail::ascii_lower(a.local_part) == mail::ascii_lower(b.local_part) &&
         domain(a) == domain(b);
}

/// RFC 5321 §2.3.5 knows no final dot, but people write it.
mail::Mailbox mailbox_of(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  return mail::parse_mailbox(text).value_or(mail::Mailbox{});
}

}  // namespace

/// Who is told: the sender; of a null sender's mail whoever is configured for what nobody else gets
/// (and that person's own returned mail goes no further).
mail::Mailbox QueueImpl::addressee(const mail::Envelope& envelope) const {
  if (envelope.reverse_path) return *envelope.reverse_path;
  return mailbox_of(options_.undeliverable_to);
}

bool QueueImpl::wants_report(const mail::Envelope& envelope,
                             const mail::Recipient& recipient) const {
  if (recipient.copy > 0) return false;  // the sender has not asked for it
  if (envelope.reverse_path) return mail::wants_failure_report(envelope, recipient);
  // What can't reach that address is not told to it: such a chain would have no end.
  return !options_.undeliverable_to.empty() &&
         !same_mailbox(recipient.original, addressee(envelope)) &&
         !same_mailbox(recipient.target, addressee(envelope));
}

/// One report for all recipients that fail together: it waits until nothing of the message is on
/// its way, but not long.
void QueueImpl::report_if_quiet(Index at) {
  Message& message = messages_[at];
  if (!message.alive || !message.has_ended() || message.reporting) return;
  // In a shutdown nothing more of the message goes out: who is delivered must not stay open for
  // long.
  if (message.moving == 0 || stopping_) return begin_report(at);
  if (message.report_timer) return;
  message.report_timer = true;
  set_timer(now() + kCollect, Due::report, at, message.generation);
}

void QueueImpl::begin_report(Index at) {
  Message& message = messages_[at];
  if (!message.has_ended() || message.reporting) return;
  message.reporting = true;
  ++active_;
  boost::asio::co_spawn(context_.shard.io, report(at), boost::asio::detached);
}

net::Task<void> QueueImpl::report(Index at) {
  const auto envelope = envelope_of(at);
  const std::vector<EndedRecipient> ended = std::exchange(messages_[at].need_live().ended, {});
  const spool::MessageRef ref = messages_[at].ref();
  if (!envelope && past_mending(messages_[at], options_.expiry)) {
    std::vector<std::uint32_t> all;
    for (const EndedRecipient& one : ended) all.push_back(one.index);
    give_up_unread(at, std::move(all), "its sender can't be told: its envelope can't be read");
    messages_[at].reporting = false;
    finish_if_done(at);
    --active_;
    if (stopping_ && active_ == 0) sleeper_.wake();
    co_return;
  }
  bool failed = envelope == nullptr;
  std::vector<EndedRecipient> silent;  // nobody is to be told
  std::vector<EndedRecipient> kept;    // could not be reported yet
  for (const mail::ReportAction action :
       {mail::ReportAction::failed, mail::ReportAction::relayed}) {
    std::vector<mail::ReportedRecipient> told;
    std::vector<EndedRecipient> these;
    for (const EndedRecipient& one : ended) {
      if (one.action != action) continue;
      const mail::Recipient whom =
          envelope ? told_for(at, *envelope, one.index) : mail::Recipient{};
      const bool wanted =
          envelope && (action == mail::ReportAction::relayed || wants_report(*envelope, whom));
      if (envelope && !wanted) {
        silent.push_back(one);
        continue;
      }
      these.push_back(one);
      if (envelope) told.push_back({whom, one.outcome, one.at, {}});
    }
    if (told.empty()) {
      kept.insert(kept.end(), these.begin(), these.end());
      continue;
    }
    const auto sent = co_await send_report(envelope, ref, action, std::move(told));
    if (sent) {
      settle_ended(at, these, true);
    } else {
      failed = true;
      kept.insert(kept.end(), these.begin(), these.end());
      ops::log().error(
          "message {}: the report to {} could not be queued: {}; trying again in a minute",
          ref.id.to_string(), addressee(*envelope).to_string(), sent.error().message);
    }
  }
  settle_ended(at, silent, false);
  messages_[at].reporting = false;
  for (EndedRecipient& one : kept) end_recipient(at, std::move(one));
  if (failed && !messages_[at].report_timer) {
    messages_[at].report_timer = true;
    set_timer(now() + kReportRetry, Due::report, at, messages_[at].generation);
  } else if (!failed) {
    report_if_quiet(at);  // others may have failed in the meantime
  }
  finish_if_done(at);
  --active_;
  if (stopping_ && active_ == 0) sleeper_.wake();
}

void QueueImpl::settle_ended(Index at, const std::vector<EndedRecipient>& ended, bool reported) {
  for (const EndedRecipient& one : ended) {
    spool::Settlement how = reported ? spool::Settlement::reported : spool::Settlement::failed;
    if (one.action == mail::ReportAction::relayed) how = spool::Settlement::delivered;
    context_.spool.settle(messages_[at].ref(), one.index, how);
    --messages_[at].open;
  }
}

/// RFC 3461 §4.3, §6.2: the whole message only when it was asked for, it has failed, and it is not
/// too long.
std::string QueueImpl::original_content(const mail::Envelope& about, const spool::MessageRef& ref,
                                        mail::ReportAction action, bool& full) {
  full = action == mail::ReportAction::failed && about.ret == mail::Ret::full &&
         about.content_size <= options_.report_full_limit;
  auto reader = context_.spool.read(ref);
  if (!reader) return "";
  std::string content;
  const std::size_t most = full ? options_.report_full_limit : kMaxHeader;
  while (content.size() < most) {
    const auto piece = (*reader)->next();
    full = full && piece;
    if (!piece || piece->empty()) break;
    content.append(piece->substr(0, most - content.size()));
  }
  if (full) return content;
  return std::string(header_of(content));
}

void QueueImpl::report_lost(const std::string& about, const std::string& addressee,
                            const routing::Decision& decision) {
  reports_lost_.add();
  ops::log().error(
      "message {}: {} can't be told that delivery failed: {}; set queue.report_next_hop", about,
      addressee, decision.why);
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::reported;
  event.at = clock().now();
  event.original_queue_id = about;
  event.recipient = addressee;
  event.reply = "not sent";
  event.why = decision.why;
  context_.tracking.write(event);
}

/// Mail without a sender that ends here: nobody waits for it, so the log says that somebody was not
/// told. One of our own reports is the worse of the two.
void QueueImpl::note_unreturnable(const mail::Envelope& envelope, std::uint32_t recipient,
                                  const mail::Outcome& outcome) {
  const mail::Recipient& ended = envelope.recipients[recipient];
  if (envelope.reverse_path || ended.copy > 0) return;
  const bool told = wants_report(envelope, ended);
  const std::string next =
      told ? "queue.undeliverable_to is told"
      : options_.undeliverable_to.empty()
          ? "nobody else is told; set queue.undeliverable_to to an address that somebody reads"
          : "nobody else is told, for it was queue.undeliverable_to itself that did not get it";
  const std::string reply = mail::printable(outcome.reply, 300);
  if (envelope.is_report) {
    reports_failed_.add();
    ops::log().error("message {}: the report to {} can't be delivered: {}; {}",
                     envelope.id.to_string(), ended.original.to_string(), reply, next);
    return;
  }
  // A million of them may expire together: the tracking log has each, this log tells that there
  // are.
  if (told) return;
  ++unreturned_;
  if (unreturned_said_at_ != SteadyTime{} && now() - unreturned_said_at_ < kSayUnreturned) return;
  unreturned_said_at_ = now();
  ops::log().warn("message {}: it has no sender and can't be delivered to {}: {}; {}{}",
                  envelope.id.to_string(), ended.original.to_string(), reply, next,
                  unreturned_ == 1 ? std::string()
                                   : " (" + std::to_string(unreturned_) +
                                         " such recipients since the last line of this kind)");
  unreturned_ = 0;
}

/// Puts whoever is told into the report's envelope; nullopt: nobody can be. Whoever only can't be
/// decided now (the table is lost, the entry waits) is told later: the report waits in the queue
/// like any mail. A failure that can't be told to its sender is told to whom nobody else's mail
/// goes.
std::optional<routing::Decision> QueueImpl::choose_addressee(mail::Envelope& report,
                                                             const mail::Envelope& about,
                                                             mail::ReportAction action) {
  std::vector<mail::Mailbox> choices{addressee(about)};
  const bool other = about.reverse_path && action == mail::ReportAction::failed;
  if (other && !options_.undeliverable_to.empty())
    choices.push_back(mailbox_of(options_.undeliverable_to));
  for (const mail::Mailbox& choice : choices) {
    report.recipients.assign(1, {});
    report.recipients.front().original = choice;
    routing::Decision decision = decide(report, 0);
    if (decision.verdict != routing::Verdict::refuse) return decision;
    report_lost(about.id.to_string(), choice.to_string(), decision);
  }
  return std::nullopt;
}

/// On success the report is durable, and only then may the recipients count as told.
net::Task<Result<>> QueueImpl::send_report(std::shared_ptr<const mail::Envelope> about,
                                           spool::MessageRef about_ref, mail::ReportAction action,
                                           std::vector<mail::ReportedRecipient> recipients) {
  auto envelope = std::make_shared<mail::Envelope>();
  envelope->id = context_.ids.next();
  envelope->accepted_at = clock().now();
  envelope->is_report = true;
  envelope->client = "report by " + context_.own_name;
  envelope->message_id = "<" + envelope->id.to_string() + "@" + context_.own_name + ">";
  const std::string about_id = about->id.to_string();
  const auto reached = choose_addressee(*envelope, *about, action);
  if (!reached) co_return Result<>();
  const routing::Decision& decision = *reached;
  const mail::Mailbox told = envelope->recipients.front().original;
  const std::string told_text = told.to_string();
  envelope->recipients.front().target = decision.target;
  envelope->recipients.front().next_hop = decision.next_hop;
  envelope->smtputf8 = told.needs_smtputf8();  // never what it tells of
  envelope->header = envelope->smtputf8 ? mail::HeaderText::utf8 : mail::HeaderText::ascii;
  bool full = false;
  const std::string original = original_content(*about, about_ref, action, full);
  const mail::ReportInput input{action,
                                *about,
                                std::move(recipients),
                                context_.own_name,
                                options_.postmaster,
                                clock().now(),
                                envelope->id,
                                original,
                                full,
                                told};
  const std::string content = mail::build_report(input);
  envelope->content_size = content.size();
  const bool eight_bit = std::any_of(content.begin(), content.end(),
                                     [](char c) { return static_cast<unsigned char>(c) > 127; });
  if (eight_bit) envelope->body = mail::BodyType::eight_bit_mime;
  auto incoming = context_.spool.begin(context_.shard.io.get_executor());
  incoming->append(content);
  auto stored = co_await incoming->commit(envelope->id, mail::encode(*envelope), 1);
  if (!stored) co_return fail(std::move(stored).error());
  reports_sent_.add();
  const std::string target = envelope->recipients.front().target.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::reported;
  event.at = envelope->accepted_at;
  event.queue_id = envelope->id;
  event.original_queue_id = about_id;
  event.recipient = told_text;
  event.target = target;
  event.next_hop = decision.next_hop;
  event.size = content.size();
  context_.tracking.write(event);
  submit(*stored, std::move(envelope), SteadyTime::min());
  co_return Result<>();
}

}  // namespace waypost::queue
