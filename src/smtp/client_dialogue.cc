#include "waypost/smtp/client_dialogue.h"

#include "waypost/mail/xtext.h"

#include "smtp/base64.h"
#include "smtp/client_capabilities.h"

#include <deque>

namespace waypost::smtp {
namespace {

/// What each outstanding reply will answer, in order.
enum class Expect : std::uint8_t {
  greeting,
  ehlo,
  helo,
  starttls,
  auth_plain,
  auth_login,
  auth_user,
  auth_password,
  mail,
  rcpt,
  data,
  verdict,
  rset,
  quit
};

std::string mail_command(const ClientTransaction& transaction, const Capabilities& offered) {
  std::string line = "MAIL FROM:<";
  if (transaction.reverse_path) line += transaction.reverse_path->to_string();
  line += '>';
  if (offered.size_offered) line += " SIZE=" + std::to_string(transaction.size);
  if (offered.eight_bit_mime && transaction.body != mail::BodyType::unset) {
    line += transaction.body == mail::BodyType::eight_bit_mime ? " BODY=8BITMIME" : " BODY=7BIT";
  }
  if (offered.dsn) {
    if (transaction.ret != mail::Ret::unset)
      line += transaction.ret == mail::Ret::full ? " RET=FULL" : " RET=HDRS";
    if (!transaction.envid.empty()) line += " ENVID=" + mail::encode_xtext(transaction.envid);
  }
  if (offered.smtputf8 && transaction.smtputf8) line += " SMTPUTF8";
  return line + "\r\n";
}

std::string notify_words(std::uint8_t notify) {
  if ((notify & mail::kNotifyNever) != 0) return "NEVER";
  std::string words;
  const auto add = [&](std::uint8_t flag, const char* word) {
    if ((notify & flag) == 0) return;
    if (!words.empty()) words += ',';
    words += word;
  };
  add(mail::kNotifySuccess, "SUCCESS");
  add(mail::kNotifyFailure, "FAILURE");
  add(mail::kNotifyDelay, "DELAY");
  return words;
}

std::string rcpt_command(const ClientRecipient& recipient, const Capabilities& offered,
                         bool smtputf8) {
  std::string line = "RCPT TO:<" + recipient.forward_path.to_string() + ">";
  if (offered.dsn) {
    if (recipient.notify != mail::kNotifyUnset) line += " NOTIFY=" + notify_words(recipient.notify);
    if (!recipient.orcpt.empty()) {
      line += " ORCPT=" + mail::encode_orcpt(recipient.orcpt, smtputf8 && offered.smtputf8);
    }
  }
  return line + "\r\n";
}

ClientStage stage_of(Expect expect) {
  switch (expect) {
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
    case Expect::mail:
      return ClientStage::mail;
    case Expect::rcpt:
      return ClientStage::rcpt;
    case Expect::data:
      return ClientStage::data_command;
    case Expect::verdict:
      return ClientStage::verdict;
    case Expect::rset:
      return ClientStage::rset;
    case Expect::quit:
      return ClientStage::quit;
  }
  return ClientStage::idle;
}

}  // namespace

struct ClientDialogue::State {
  State(ClientOptions options_, std::string& output) : options(std::move(options_)), out(output) {}

  // Connection set-up.
  void on_greeting(const Reply& reply);
  void on_ehlo(const Reply& reply);
  void on_helo(const Reply& reply);
  void on_starttls(const Reply& reply);
  void on_auth(Expect what, const Reply& reply);
  void say_ehlo() { command("EHLO " + options.own_name + "\r\n", Expect::ehlo); }
  void after_hello();
  bool begin_auth();

  // Transactions.
  void send_recipients();
  void on_mail(const Reply& reply);
  void on_rcpt(const Reply& reply);
  void after_recipients();
  void start_content();
  void on_data(const Reply& reply);
  void on_verdict(const Reply& reply);
  void finish_transaction();

  void handle(const Reply& reply);
  void command(const std::string& line, Expect expect) {
    out += line;
    expected.push_back(expect);
  }
  void give_up(Error error, Reply reply = {}) {
    if (step == ClientStep::failed) return;
    failure = std::move(error);
    failure_reply = std::move(reply);
    usable = false;
    step = ClientStep::failed;
    expected.clear();
  }
  bool pipelining() const { return options.use_pipelining && offered.pipelining; }
  bool chunking() const { return options.use_chunking && offered.chunking; }
  bool any_recipient() const {
    return std::any_of(outcome.recipients.begin(), outcome.recipients.end(),
                       [](const Reply& reply) { return reply.code >= 200 && reply.code < 300; });
  }

  ClientOptions options;
  std::string& out;
  ReplyParser parser;
  Capabilities offered;
  std::deque<Expect> expected{Expect::greeting};
  ClientStep step = ClientStep::need_input;
  bool tls = false, usable = true, quitting = false;
  Error failure{ErrorKind::protocol, ""};
  Reply failure_reply;

  ClientTransaction transaction;
  TransactionOutcome outcome;
  ContentForm form = ContentForm::data;
  std::size_t next_rcpt = 0;  // the next RCPT to send
  std::size_t answered = 0;   // RCPTs with a reply
  bool in_transaction = false;
  bool content_owed = false;  // send_content was returned, content_sent() is to come
  bool content_written = false;
};

ClientDialogue::ClientDialogue(ClientOptions options)
    : state_(std::make_unique<State>(std::move(options), output_)) {
  state_->tls = state_->options.implicit_tls;
}
ClientDialogue::~ClientDialogue() = default;

ClientStep ClientDialogue::advance(std::string_view& input) {
  State& s = *state_;
  if (s.step == ClientStep::ready || s.step == ClientStep::done || s.step == ClientStep::start_tls)
    return s.step;
  while (s.step == ClientStep::need_input || s.step == ClientStep::send_content) {
    auto reply = s.parser.feed(input);
    if (!reply) {
      s.give_up(std::move(reply).error());
      break;
    }
    if (!*reply) break;
    s.handle(**reply);
  }
  return s.step;
}

void ClientDialogue::State::handle(const Reply& reply) {
  if (expected.empty()) {
    give_up(
        {ErrorKind::protocol, "the server sent a reply that nobody asked for: " + reply.to_line()},
        reply);
    return;
  }
  if (reply.code == 421) usable = false;  // RFC 5321 §3.8: it will close
  const Expect what = expected.front();
  expected.pop_front();
  switch (what) {
    case Expect::greeting:
      return on_greeting(reply);
    case Expect::ehlo:
      return on_ehlo(reply);
    case Expect::helo:
      return on_helo(reply);
    case Expect::starttls:
      return on_starttls(reply);
    case Expect::auth_plain:
    case Expect::auth_login:
    case Expect::auth_user:
    case Expect::auth_password:
      return on_auth(what, reply);
    case Expect::mail:
      return on_mail(reply);
    case Expect::rcpt:
      return on_rcpt(reply);
    case Expect::data:
      return on_data(reply);
    case Expect::verdict:
      return on_verdict(reply);
    case Expect::rset:
      if (!reply.positive()) usable = false;
      step = ClientStep::done;
      return;
    case Expect::quit:
      step = ClientStep::done;
      usable = false;
      return;
  }
}

void ClientDialogue::State::on_greeting(const Reply& reply) {
  if (reply.code != 220) {
    return give_up({ErrorKind::protocol, "the server's greeting refuses: " + reply.to_line()},
                   reply);
  }
  say_ehlo();
}

void ClientDialogue::State::on_ehlo(const Reply& reply) {
  if (reply.code == 250) {
    offered = read_capabilities(reply);
    return after_hello();
  }
  if (reply.permanent() && !tls) {  // RFC 5321 §3.2: an old server; HELO has no STARTTLS
    offered = {};
    return command("HELO " + options.own_name + "\r\n", Expect::helo);
  }
  give_up({ErrorKind::protocol, "EHLO was refused: " + reply.to_line()}, reply);
}

void ClientDialogue::State::on_helo(const Reply& reply) {
  if (reply.code != 250)
    return give_up({ErrorKind::protocol, "HELO was refused: " + reply.to_line()}, reply);
  offered.greeting_name = reply.text.substr(0, reply.text.find_first_of(" \n"));
  after_hello();
}

void ClientDialogue::State::after_hello() {
  if (!tls) {
    if (offered.starttls && options.want_starttls) return command("STARTTLS\r\n", Expect::starttls);
    if (options.require_starttls) {
      return give_up(
          {ErrorKind::tls, "STARTTLS is not offered, but TLS is required for this next hop"});
    }
  }
  if (!options.auth_user.empty() && !begin_auth()) return;
  if (expected.empty()) step = ClientStep::ready;
}

void ClientDialogue::State::on_starttls(const Reply& reply) {
  if (reply.code == 220) {
    if (!parser.idle())
      return give_up({ErrorKind::protocol, "the server talked behind its STARTTLS reply"});
    step = ClientStep::start_tls;
    return;
  }
  if (options.require_starttls) {
    return give_up({ErrorKind::tls, "STARTTLS was refused: " + reply.to_line()}, reply);
  }
  offered.starttls = false;
  if (!usable)
    return give_up({ErrorKind::closed, "the server is closing: " + reply.to_line()}, reply);
  after_hello();
}

/// RFC 4954. False: the conversation is over.
bool ClientDialogue::State::begin_auth() {
  if (!tls) {
    give_up({ErrorKind::tls,
             "credentials are configured for this next hop, but are only sent under TLS"});
    return false;
  }
  if (offered.auth_plain) {
    const std::string secret =
        std::string(1, '\0') + options.auth_user + std::string(1, '\0') + options.auth_password;
    command("AUTH PLAIN " + encode_base64(secret) + "\r\n", Expect::auth_plain);
    return true;
  }
  if (offered.auth_login) {
    command("AUTH LOGIN\r\n", Expect::auth_login);
    return true;
  }
  give_up({ErrorKind::unsupported,
           "credentials are configured, but the server offers neither AUTH PLAIN nor LOGIN"});
  return false;
}

void ClientDialogue::State::on_auth(Expect what, const Reply& reply) {
  if (what == Expect::auth_login && reply.code == 334) {
    return command(encode_base64(options.auth_user) + "\r\n", Expect::auth_user);
  }
  if (what == Expect::auth_user && reply.code == 334) {
    return command(encode_base64(options.auth_password) + "\r\n", Expect::auth_password);
  }
  if (reply.code == 235) {
    step = ClientStep::ready;
    return;
  }
  give_up({ErrorKind::protocol, "authentication was refused: " + reply.to_line()}, reply);
}

void ClientDialogue::tls_started() {
  state_->tls = true;
  state_->offered = {};  // RFC 3207 §4.2
  state_->step = ClientStep::need_input;
  state_->say_ehlo();
}

void ClientDialogue::begin(const ClientTransaction& transaction) {
  State& s = *state_;
  s.transaction = transaction;
  s.outcome = {};
  s.outcome.recipients.resize(transaction.recipients.size());
  s.next_rcpt = s.answered = 0;
  s.in_transaction = true;
  s.content_owed = s.content_written = false;
  s.form = s.chunking() ? ContentForm::bdat : ContentForm::data;
  s.step = ClientStep::need_input;
  s.command(mail_command(transaction, s.offered), Expect::mail);
  if (!s.pipelining()) return;
  s.send_recipients();
  if (s.form == ContentForm::bdat && transaction.size <= kSpeculativeOctets) {
    s.start_content();
  } else if (s.form == ContentForm::data) {
    s.command("DATA\r\n", Expect::data);
  }
}

void ClientDialogue::State::send_recipients() {
  for (; next_rcpt < transaction.recipients.size(); ++next_rcpt) {
    command(rcpt_command(transaction.recipients[next_rcpt], offered, transaction.smtputf8),
            Expect::rcpt);
    if (!pipelining()) {
      ++next_rcpt;
      return;
    }
  }
}

void ClientDialogue::State::on_mail(const Reply& reply) {
  outcome.mail = reply;
  if (pipelining()) {
    if (!usable) finish_transaction();
    return;
  }
  if (!reply.positive() || !usable) return finish_transaction();
  send_recipients();
}

void ClientDialogue::State::on_rcpt(const Reply& reply) {
  outcome.recipients[answered++] = reply;
  if (!usable) return finish_transaction();
  if (answered < transaction.recipients.size()) {
    if (!pipelining()) send_recipients();
    return;
  }
  after_recipients();
}

/// All RCPTs are answered.
void ClientDialogue::State::after_recipients() {
  if (content_owed || content_written || (!expected.empty() && pipelining()))
    return;  // the content is on its way
  if (!outcome.mail.positive() || !any_recipient()) return finish_transaction();
  if (form == ContentForm::bdat) return start_content();
  command("DATA\r\n", Expect::data);
}

void ClientDialogue::State::start_content() {
  if (form == ContentForm::bdat) out += "BDAT " + std::to_string(transaction.size) + " LAST\r\n";
  expected.push_back(Expect::verdict);
  content_owed = true;
  outcome.content_started = true;
  step = ClientStep::send_content;
}

void ClientDialogue::State::on_data(const Reply& reply) {
  if (reply.code != 354) {
    outcome.content = reply;
    return finish_transaction();
  }
  if (!any_recipient()) {
    // RFC 2920 §3.1: all recipients were refused, the server waits all the same: an empty message
    // ends it.
    out += ".\r\n";
    expected.push_back(Expect::verdict);
    content_written = true;
    return;
  }
  start_content();
}

void ClientDialogue::State::on_verdict(const Reply& reply) {
  outcome.content = reply;
  if (content_owed) {
    // The verdict before the end of the content: what is still to come can't be told from commands
    // (DATA), or the server is about to close. Don't reuse.
    content_owed = false;
    usable = false;
  }
  in_transaction = false;
  if (form == ContentForm::bdat && !reply.positive() && usable && outcome.mail.positive()) {
    // RFC 3030 §2: after a refused BDAT the transaction is still open.
    command("RSET\r\n", Expect::rset);
    step = ClientStep::need_input;
    return;
  }
  step = ClientStep::done;
}

/// No content will be sent. A transaction that the server may still have open is reset before the
/// next.
void ClientDialogue::State::finish_transaction() {
  in_transaction = false;
  if (!usable) {
    expected.clear();
    step = ClientStep::done;
    return;
  }
  if (!expected.empty()) return;  // pipelined replies are still to come
  if (outcome.mail.positive()) {
    command("RSET\r\n", Expect::rset);
    step = ClientStep::need_input;
    return;
  }
  step = ClientStep::done;
}

void ClientDialogue::content_sent() {
  State& s = *state_;
  if (!s.content_owed) return;
  s.content_owed = false;
  s.content_written = true;
  if (s.step == ClientStep::send_content) s.step = ClientStep::need_input;
}

void ClientDialogue::quit() {
  State& s = *state_;
  s.quitting = true;
  s.step = ClientStep::need_input;
  s.command("QUIT\r\n", Expect::quit);
}

void ClientDialogue::connection_lost(const Error& error) {
  State& s = *state_;
  s.usable = false;
  if (s.step == ClientStep::done) return;
  if (s.quitting) {
    s.step = ClientStep::done;
    return;
  }
  s.give_up(error);
}

ContentForm ClientDialogue::content_form() const { return state_->form; }
const Capabilities& ClientDialogue::capabilities() const { return state_->offered; }
const TransactionOutcome& ClientDialogue::outcome() const { return state_->outcome; }
const Reply& ClientDialogue::failure_reply() const { return state_->failure_reply; }
const Error& ClientDialogue::failure() const { return state_->failure; }
bool ClientDialogue::reusable() const {
  return state_->usable && state_->step != ClientStep::failed;
}
ClientStage ClientDialogue::stage() const {
  if (state_->content_owed) return ClientStage::content;
  return state_->expected.empty() ? ClientStage::idle : stage_of(state_->expected.front());
}

}  // namespace waypost::smtp
