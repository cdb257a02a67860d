#include "waypost/smtp/client_dialogue.h"

#include "smtp/client_state.h"

#include <algorithm>
#include <utility>

namespace waypost::smtp {

ClientDialogue::State::State(ClientOptions client_options, std::string& out)
    : options(std::move(client_options)), output(out), tls(options.implicit_tls) {
  expected.push_back(Expect::greeting);
}

void ClientDialogue::State::send(Expect expect, std::string_view command) {
  output += command;
  expected.push_back(expect);
}

void ClientDialogue::State::break_off(ErrorKind kind, std::string message, Reply reply) {
  failure = Error{kind, std::move(message)};
  failure_reply = std::move(reply);
  step = ClientStep::failed;
  broken = true;
}

void ClientDialogue::State::refused(std::string_view what, Reply reply) {
  std::string text = std::string(what) + " refused: " + reply.to_line();
  break_off(ErrorKind::protocol, std::move(text), std::move(reply));
}

ClientStep ClientDialogue::State::advance(std::string_view& input) {
  const bool waits = step == ClientStep::start_tls || step == ClientStep::send_content;
  if (step == ClientStep::failed || waits) return step;
  if (step == ClientStep::need_input) take_replies(input);
  const bool idle = step == ClientStep::ready || step == ClientStep::done;
  if (!idle) return step;
  // A reply that nobody asked for: it must never be taken for the answer to the next command. The
  // outcome of a transaction that is over stays as it is.
  if (!input.empty() || !parser.idle() || lost) broken = true;
  if (step == ClientStep::ready && broken) {
    if (lost) {
      break_off(loss.kind, loss.message);
    } else {
      auto reply = parser.feed(input);
      Reply stray = reply && *reply ? std::move(**reply) : Reply{};
      std::string text = "the server spoke out of turn: " + stray.to_line();
      break_off(ErrorKind::protocol, std::move(text), stray.code == 421 ? stray : Reply{});
    }
  }
  return step;
}

ClientStep ClientDialogue::State::take_replies(std::string_view& input) {
  while (step == ClientStep::need_input) {
    auto reply = parser.feed(input);
    if (!reply) {
      break_off(reply.error().kind, reply.error().message);
    } else if (*reply) {
      on_reply(std::move(**reply), !input.empty());
    } else {
      break;
    }
  }
  if (step == ClientStep::need_input && lost) {
    if (!expected.empty() && expected.front() == Expect::quit) {
      step = ClientStep::done;
    } else {
      break_off(loss.kind, loss.message);
    }
  }
  return step;
}

void ClientDialogue::State::on_reply(Reply reply, bool more_input) {
  ++replies;
  if (expected.empty()) {
    return break_off(ErrorKind::protocol, "the server sent a reply too many: " + reply.to_line());
  }
  const Expect expect = expected.front();
  expected.pop_front();
  const bool closing = reply.code == 421;  // RFC 5321 §3.8: may come at any time
  if (closing) broken = true;
  switch (expect) {
    case Expect::greeting:
      return on_greeting(std::move(reply));
    case Expect::ehlo:
      return on_ehlo(std::move(reply));
    case Expect::helo:
      return on_helo(std::move(reply));
    case Expect::starttls:
      return on_starttls(std::move(reply), more_input);
    case Expect::auth_plain:
    case Expect::auth_login:
    case Expect::auth_user:
    case Expect::auth_password:
      return on_auth(expect, std::move(reply));
    case Expect::quit:
      step = ClientStep::done;
      broken = true;
      return;
    default: {
      const Reply said = closing ? reply : Reply{};
      on_transaction_reply(expect, std::move(reply));
      if (closing && step == ClientStep::need_input) refused("the connection was", said);
    }
  }
}

ClientStage ClientDialogue::State::stage() const {
  if (step == ClientStep::start_tls) return ClientStage::tls;
  if (step == ClientStep::send_content) return ClientStage::content;
  if (step != ClientStep::need_input || expected.empty()) return ClientStage::idle;
  switch (expected.front()) {
    case Expect::greeting:
      return ClientStage::greeting;
    case Expect::ehlo:
    case Expect::helo:
      return ClientStage::ehlo;
    case Expect::starttls:
      return ClientStage::tls;
    case Expect::auth_plain:
    case Expect::auth_login:
    case Expect::auth_user:
    case Expect::auth_password:
      return ClientStage::auth;
    case Expect::rset:
      return ClientStage::rset;
    case Expect::mail:
      return ClientStage::mail;
    case Expect::rcpt:
      return ClientStage::rcpt;
    case Expect::data:
      return ClientStage::data_command;
    case Expect::verdict:
      return ClientStage::verdict;
    case Expect::quit:
      return ClientStage::quit;
  }
  return ClientStage::idle;
}

ClientDialogue::ClientDialogue(ClientOptions options)
    : state_(std::make_unique<State>(std::move(options), output_)) {}
ClientDialogue::~ClientDialogue() = default;

ClientStep ClientDialogue::advance(std::string_view& input) { return state_->advance(input); }

void ClientDialogue::tls_started() {
  State& s = *state_;
  if (s.step != ClientStep::start_tls) return;
  s.tls = true;
  s.deaf = false;
  s.step = ClientStep::need_input;
  s.capabilities = {};  // RFC 3207 §4.2
  s.say_ehlo();
}

void ClientDialogue::begin(const ClientTransaction& transaction) { state_->begin(transaction); }

void ClientDialogue::content_sent() {
  State& s = *state_;
  if (s.step != ClientStep::send_content) return;
  s.step = ClientStep::need_input;
  if (s.form == ContentForm::data) s.expected.push_back(State::Expect::verdict);
}

void ClientDialogue::content_cut() {
  State& s = *state_;
  if (s.step != ClientStep::send_content) return;
  content_sent();
  s.content_cut = s.broken = true;
}

void ClientDialogue::quit() {
  State& s = *state_;
  if (s.step == ClientStep::failed) return;
  s.step = ClientStep::need_input;
  s.expected.clear();
  s.send(State::Expect::quit, "QUIT\r\n");
  s.broken = true;
}

void ClientDialogue::connection_lost(const Error& error) {
  State& s = *state_;
  s.lost = true;
  s.broken = true;
  s.loss = error;
  const bool driver_held_it = s.step == ClientStep::start_tls || s.step == ClientStep::send_content;
  if (driver_held_it) s.step = ClientStep::need_input;  // replies that came before it still count
}

ContentForm ClientDialogue::content_form() const { return state_->form; }
const Capabilities& ClientDialogue::capabilities() const { return state_->capabilities; }
const TransactionOutcome& ClientDialogue::outcome() const { return state_->outcome; }
const Reply& ClientDialogue::failure_reply() const { return state_->failure_reply; }
const Error& ClientDialogue::failure() const { return state_->failure; }
bool ClientDialogue::hears_quit() const {
  const State& s = *state_;
  const bool content = s.step == ClientStep::send_content || s.content_cut;
  // Behind a DATA that is not answered yet QUIT may be content.
  const bool may_be_content =
      std::find(s.expected.begin(), s.expected.end(), State::Expect::data) != s.expected.end();
  return !s.lost && !s.deaf && !content && !may_be_content && s.step != ClientStep::start_tls;
}
bool ClientDialogue::reusable() const {
  const State& s = *state_;
  return !s.broken && (s.step == ClientStep::ready || s.step == ClientStep::done);
}
ClientStage ClientDialogue::stage() const { return state_->stage(); }
std::uint64_t ClientDialogue::replies() const { return state_->replies; }

}  // namespace waypost::smtp
