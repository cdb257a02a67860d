// One transaction: RFC 5321 §3.3, RFC 2920 (pipelining), RFC 3030 (BDAT).
#include "smtp/client_capabilities.h"
#include "smtp/client_state.h"

#include <utility>

namespace waypost::smtp {

void ClientDialogue::State::begin(const ClientTransaction& wanted) {
  if (step == ClientStep::failed) return;
  transaction = wanted;
  outcome = {};
  outcome.recipients.resize(wanted.recipients.size());
  content_cut = false;
  recipients_sent = recipients_answered = recipients_accepted = 0;
  if (broken || lost) {
    return break_off(lost ? loss.kind : ErrorKind::protocol,
                     lost ? loss.message : "the connection is of no more use");
  }
  form = capabilities.chunking && options.use_chunking ? ContentForm::bdat : ContentForm::data;
  step = ClientStep::need_input;
  next = Next::mail;
  if (std::exchange(needs_reset, false)) send(Expect::rset, "RSET\r\n");
  progress();
}

/// True if the content has no chance: the transaction or each recipient was refused.
bool ClientDialogue::State::hopeless() const {
  return outcome.mail.code >= 400 ||
         (recipients_answered == transaction.recipients.size() && recipients_accepted == 0);
}

/// Sends as much as may go out now: all that can be pipelined, or one command.
void ClientDialogue::State::progress() {
  const bool pipelining = capabilities.pipelining && options.use_pipelining;
  while (step == ClientStep::need_input && (pipelining || expected.empty())) {
    switch (next) {
      case Next::mail: {
        std::string command;
        append_mail(command, transaction, capabilities);
        send(Expect::mail, command);
        next = Next::rcpt;
        break;
      }
      case Next::rcpt:
        if (outcome.mail.code >= 400) {
          next = Next::end;
        } else if (recipients_sent == transaction.recipients.size()) {
          next = Next::content;
        } else {
          append_rcpt(output, transaction.recipients[recipients_sent++], transaction, capabilities);
          expected.push_back(Expect::rcpt);
        }
        break;
      case Next::content:
        // RFC 3030 §2: all answers to MAIL and RCPT come first, or the server may take the content
        // for commands, and a break-off between could leave a copy that nobody knows of. DATA is
        // safe without: what it leads to waits for the 354.
        if (form == ContentForm::bdat && !expected.empty()) return;
        if (!expected.empty() || !hopeless()) send_content_command();
        next = Next::end;
        break;
      case Next::end:
        if (!expected.empty()) return;
        needs_reset =
            (outcome.mail.positive() || recipients_accepted > 0) && !outcome.content.positive();
        next = Next::nothing;
        step = ClientStep::done;
        return;
      case Next::nothing:
        return;
    }
  }
}

void ClientDialogue::State::send_content_command() {
  if (form == ContentForm::data) return send(Expect::data, "DATA\r\n");
  send(Expect::verdict, "BDAT " + std::to_string(transaction.size) + " LAST\r\n");
  start_content();
}

void ClientDialogue::State::start_content() {
  outcome.content_started = true;
  step = ClientStep::send_content;
}

/// RFC 5321 §4.2: a code that we don't know means what its first digit says.
void ClientDialogue::State::on_data(Reply reply) {
  if (reply.code / 100 != 3) {
    if (reply.positive()) return refused("DATA was", std::move(reply));
    outcome.content = std::move(reply);
  } else if (!hopeless()) {
    start_content();
  } else if (recipients_accepted > 0) {
    // It refused MAIL and then went on: whatever it is about to store is not this message.
    break_off(ErrorKind::protocol,
              "the server refused MAIL and wants the content all the same: " + reply.to_line());
    deaf = true;
  } else {
    // RFC 2920 §3.1: nobody will get it, but the server waits for an end: an empty message.
    send(Expect::verdict, ".\r\n");
  }
}

void ClientDialogue::State::on_transaction_reply(Expect expect, Reply reply) {
  if (reply.code / 100 == 3 && expect != Expect::data) {
    return break_off(ErrorKind::protocol,
                     "the server's reply does not fit the command: " + reply.to_line());
  }
  switch (expect) {
    case Expect::rset:
      if (!reply.positive()) return refused("RSET was", std::move(reply));
      break;
    case Expect::mail:
      outcome.mail = std::move(reply);
      break;
    case Expect::rcpt:
      if (reply.positive()) ++recipients_accepted;
      outcome.recipients[recipients_answered++] = std::move(reply);
      break;
    case Expect::data:
      on_data(std::move(reply));
      break;
    default:
      if (content_cut && reply.positive()) {
        return break_off(ErrorKind::protocol,
                         "the server took a message that it had not got: " + reply.to_line());
      }
      outcome.content = std::move(reply);
      break;
  }
  if (!broken) {
    progress();
  } else if (expected.empty() && outcome.content.code != 0) {
    step = ClientStep::done;  // 421 as the verdict, or a cut content's: all is said
  }
}

}  // namespace waypost::smtp
