// DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030). Whatever was refused, octets that were announced
// are read and dropped.
#include "smtp/server_state.h"

#include <charconv>

namespace waypost::smtp {
namespace {

const Reply kNoRecipients{554, {5, 5, 1}, "no valid recipients"};

Reply too_large(std::uint64_t limit) {
  return {552, mail::status::message_too_big,
          "the message is too large; the limit is " + std::to_string(limit) + " octets"};
}

}  // namespace

/// Asks the handler once per transaction. False: a refusal was said or noted.
bool ServerDialogue::State::begin_content() {
  if (transaction->content_begun) return true;
  transaction->content_begun = true;
  if (auto refusal = handler.on_content_start()) {
    transaction->refusal = std::move(refusal);
    return false;
  }
  return true;
}

void ServerDialogue::State::data(std::string_view) {
  if (transaction->recipients == 0) return complain(kNoRecipients);
  if (!begin_content()) {
    const Reply refusal = *transaction->refusal;
    reset_transaction(true);
    return say(refusal);
  }
  content_bdat = false;
  say({354, {}, "end with <CR><LF>.<CR><LF>"});
  phase = Phase::data;
}

void ServerDialogue::State::check_size(std::uint64_t octets) {
  content_octets = octets;
  if (octets > options.max_message_size && !transaction->refusal) {
    transaction->refusal = too_large(options.max_message_size);
  }
}

void ServerDialogue::State::feed_data(std::string_view& input) {
  Transaction& t = *transaction;
  const bool ended = t.data.feed(input, handler, !t.refusal);
  check_size(t.data.octets());
  if (ended) end_data();
}

void ServerDialogue::State::end_data() {
  phase = Phase::command;
  content_bare = transaction->data.had_bare_newline();
  if (content_bare && options.bare_newline == BareNewline::reject && !transaction->refusal) {
    transaction->refusal =
        Reply{550, {5, 6, 11}, "the message has a bare CR or LF, which this listener refuses"};
  }
  finish_content();
}

void ServerDialogue::State::finish_content() {
  if (transaction->refusal) {
    const Reply refusal = *transaction->refusal;
    reset_transaction(true);
    return say(refusal);
  }
  phase = Phase::waiting;
  waiting_for = Step::commit;
}

void ServerDialogue::State::bdat(std::string_view arguments) {
  const std::string words = mail::ascii_lower(arguments);
  const char* first = words.data();
  const char* end = first + words.size();
  std::uint64_t size = 0;
  const auto [behind, error] = std::from_chars(first, end, size);
  std::string_view rest(behind, static_cast<std::size_t>(end - behind));
  const bool blank = !rest.empty() && rest.front() == ' ';
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const bool last = blank && rest == "last";
  if (error != std::errc() || behind == first || (!rest.empty() && !last)) {
    // Nobody knows how many octets follow: this conversation can't be understood any more.
    return close_with({501, mail::status::invalid_arguments,
                       "the form is BDAT octets [LAST]; closing, the octets behind it can't be "
                       "told from commands"});
  }
  phase = Phase::bdat;
  chunk_left = size;
  chunk_discarded = true;
  chunk_reply.reset();
  if (!said_hello || !transaction) {
    chunk_reply =
        Reply{503, mail::status::invalid_command, said_hello ? "say MAIL first" : "say EHLO first"};
    return;
  }
  if (transaction->recipients == 0) {
    chunk_reply = kNoRecipients;
    return;
  }
  chunk_discarded = false;
  content_bdat = transaction->bdat = true;
  transaction->last_chunk = last;
  begin_content();
  check_size(size > options.max_message_size ? size : transaction->bdat_octets + size);
}

void ServerDialogue::State::feed_bdat(std::string_view& input) {
  const auto piece =
      input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left, input.size())));
  input.remove_prefix(piece.size());
  chunk_left -= piece.size();
  if (!chunk_discarded && !piece.empty()) {
    transaction->bdat_octets += piece.size();
    if (!transaction->refusal) {
      transaction->bdat_scan.feed(piece);
      handler.on_content(piece);
    }
  }
  if (chunk_left == 0) end_chunk();
}

void ServerDialogue::State::end_chunk() {
  phase = Phase::command;
  if (chunk_discarded) {
    chunk_discarded = false;
    return complain(*chunk_reply);
  }
  if (transaction->last_chunk) {
    content_bare = transaction->bdat_scan.finish();
    return finish_content();
  }
  if (transaction->refusal) return say(*transaction->refusal);
  say({250, {2, 0, 0}, std::to_string(transaction->bdat_octets) + " octets received"});
}

}  // namespace waypost::smtp
