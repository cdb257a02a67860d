// The verbs. The table at the end is the only list of them: name, what must be true, what happens.
#include "waypost/mail/xtext.h"

#include "smtp/command_parameters.h"
#include "smtp/server_state.h"

namespace waypost::smtp {
namespace {

using mail::ascii_lower;
constexpr std::size_t kMaxHelo = 255;

enum Check : unsigned {
  kAny = 0,
  kHello = 1,          // after HELO or EHLO
  kTransaction = 2,    // after MAIL
  kNoTransaction = 4,  // not inside a transaction
  kNoContent = 8,      // not after the first BDAT
  kNoArguments = 16,
};

}  // namespace

using State = ServerDialogue::State;

/// False: something else was said already.
bool ServerDialogue::State::greet_client(std::string_view arguments, bool extended) {
  const std::string name = mail::printable(arguments.substr(0, arguments.find(' ')), kMaxHelo);
  if (name.empty()) {
    complain({501, mail::status::invalid_arguments,
              extended ? "the form is EHLO name" : "the form is HELO name"});
    return false;
  }
  reset_transaction(true);  // RFC 5321 §4.1.4
  helo_name = name;
  said_hello = true;
  esmtp = extended;
  count_idle_command();
  return phase == Phase::command;
}

void ServerDialogue::State::helo(std::string_view arguments) {
  if (greet_client(arguments, false)) say({250, {}, options.own_name});
}

void ServerDialogue::State::ehlo(std::string_view arguments) {
  if (!greet_client(arguments, true)) return;
  std::string text = options.own_name + " greets " + helo_name;
  text += "\nPIPELINING\nSIZE " + std::to_string(options.max_message_size);
  text += "\n8BITMIME\nENHANCEDSTATUSCODES\nDSN\nCHUNKING\nSMTPUTF8";
  text += "\nLIMITS RCPTMAX=" + std::to_string(options.max_recipients);  // RFC 9422
  if (options.offer_starttls && !tls) text += "\nSTARTTLS";
  if (options.offer_auth && tls) text += "\nAUTH PLAIN LOGIN";
  say({250, {}, std::move(text)});
}

// RFC 3207.
void ServerDialogue::State::starttls(std::string_view) {
  if (tls) return complain({503, mail::status::invalid_command, "TLS is already in use"});
  if (!options.offer_starttls)
    return complain({502, mail::status::invalid_command, "STARTTLS is not offered here"});
  say({220, {2, 0, 0}, "go ahead with TLS"});
  phase = Phase::waiting;
  waiting_for = Step::start_tls;
}

void ServerDialogue::State::mail(std::string_view arguments) {
  if (options.require_tls && !tls) {
    return complain({530, {5, 7, 0}, "say STARTTLS first"});  // RFC 3207 §4
  }
  if (options.require_auth && user.empty()) {
    return complain({530, {5, 7, 0}, "authentication is required"});  // RFC 4954 §6
  }
  auto command =
      parse_mail(arguments, {esmtp, options.offer_auth && tls, options.max_message_size});
  if (!command) {
    // Too large a message is an answer, no mistake of the client's.
    return command.error().code == 552 ? say(command.error()) : complain(command.error());
  }
  const Reply reply = handler.on_mail(*command);
  if (reply.positive()) {
    transaction.emplace();
    transaction->mail = std::move(*command);
    content_octets = 0;
    content_bare = content_bdat = false;
    idle_commands = 0;
  }
  say(reply);
}

void ServerDialogue::State::rcpt(std::string_view arguments) {
  auto command = parse_rcpt(arguments, {esmtp, false, 0}, transaction->mail.smtputf8);
  if (!command) return complain(command.error());
  if (transaction->recipients >= options.max_recipients) {
    // RFC 5321 §4.5.3.1.10: 452, and the client sends the rest in another transaction.
    return say({452, mail::status::too_many_recipients,
                "too many recipients; the limit is " + std::to_string(options.max_recipients)});
  }
  const Reply reply = handler.on_rcpt(*command);
  if (reply.positive()) ++transaction->recipients;
  say(reply);
}

void ServerDialogue::State::rset(std::string_view) {
  reset_transaction(true);
  say({250, {2, 0, 0}, "forgotten"});
  count_idle_command();
}

void ServerDialogue::State::noop(std::string_view) {
  say({250, {2, 0, 0}, "OK"});
  count_idle_command();
}

// RFC 5321 §3.5.3: we don't tell who exists.
void ServerDialogue::State::vrfy(std::string_view arguments) {
  if (arguments.empty())
    return complain({501, mail::status::invalid_arguments, "the form is VRFY address"});
  say({252, {2, 5, 0}, "send some mail, and see"});
  count_idle_command();
}

void ServerDialogue::State::help(std::string_view) {
  say({214, {2, 0, 0}, "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"});
  count_idle_command();
}

void ServerDialogue::State::quit(std::string_view) {
  close_with({221, {2, 0, 0}, options.own_name + " goodbye"});
}

namespace {

struct Verb {
  std::string_view name;
  unsigned check;
  void (State::*action)(std::string_view);
};

constexpr Verb kVerbs[] = {
    {"mail", kHello | kNoTransaction, &State::mail},
    {"rcpt", kHello | kTransaction | kNoContent, &State::rcpt},
    {"data", kHello | kTransaction | kNoContent | kNoArguments, &State::data},
    {"bdat", kAny, &State::bdat},  // its octets follow in any case: it checks for itself
    {"rset", kNoArguments, &State::rset},
    {"ehlo", kAny, &State::ehlo},
    {"helo", kAny, &State::helo},
    {"starttls", kHello | kNoTransaction | kNoArguments, &State::starttls},
    {"auth", kHello | kNoTransaction, &State::auth},
    {"noop", kAny, &State::noop},
    {"vrfy", kAny, &State::vrfy},
    {"help", kAny, &State::help},
    {"quit", kNoArguments, &State::quit},
};

/// What stands against the verb now; code 0: nothing.
Reply objection(const State& state, const Verb& verb, std::string_view arguments) {
  if ((verb.check & kNoArguments) != 0 && !arguments.empty()) {
    return {501, mail::status::invalid_arguments, "this command takes no argument"};
  }
  if ((verb.check & kHello) != 0 && !state.said_hello) {
    return {503, mail::status::invalid_command, "say EHLO first"};
  }
  if ((verb.check & kTransaction) != 0 && !state.transaction) {
    return {503, mail::status::invalid_command, "say MAIL first"};
  }
  if ((verb.check & kNoContent) != 0 && state.transaction && state.transaction->content_begun) {
    return {503, mail::status::invalid_command, "BDAT has begun; only BDAT or RSET can follow"};
  }
  if ((verb.check & kNoTransaction) != 0 && state.transaction) {
    return {503, mail::status::invalid_command, "not inside a mail transaction"};
  }
  return {};
}

}  // namespace

void ServerDialogue::State::run_command() {
  std::string_view rest(line);
  while (!rest.empty() && (rest.back() == ' ' || rest.back() == '\t')) rest.remove_suffix(1);
  const std::string word = ascii_lower(rest.substr(0, rest.find_first_of(" \t")));
  rest.remove_prefix(word.size());
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  for (const Verb& verb : kVerbs) {
    if (verb.name != word) continue;
    if (const Reply reply = objection(*this, verb, rest); reply.code != 0) return complain(reply);
    return (this->*verb.action)(rest);
  }
  complain({500, mail::status::invalid_command, "command not recognised"});
}

}  // namespace waypost::smtp
