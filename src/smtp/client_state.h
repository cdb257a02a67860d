// The inside of ClientDialogue: the replies that are still expected, and what each leads to.
//
//   client_dialogue.cc     driving, failure, the public face
//   client_session.cc      greeting, EHLO, STARTTLS, AUTH
//   client_transaction.cc  MAIL, RCPT, content
#pragma once

#include "waypost/smtp/client_dialogue.h"

#include <deque>

namespace waypost::smtp {

struct ClientDialogue::State {
  enum class Expect : std::uint8_t {
    greeting,
    ehlo,
    helo,
    starttls,
    auth_plain,
    auth_login,
    auth_user,
    auth_password,
    rset,
    mail,
    rcpt,
    data,
    verdict,
    quit,
  };
  /// What the running transaction has to send next.
  enum class Next : std::uint8_t { nothing, mail, rcpt, content, end };

  State(ClientOptions client_options, std::string& out);

  // client_dialogue.cc
  ClientStep advance(std::string_view& input);
  ClientStep take_replies(std::string_view& input);
  void on_reply(Reply reply, bool more_input);
  void break_off(ErrorKind kind, std::string message, Reply reply = {});
  void refused(std::string_view what, Reply reply);
  void send(Expect expect, std::string_view command);
  ClientStage stage() const;

  // client_session.cc
  void say_ehlo();
  void on_greeting(Reply reply);
  void on_ehlo(Reply reply);
  void on_helo(Reply reply);
  void on_starttls(Reply reply, bool more_input);
  void on_auth(Expect expect, Reply reply);
  void after_hello();
  void authenticate();

  // client_transaction.cc
  void begin(const ClientTransaction& wanted);
  void on_transaction_reply(Expect expect, Reply reply);
  void on_data(Reply reply);
  void progress();
  void send_content_command();
  void start_content();
  bool hopeless() const;

  ClientOptions options;
  std::string& output;
  ReplyParser parser;
  std::deque<Expect> expected;
  ClientStep step = ClientStep::need_input;
  bool tls = false;
  bool broken = false;  // don't reuse
  bool lost = false;
  bool deaf = false;  // what we say now is no command to the server: TLS, or content
  Error loss;
  Capabilities capabilities;
  std::string greeting_name;
  Error failure;
  Reply failure_reply;

  ClientTransaction transaction;
  TransactionOutcome outcome;
  Next next = Next::nothing;
  ContentForm form = ContentForm::data;
  std::size_t recipients_sent = 0;
  std::size_t recipients_answered = 0;
  std::size_t recipients_accepted = 0;
  bool needs_reset = false;
  bool content_cut = false;   // no positive verdict can be true any more
  std::uint64_t replies = 0;  // taken so far
};

}  // namespace waypost::smtp
