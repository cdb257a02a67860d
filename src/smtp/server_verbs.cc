// The verbs of RFC 5321 §4.1.1 and of the extensions that we offer: one row each.
#include "waypost/base/counted.h"
#include "waypost/mail/xtext.h"

#include "smtp/command_parameters.h"
#include "smtp/server_state.h"

#include <array>

namespace waypost::smtp {
namespace {

constexpr std::size_t kMaxHello = 255;  // RFC 5321 §4.5.3.1.2

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool same_verb(std::string_view word, std::string_view upper) {
  if (word.size() != upper.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if ((c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c) != upper[i]) return false;
  }
  return true;
}

}  // namespace

std::span<const ServerDialogue::State::Verb> ServerDialogue::State::verbs() {
  using S = State;
  // In the order of how often they come. BDAT looks itself: its octets come all the same.
  static constexpr std::array<Verb, 13> kVerbs = {{
      {"RCPT", &S::may_rcpt, &S::rcpt, false, false},
      {"MAIL", &S::may_mail, &S::mail, false, false},
      {"BDAT", &S::always, &S::bdat, false, true},
      {"DATA", &S::may_data, &S::data, false, false},
      {"EHLO", &S::needs_argument, &S::ehlo, true, true},
      {"HELO", &S::needs_argument, &S::helo, true, false},
      {"QUIT", &S::no_arguments, &S::quit, false, true},
      {"RSET", &S::no_arguments, &S::rset, true, false},
      {"STARTTLS", &S::may_start_tls, &S::starttls, true, true},
      {"AUTH", &S::may_auth, &S::auth, true, false},
      {"NOOP", &S::always, &S::noop, true, true},
      {"VRFY", &S::needs_argument, &S::vrfy, true, false},
      {"HELP", &S::always, &S::help, true, false},
  }};
  return kVerbs;
}

/// A client that never gets a message through, such as one that asks for addresses, must end.
bool ServerDialogue::State::one_too_many() {
  const std::uint32_t most = options.max_commands_per_message;
  if (most == 0 || ++commands_since_message <= most) return false;
  close_with({421, {4, 7, 0}, options.own_name + " too many commands for one message, closing"});
  return true;
}

void ServerDialogue::State::command(std::string_view text) {
  if (one_too_many()) return;
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  const std::string_view arguments = trimmed(text.substr(word.size()));
  for (const Verb& verb : verbs()) {
    if (!same_verb(word, verb.name)) continue;
    answers_hello = verb.action == &State::ehlo || verb.action == &State::helo;
    if (verb.idle && ++idle_commands > options.max_commands_without_mail) {
      return close_with(
          {421, {4, 7, 0}, options.own_name + " too many commands without mail, closing"});
    }
    if (needs_tls_first() && !verb.in_clear) break;
    if ((this->*verb.check)(arguments)) (this->*verb.action)(arguments);
    answers_hello = false;
    return;
  }
  if (needs_tls_first()) {  // RFC 3207 §4
    refuse(530, {5, 7, 0}, "say STARTTLS first");
  } else {
    refuse(500, mail::status::invalid_command, "this command is not known here");
  }
  answers_hello = false;
}

/// A RCPT inside a transaction, whatever is wrong with the rest of its line.
bool ServerDialogue::State::names_recipient(std::string_view head) const {
  return transaction && mode == Mode::command &&
         same_verb(head.substr(0, head.find_first_of(" \t")), "RCPT");
}

bool ServerDialogue::State::always(std::string_view) { return true; }

bool ServerDialogue::State::no_arguments(std::string_view arguments) {
  if (arguments.empty()) return true;
  refuse(501, mail::status::invalid_arguments, "this command takes no argument");
  return false;
}

bool ServerDialogue::State::needs_argument(std::string_view arguments) {
  if (!arguments.empty()) return true;
  refuse(501, mail::status::invalid_arguments, "this command needs an argument");
  return false;
}

/// A new EHLO or HELO is an RSET, too (RFC 5321 §4.1.4).
bool ServerDialogue::State::take_hello(std::string_view arguments) {
  const std::string_view name = arguments.substr(0, arguments.find_first_of(" \t"));
  if (name.size() > kMaxHello) {
    refuse(501, mail::status::invalid_arguments, "the name is longer than 255 octets");
    return false;
  }
  end_transaction(true);
  helo_name = mail::printable(name, kMaxHello);
  return true;
}

void ServerDialogue::State::helo(std::string_view arguments) {
  if (!take_hello(arguments)) return;
  esmtp = false;
  reply(250, {}, options.own_name);
}

void ServerDialogue::State::ehlo(std::string_view arguments) {
  if (!take_hello(arguments)) return;
  esmtp = true;
  std::string lines = options.own_name;
  lines += "\nPIPELINING\nSIZE ";
  lines += std::to_string(options.max_message_size);
  lines += "\n8BITMIME\nENHANCEDSTATUSCODES\nDSN\nCHUNKING\nSMTPUTF8\nLIMITS RCPTMAX=";
  lines += std::to_string(options.max_recipients);
  if (options.offer_starttls && !tls) lines += "\nSTARTTLS";
  if (options.offer_auth && tls && user.empty()) lines += "\nAUTH PLAIN LOGIN";
  reply(250, {}, lines);
}

bool ServerDialogue::State::may_start_tls(std::string_view arguments) {
  if (!no_arguments(arguments)) return false;
  if (tls) {
    refuse(503, mail::status::invalid_command, "TLS is on already");
  } else if (!options.offer_starttls) {
    refuse(502, mail::status::invalid_command, "STARTTLS is not offered");
  } else if (!esmtp) {
    refuse(503, mail::status::invalid_command, "say EHLO first");
  } else {
    return true;
  }
  return false;
}

void ServerDialogue::State::starttls(std::string_view) {
  end_transaction(true);
  reply(220, {2, 0, 0}, "go ahead");
  mode = Mode::tls_pending;
}

bool ServerDialogue::State::may_mail(std::string_view) {
  mail_refused = !transaction;  // until it is taken
  if (helo_name.empty()) {
    refuse(503, mail::status::invalid_command, "say EHLO first");
  } else if (transaction) {
    refuse(503, mail::status::invalid_command, "a transaction is open already");
  } else if (!options.no_mail.empty()) {
    refuse(554, mail::status::relay_denied, options.no_mail);
  } else if (options.require_auth && user.empty()) {  // RFC 4954 §6
    refuse(530, {5, 7, 0}, tls ? "authentication is required" : "say STARTTLS, then AUTH first");
  } else {
    return true;
  }
  return false;
}

void ServerDialogue::State::mail(std::string_view arguments) {
  const ParameterRules rules{esmtp, options.offer_auth && tls, options.max_message_size};
  auto parsed = parse_mail(arguments, rules);
  if (!parsed) return refuse(std::move(parsed.error()));
  Reply answer = handler.on_mail(*parsed);
  if (answer.code < 400) {
    transaction = true;
    mail_refused = false;
    smtputf8 = parsed->smtputf8;
    idle_commands = 0;
    bdat_used = false;
    octets = 0;
    decoder = {};
    scan = {};
  }
  reply(std::move(answer));
}

bool ServerDialogue::State::may_rcpt(std::string_view) {
  if (!transaction) {
    Reply answer{503, mail::status::invalid_command, "say MAIL first"};
    follows_from_refusal() ? reply(std::move(answer)) : refuse(std::move(answer));
  } else if (content_started) {
    reply(503, mail::status::invalid_command, "the content has begun already");
  } else {
    return true;
  }
  return false;
}

void ServerDialogue::State::rcpt(std::string_view arguments) {
  if (recipients >= options.max_recipients) {  // RFC 5321 §4.5.3.1.10; no error of the client's
    return reply(452, mail::status::too_many_recipients,
                 "no more than " + counted(options.max_recipients, "recipient") +
                     " at a time; send the others in another transaction");
  }
  const ParameterRules rules{esmtp, false, options.max_message_size};
  auto parsed = parse_rcpt(arguments, rules, smtputf8);
  // RFC 5321 §3.3: recipients are refused one by one, and none is misbehaviour: a group of a
  // thousand may have many that are unknown or can't be written here. Who only guesses comes to
  // max_commands_per_message.
  Reply answer = parsed ? handler.on_rcpt(*parsed) : std::move(parsed.error());
  if (answer.code < 400) {
    ++recipients;
  } else {
    rcpt_refused = true;
  }
  reply(std::move(answer));
}

void ServerDialogue::State::rset(std::string_view) {
  end_transaction(true);
  reply(250, {2, 0, 0}, "forgotten");
}

void ServerDialogue::State::noop(std::string_view) { reply(250, {2, 0, 0}, "ok"); }

/// RFC 5321 §3.5.3, §7.3: who asks learns nothing.
void ServerDialogue::State::vrfy(std::string_view) {
  reply(252, {2, 5, 0}, "send some mail, it will be tried");
}

void ServerDialogue::State::help(std::string_view) {
  std::string text;
  for (const Verb& verb : verbs()) (text += text.empty() ? "" : " ") += verb.name;
  reply(214, {2, 0, 0}, text);
}

void ServerDialogue::State::quit(std::string_view) {
  close_with({221, {2, 0, 0}, options.own_name + " closing"});
}

}  // namespace waypost::smtp
