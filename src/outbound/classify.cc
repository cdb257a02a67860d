#include "outbound/classify.h"

#include "waypost/mail/xtext.h"

#include <algorithm>

namespace waypost::outbound {
namespace {

using mail::EnhancedStatus;
using mail::Fate;
using mail::Outcome;
using smtp::Reply;

constexpr std::size_t kMaxReply = 1000;

/// The server's own enhanced status, or what its basic code says (RFC 3463 §2, RFC 5321 §4.2.3).
EnhancedStatus status_of(const Reply& reply, Fate fate) {
  const auto klass = static_cast<std::uint16_t>(fate == Fate::delivered ? 2
                                                : fate == Fate::failed  ? 5
                                                                        : 4);
  if (reply.status.klass == klass) return reply.status;
  if (reply.status) return {klass, reply.status.subject, reply.status.detail};
  switch (reply.code) {
    case 421:
      return {klass, 3, 2};
    case 450:
    case 550:
      return {klass, 2, 0};
    case 451:
      return {klass, 3, 0};
    case 452:
      return {klass, 3, 1};
    case 454:
      return {klass, 7, 0};
    case 530:
    case 535:
      return {klass, 7, 0};
    case 551:
      return {klass, 1, 6};
    case 552:
      return {klass, 2, 2};
    case 553:
      return {klass, 1, 3};
    case 555:
      return {klass, 5, 4};
    default:
      return {klass, 0, 0};
  }
}

Outcome from_reply(Fate fate, const Reply& reply, const std::string& remote_mta) {
  Outcome outcome;
  outcome.fate = fate;
  outcome.status = status_of(reply, fate);
  outcome.reply = mail::printable(reply.to_line(), kMaxReply);
  outcome.from_remote = true;
  outcome.remote_mta = remote_mta;
  return outcome;
}

/// What a refusal means; REQUIRES: !reply.positive().
Outcome refused(const Reply& reply, const std::string& remote_mta) {
  return from_reply(reply.permanent() ? Fate::failed : Fate::deferred, reply, remote_mta);
}

Outcome unanswered(const Error& broken, bool content_started, const std::string& remote_mta) {
  std::string words = broken.message.empty() ? "the server did not answer" : broken.message;
  if (content_started) words += " (after the content was sent: the message may arrive twice)";
  Outcome outcome = deferred_because(mail::status::bad_connection, std::move(words));
  outcome.remote_mta = remote_mta;
  return outcome;
}

/// A bare 552 after RCPT may be an old server's word for 452 (RFC 5321 §4.5.3.1.10). One that says
/// what is the matter (552 5.2.2: the mailbox is full) means what it says.
bool too_many_recipients(const Reply& reply) {
  if (reply.code != 552) return false;
  return !reply.status || (reply.status.subject == 5 && reply.status.detail == 3);
}

bool throttles(const Reply& reply) { return reply.code == 421 || reply.code == 454; }

}  // namespace

Outcome failed_because(EnhancedStatus status, std::string words) {
  Outcome outcome;
  outcome.fate = Fate::failed;
  outcome.status = status;
  outcome.reply = mail::printable(words, kMaxReply);
  return outcome;
}

Outcome deferred_because(EnhancedStatus status, std::string words) {
  Outcome outcome = failed_because(status, std::move(words));
  outcome.fate = Fate::deferred;
  return outcome;
}

Outcome judge_recipient(const smtp::TransactionOutcome& transaction, std::size_t index,
                        const Error& broken, const std::string& remote_mta, bool remote_has_dsn) {
  const Reply& mail = transaction.mail;
  if (mail.code == 0) return unanswered(broken, false, remote_mta);
  if (!mail.positive()) return refused(mail, remote_mta);
  const Reply& rcpt = transaction.recipients[index];
  if (rcpt.code == 0) return unanswered(broken, false, remote_mta);
  if (too_many_recipients(rcpt)) return from_reply(Fate::deferred, rcpt, remote_mta);
  if (!rcpt.positive()) return refused(rcpt, remote_mta);
  const Reply& verdict = transaction.content;
  if (verdict.code == 0) return unanswered(broken, transaction.content_started, remote_mta);
  if (!verdict.positive()) return refused(verdict, remote_mta);
  if (verdict.code >= 300)
    return unanswered({ErrorKind::protocol, "the server's verdict was " + verdict.to_line()}, true,
                      remote_mta);
  Outcome outcome = from_reply(Fate::delivered, verdict, remote_mta);
  outcome.remote_has_dsn = remote_has_dsn;
  return outcome;
}

Outcome judge_no_session(const Error& error, const Reply& reply, const std::string& remote_mta) {
  if (reply.code != 0) {
    Outcome outcome = from_reply(Fate::deferred, reply, remote_mta);
    if (error.kind == ErrorKind::tls) outcome.status = {4, 7, 5};
    return outcome;
  }
  EnhancedStatus status = mail::status::no_answer;
  switch (error.kind) {
    case ErrorKind::tls:
      status = {4, 7, 5};
      break;
    case ErrorKind::unsupported:
      status = {4, 7, 10};
      break;
    case ErrorKind::dns:
      status = mail::status::directory_failure;
      break;
    case ErrorKind::closed:
    case ErrorKind::protocol:
    case ErrorKind::cancelled:
      status = mail::status::bad_connection;
      break;
    default:
      break;
  }
  Outcome outcome = deferred_because(status, error.message);
  outcome.remote_mta = remote_mta;
  return outcome;
}

bool asks_for_less(const smtp::TransactionOutcome& transaction, const Error& broken) {
  // Too much at once makes servers fall over in the middle.
  if (!broken.message.empty() && transaction.mail.code != 0 && transaction.content_started)
    return true;
  const auto busy = [](const Reply& reply) {
    if (reply.code / 100 != 4) return false;
    const EnhancedStatus status = status_of(reply, Fate::deferred);
    return status.subject == 3 || status.subject == 4 || status.subject == 7;
  };
  return busy(transaction.mail) || busy(transaction.content) ||
         std::any_of(transaction.recipients.begin(), transaction.recipients.end(), busy);
}

bool is_site_trouble(const smtp::TransactionOutcome& transaction, const Error& broken) {
  if (throttles(transaction.mail) || throttles(transaction.content)) return true;
  for (const Reply& reply : transaction.recipients) {
    if (throttles(reply)) return true;
  }
  // Broken off before the content was out: the message can hardly be the reason. With PIPELINING
  // and BDAT the content goes out before anything is answered; then the answers tell how far it
  // came.
  return !broken.message.empty() && (!transaction.content_started || transaction.mail.code == 0);
}

}  // namespace waypost::outbound
