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

/// The server's own enhanced status, or none in particular.
EnhancedStatus status_of(const Reply& reply, Fate fate) {
  const auto klass = static_cast<std::uint16_t>(fate == Fate::delivered ? 2
                                                : fate == Fate::failed  ? 5
                                                                        : 4);
  if (reply.status) return {klass, reply.status.subject, reply.status.detail};
  return {klass, 0, 0};
}

/// What a 4yz is about, also when only its basic code says so (RFC 5321 §4.2.3): 3 the system, 4
/// the network, 5 the protocol, 7 policy; 0: no more than "later".
std::uint16_t subject_of(const Reply& reply) {
  if (reply.status) return reply.status.subject;
  switch (reply.code) {
    case 421:
    case 451:
    case 452:
      return 3;
    case 454:
      return 7;
    default:
      return 0;
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

/// "Too many recipients" in the words of RFC 5321 §4.5.3.1.10, where 552 is an old server's word
/// for 452. One that says what else is the matter (552 5.2.2: the mailbox is full) means what it
/// says.
bool too_many(const Reply& reply) {
  if (reply.positive()) return false;
  if (reply.status) return reply.status.subject == 5 && reply.status.detail == 3;
  return reply.code == 452 || reply.code == 552;
}

bool has_accepted(const smtp::TransactionOutcome& transaction) {
  return std::any_of(transaction.recipients.begin(), transaction.recipients.end(),
                     [](const Reply& reply) { return reply.positive(); });
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
  const bool sent = transaction.content_started;
  if (mail.code == 0) return unanswered(broken, sent, remote_mta);
  if (!mail.positive()) return refused(mail, remote_mta);
  const Reply& rcpt = transaction.recipients[index];
  if (rcpt.code == 0) return unanswered(broken, sent, remote_mta);
  if (wants_fewer(transaction, index)) return from_reply(Fate::deferred, rcpt, remote_mta);
  if (!rcpt.positive()) return refused(rcpt, remote_mta);
  const Reply& verdict = transaction.content;
  if (verdict.code == 0) return unanswered(broken, sent, remote_mta);
  if (!verdict.positive()) return refused(verdict, remote_mta);
  if (verdict.code >= 300)
    return unanswered({ErrorKind::protocol, "the server's verdict was " + verdict.to_line()}, true,
                      remote_mta);
  Outcome outcome = from_reply(Fate::delivered, verdict, remote_mta);
  outcome.remote_has_dsn = remote_has_dsn;
  return outcome;
}

bool wants_fewer(const smtp::TransactionOutcome& transaction, std::size_t index) {
  const Reply& reply = transaction.recipients[index];
  if (!too_many(reply)) return false;
  // Any other 5yz with x.5.3 is a refusal, unless it stands behind somebody who was taken.
  return reply.transient() || reply.code == 552 || has_accepted(transaction);
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
  // Who takes some of many recipients and leaves the others for the next transaction is not busy.
  const bool went_on = has_accepted(transaction) && transaction.content.positive();
  const auto busy = [went_on](const Reply& reply) {
    if (reply.code / 100 != 4 || (went_on && too_many(reply))) return false;
    const std::uint16_t subject = subject_of(reply);
    return subject == 3 || subject == 4 || subject == 7;
  };
  return busy(transaction.mail) || busy(transaction.content) ||
         std::any_of(transaction.recipients.begin(), transaction.recipients.end(), busy);
}

bool is_site_trouble(const smtp::TransactionOutcome& transaction, const Error& broken) {
  if (throttles(transaction.mail) || throttles(transaction.content)) return true;
  for (const Reply& reply : transaction.recipients) {
    if (throttles(reply)) return true;
  }
  // Broken off before the content was out: the message can hardly be the reason.
  return !broken.message.empty() && !transaction.content_started;
}

}  // namespace waypost::outbound
