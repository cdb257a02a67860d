#include "waypost/smtp/server_dialogue.h"

#include "smtp/server_state.h"

namespace waypost::smtp {
namespace {

constexpr std::size_t kMaxAuthLine = 12288;  // RFC 4954 §4

}  // namespace

ServerDialogue::ServerDialogue(const ServerOptions& options, ServerHandler& handler)
    : state_(std::make_unique<State>(options, handler, output_)) {}
ServerDialogue::~ServerDialogue() = default;

void ServerDialogue::greet(std::optional<Reply> refusal) {
  if (refusal) {
    state_->close_with(std::move(*refusal));
  } else {
    state_->say({220, {}, state_->options.own_name + " ESMTP Waypost"});
  }
}

Step ServerDialogue::advance(std::string_view& input) {
  State& s = *state_;
  for (;;) {
    switch (s.phase) {
      case State::Phase::closed:
        return Step::close;
      case State::Phase::waiting:
        return s.waiting_for;
      case State::Phase::command:
        // Shutting down: whoever is in a transaction may finish it.
        if (s.shutdown && !s.transaction && s.line.empty()) {
          s.close_with(*s.shutdown);
          return Step::close;
        }
        [[fallthrough]];
      case State::Phase::auth_line:
        if (!s.take_line(input)) return Step::need_input;
        s.run_line();
        break;
      case State::Phase::data:
        if (input.empty()) return Step::need_input;
        s.feed_data(input);
        break;
      case State::Phase::bdat:
        if (s.chunk_left > 0 && input.empty()) return Step::need_input;
        s.feed_bdat(input);
        break;
    }
  }
}

/// True when `line` holds a whole line, without its line end.
bool ServerDialogue::State::take_line(std::string_view& input) {
  const std::size_t limit = phase == Phase::auth_line ? kMaxAuthLine : options.max_command_line;
  const auto end = input.find('\n');
  const std::string_view piece = input.substr(0, end);
  if (line.size() + piece.size() > limit) {
    line_overlong = true;
    line.clear();
  }
  if (!line_overlong) line.append(piece);
  if (end == std::string_view::npos) {
    input = {};
    return false;
  }
  input.remove_prefix(end + 1);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

void ServerDialogue::State::run_line() {
  const bool overlong = std::exchange(line_overlong, false);
  const bool controls = std::any_of(line.begin(), line.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return (octet < 0x20 && c != '\t') || octet == 0x7F;
  });
  if (overlong || controls) {
    if (phase == Phase::auth_line) phase = Phase::command;
    complain({500, mail::status::syntax_error,
              overlong ? "line too long" : "the command has a control character"});
  } else if (phase == Phase::auth_line) {
    auth_line();
  } else {
    run_command();
  }
  line.clear();
}

void ServerDialogue::State::say(Reply reply) {
  // RFC 2034 §3: enhanced status codes only for clients that said EHLO.
  if (said_hello && !esmtp) reply.status = {};
  reply.append_to(out);
}

void ServerDialogue::State::complain(Reply reply) {
  say(std::move(reply));
  if (++errors > options.max_errors)
    close_with({421, {4, 7, 0}, options.own_name + " too many errors"});
}

void ServerDialogue::State::close_with(Reply reply) {
  reset_transaction(true);
  say(std::move(reply));
  phase = Phase::closed;
}

void ServerDialogue::State::reset_transaction(bool abandoned) {
  if (!transaction) return;
  transaction.reset();
  chunk_discarded = false;
  if (abandoned) handler.on_abandon();
}

void ServerDialogue::State::count_idle_command() {
  if (++idle_commands > options.max_commands_without_mail) {
    close_with({421, {4, 7, 0}, options.own_name + " too many commands without mail"});
  }
}

void ServerDialogue::tls_started() {
  State& s = *state_;
  s.reset_transaction(true);
  s.tls = true;
  s.said_hello = s.esmtp = false;
  s.helo_name.clear();
  s.user.clear();
  s.line.clear();
  s.line_overlong = false;
  s.phase = State::Phase::command;
}

void ServerDialogue::assume_tls() { state_->tls = true; }

const Credentials& ServerDialogue::credentials() const { return state_->credentials; }

void ServerDialogue::authenticated(const Reply& reply) {
  State& s = *state_;
  s.phase = State::Phase::command;
  if (reply.code == 235) {
    s.user = s.credentials.user;
    s.say(reply);
  } else {
    s.complain(reply);
    if (s.phase != State::Phase::closed && reply.permanent() && ++s.auth_failures >= 3) {
      s.close_with({421, {4, 7, 0}, s.options.own_name + " too many failed authentications"});
    }
  }
  s.credentials = {};
}

void ServerDialogue::committed(const Reply& reply) {
  State& s = *state_;
  s.phase = State::Phase::command;
  s.reset_transaction(false);
  s.idle_commands = 0;
  s.say(reply);
}

void ServerDialogue::refuse_content(Reply reply) {
  if (state_->transaction && !state_->transaction->refusal)
    state_->transaction->refusal = std::move(reply);
}

void ServerDialogue::shut_down(Reply reply) { state_->shutdown = std::move(reply); }

bool ServerDialogue::in_content() const {
  return state_->transaction && state_->transaction->content_begun;
}
bool ServerDialogue::in_transaction() const { return state_->transaction.has_value(); }
bool ServerDialogue::tls() const { return state_->tls; }
bool ServerDialogue::esmtp() const { return state_->esmtp; }
bool ServerDialogue::used_bdat() const { return state_->content_bdat; }
bool ServerDialogue::content_had_bare_newline() const { return state_->content_bare; }
const std::string& ServerDialogue::helo() const { return state_->helo_name; }
const std::string& ServerDialogue::user() const { return state_->user; }
std::uint64_t ServerDialogue::chunk_remaining() const { return state_->chunk_left; }
std::uint64_t ServerDialogue::content_octets() const { return state_->content_octets; }

}  // namespace waypost::smtp
