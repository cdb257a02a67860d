#include "waypost/smtp/server_dialogue.h"

#include "smtp/server_state.h"

#include <algorithm>
#include <utility>

namespace waypost::smtp {
namespace {

/// A line longer than this is an attack, not a mistake: the connection ends.
constexpr std::size_t kMaxDiscardedLine = 64 * 1024;

void wipe(std::string& secret) {
  std::fill(secret.begin(), secret.end(), '\0');
  asm volatile("" : : "r"(secret.data()) : "memory");  // the store is not dead
  secret.clear();
}

}  // namespace

void ServerDialogue::State::reply(Reply answer) {
  // RFC 2034 §4: enhanced codes are for those who said EHLO, and not in the answer to it.
  if (answers_hello || (!esmtp && !helo_name.empty())) answer.status = {};
  // RFC 6531 §3.7.4.2, RFC 5321 §4.2: who has not said SMTPUTF8 hears ASCII.
  answer.append_to(output, smtputf8);
}

void ServerDialogue::State::reply(int code, mail::EnhancedStatus status, std::string_view text) {
  reply(Reply{code, status, std::string(text)});
}

void ServerDialogue::State::refuse(int code, mail::EnhancedStatus status, std::string_view text) {
  refuse(Reply{code, status, std::string(text)});
}

void ServerDialogue::State::refuse(Reply answer) {
  reply(std::move(answer));
  if (++errors > options.max_errors) {
    close_with({421, {4, 7, 0}, options.own_name + " too many errors, closing the connection"});
  }
}

void ServerDialogue::State::close_with(Reply answer) {
  reply(std::move(answer));
  end_transaction(true);
  mode = Mode::closed;
}

void ServerDialogue::State::end_transaction(bool abandoned) {
  const bool was = std::exchange(transaction, false);
  smtputf8 = false;
  recipients = 0;
  mail_refused = rcpt_refused = false;
  refusal.reset();
  content_started = false;
  if (was && abandoned) handler.on_abandon();
}

/// RFC 3207 §4.2: nothing that was said in the clear counts any more.
void ServerDialogue::State::forget_session() {
  end_transaction(true);
  mode = Mode::command;
  esmtp = false;
  helo_name.clear();
  user.clear();
  wipe(credentials.password);
  credentials.user.clear();
  line.clear();
  discarded = 0;
  bdat_used = false;
  octets = 0;
  decoder = {};
  scan = {};
}

Step ServerDialogue::State::step() const {
  switch (mode) {
    case Mode::auth_pending:
      return Step::authenticate;
    case Mode::tls_pending:
      return Step::start_tls;
    case Mode::commit_pending:
      return Step::commit;
    case Mode::closed:
      return Step::close;
    default:
      return Step::need_input;
  }
}

Step ServerDialogue::State::advance(std::string_view& input) {
  for (;;) {
    if (const Step now = step(); now != Step::need_input) {
      const bool waits = now == Step::authenticate || now == Step::commit;
      if (now == Step::close || waits || !shutdown) return now;
    }
    if (shutdown && !transaction) {  // who is in a transaction may finish it
      close_with(*std::exchange(shutdown, std::nullopt));
      return Step::close;
    }
    if (mode == Mode::data) {
      if (input.empty()) return Step::need_input;
      data_octets(input);
    } else if (mode == Mode::bdat) {
      if (input.empty()) return Step::need_input;
      bdat_octets(input);
    } else {
      std::string kept;
      const auto taken = take_line(input, kept);
      if (!taken) {
        if (mode == Mode::closed) continue;
        return Step::need_input;
      }
      handle_line(*taken, line_ends_bare);
    }
  }
}

/// The next whole line without its end; `kept` holds it if it came in pieces. The limit counts the
/// line's end, and acts at the same octet however the bytes were cut.
std::optional<std::string_view> ServerDialogue::State::take_line(std::string_view& input,
                                                                 std::string& kept) {
  while (!input.empty()) {
    const auto end = input.find('\n');
    const bool whole = end != std::string_view::npos;
    const std::string_view piece = input.substr(0, whole ? end + 1 : end);
    input.remove_prefix(piece.size());
    const std::size_t length = line.size() + discarded + piece.size();
    if (length > kMaxDiscardedLine) {
      line.clear();
      close_with({421, {4, 7, 0}, options.own_name + " that line has no end, closing"});
      return std::nullopt;
    }
    if (length + (whole ? 0 : 1) > options.max_command_line) {
      if (discarded == 0) (long_head = line.substr(0, 8)).append(piece.substr(0, 8));
      line.clear();
      discarded = whole ? 0 : length;
      if (!whole) continue;
      line_too_long();
      if (mode == Mode::closed) return std::nullopt;
      continue;
    }
    if (!whole) {
      line.append(piece);
      continue;
    }
    std::string_view taken = piece;
    if (!line.empty()) {
      line.append(piece);
      kept = std::exchange(line, {});
      taken = kept;
    }
    taken.remove_suffix(1);
    line_ends_bare = taken.empty() || taken.back() != '\r';
    if (!line_ends_bare) taken.remove_suffix(1);
    return taken;
  }
  return std::nullopt;
}

void ServerDialogue::State::line_too_long() {
  refuse_line(long_head,
              "the line is longer than " + std::to_string(options.max_command_line) + " octets");
}

void ServerDialogue::State::refuse_line(std::string_view head, std::string_view text) {
  const bool recipient = names_recipient(head);
  mode = Mode::command;  // an authentication exchange ends here, too (RFC 4954 §4)
  if (!recipient) return refuse(500, mail::status::syntax_error, text);
  if (one_too_many()) return;
  rcpt_refused = true;
  reply(500, mail::status::syntax_error, text);
}

void ServerDialogue::State::handle_line(std::string_view text, bool bare_lf) {
  // RFC 5321 §2.3.8: only CRLF ends a line. A listener that normalises is as kind to commands.
  if (bare_lf && options.bare_newline == BareNewline::reject)
    return refuse_line(text, "a line ends with CR LF, not with LF alone");
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if ((octet < 0x20 && octet != '\t') || octet == 0x7F)
      return refuse_line(text, "there is a control character in the line");
  }
  if (mode == Mode::command) {
    command(text);
  } else {
    auth_line(text);
  }
}

ServerDialogue::ServerDialogue(const ServerOptions& options, ServerHandler& handler)
    : state_(std::make_unique<State>(options, handler, output_)) {}
ServerDialogue::~ServerDialogue() { wipe(state_->credentials.password); }

void ServerDialogue::greet(std::optional<Reply> refusal) {
  if (refusal) {
    refusal->status = {};  // RFC 2034 §4: none where the greeting stands
    state_->close_with(std::move(*refusal));
  } else {
    Reply{220, {}, state_->options.own_name + " ESMTP Waypost"}.append_to(output_);
  }
}

Step ServerDialogue::advance(std::string_view& input) { return state_->advance(input); }

void ServerDialogue::tls_started() {
  state_->forget_session();
  state_->tls = true;
}

void ServerDialogue::assume_tls() { state_->tls = true; }

const Credentials& ServerDialogue::credentials() const { return state_->credentials; }

void ServerDialogue::authenticated(const Reply& reply) {
  State& s = *state_;
  if (s.mode != State::Mode::auth_pending) return;
  s.mode = State::Mode::command;
  wipe(s.credentials.password);
  if (reply.code == 235) {
    s.user = std::exchange(s.credentials.user, {});
    s.reply(reply);
  } else {
    s.credentials.user.clear();
    s.refuse(reply);
  }
}

void ServerDialogue::committed(const Reply& reply) {
  State& s = *state_;
  if (s.mode != State::Mode::commit_pending) return;
  s.mode = State::Mode::command;
  if (reply.positive()) s.commands_since_message = 0;
  s.reply(reply);
  s.end_transaction(false);
}

void ServerDialogue::refuse_content(Reply reply) {
  if (state_->transaction && !state_->refusal) state_->refusal = std::move(reply);
}

void ServerDialogue::last_word(Reply reply) { state_->reply(std::move(reply)); }

void ServerDialogue::shut_down(Reply reply) {
  if (state_->mode != State::Mode::closed) state_->shutdown = std::move(reply);
}

bool ServerDialogue::in_content() const {
  return state_->content_started || state_->mode == State::Mode::bdat;
}
bool ServerDialogue::in_transaction() const { return state_->transaction; }
bool ServerDialogue::tls() const { return state_->tls; }
bool ServerDialogue::esmtp() const { return state_->esmtp; }
bool ServerDialogue::used_bdat() const { return state_->bdat_used; }
bool ServerDialogue::content_had_bare_newline() const {
  return state_->bdat_used ? state_->scan.finish() : state_->decoder.had_bare_newline();
}
const std::string& ServerDialogue::helo() const { return state_->helo_name; }
const std::string& ServerDialogue::user() const { return state_->user; }
std::uint64_t ServerDialogue::chunk_remaining() const {
  return state_->mode == State::Mode::bdat ? state_->chunk_remaining : 0;
}
std::uint64_t ServerDialogue::content_octets() const { return state_->octets; }

}  // namespace waypost::smtp
