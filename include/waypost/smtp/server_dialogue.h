// The server's half of an SMTP conversation, without I/O: RFC 5321 and the extensions in
// docs/smtp.md.
//
// Owns: protocol state, the verb table, line and content decoding. One per connection; used by one
// thread. Fed with bytes, it answers by appending replies to output() and by returning the Step
// that its driver must take. It never waits, reads a clock or touches a socket. Its ServerHandler
// decides about mail.
//
// How to drive it:
//   out = greet(); write out;
//   loop: advance(input) until it returns
//     need_input    -> write output() if not empty, read more, call again
//     start_tls     -> write output(), handshake, then tls_started(); unread plaintext is a
//     protocol error (see advance) authenticate  -> verify credentials() somewhere, then
//     authenticated(reply) commit        -> the whole message has arrived: store it, then
//     committed(reply); then call advance again close         -> write output(), close
//   `input` may still hold bytes after any step: keep them and pass them again.
#pragma once

#include "waypost/base/result.h"
#include "waypost/mail/envelope.h"
#include "waypost/smtp/reply.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace waypost::smtp {

/// What a bare CR or LF in DATA does. In BDAT they are content, always.
enum class BareNewline : std::uint8_t {
  normalise,  // a bare LF or CR becomes CRLF; never ends DATA by itself
  reject,     // 550 5.6.11 after the end of DATA
};

struct ServerOptions {
  std::string own_name;  // in greeting and EHLO reply
  std::uint64_t max_message_size = 40u * 1024 * 1024;
  std::uint32_t max_recipients = 1000;
  std::size_t max_command_line = 4096;  // octets with CRLF (RFC 5321 §4.5.3.1.4 plus extensions)
  /// Refused commands, then 421. What a client that pipelines can't help is none: a recipient that
  /// is refused (RFC 5321 §3.3), and what it sent behind a refused MAIL or RCPT.
  std::uint32_t max_errors = 20;
  std::uint32_t max_commands_without_mail =
      100;  // NOOP, RSET, VRFY ... between two transactions, then 421
  /// All commands since the last message that was accepted, then 421; 0: no limit. Chunks of a
  /// useful size don't count: the content has limits of its own.
  std::uint32_t max_commands_per_message = 0;
  BareNewline bare_newline = BareNewline::normalise;
  bool offer_starttls = true;
  bool offer_auth = false;    // only ever offered under TLS
  bool require_tls = false;   // 530 5.7.0 to all but NOOP, EHLO, STARTTLS, QUIT before TLS
  bool require_auth = false;  // 530 5.7.0 to MAIL before AUTH
  std::string no_mail;        // not empty: 554 5.7.1 and these words to MAIL
};

struct MailCommand {  // MAIL FROM, parameters decoded
  mail::ReversePath reverse_path;
  std::uint64_t size = 0;  // SIZE=; 0: not said
  mail::BodyType body = mail::BodyType::unset;
  mail::Ret ret = mail::Ret::unset;
  std::string envid;
  bool smtputf8 = false;
};

struct RcptCommand {  // RCPT TO
  mail::Mailbox forward_path;
  std::string orcpt;
  std::uint8_t notify = mail::kNotifyUnset;
};

/// Decides about mail. Called synchronously from advance(); must not block. A reply >= 400 refuses.
class ServerHandler {
 public:
  virtual ~ServerHandler() = default;
  virtual Reply on_mail(const MailCommand& command) = 0;
  virtual Reply on_rcpt(const RcptCommand& command) = 0;
  /// Before DATA's 354 or the first BDAT chunk: is there room? nullopt goes on.
  virtual std::optional<Reply> on_content_start() = 0;
  /// Decoded content in order: dots unstuffed, newlines as BareNewline says; BDAT octets untouched.
  virtual void on_content(std::string_view bytes) = 0;
  /// The transaction is over without a commit (RSET, EHLO, refused content ...). Not called after
  /// committed().
  virtual void on_abandon() = 0;
};

enum class Step : std::uint8_t { need_input, start_tls, authenticate, commit, close };

struct Credentials {
  std::string user;  // control characters never get here
  std::string password;
};

class ServerDialogue {
 public:
  /// REQUIRES: `options` and `handler` outlive the dialogue.
  ServerDialogue(const ServerOptions& options, ServerHandler& handler);
  ~ServerDialogue();
  ServerDialogue(const ServerDialogue&) = delete;
  ServerDialogue& operator=(const ServerDialogue&) = delete;

  /// Appends the 220 greeting; or, with a reply, refuses: the reply is sent and the next Step is
  /// close.
  void greet(std::optional<Reply> refusal = std::nullopt);
  /// Consumes from the front of `input`. When it returns start_tls and `input` is not empty, the
  /// client sent plaintext behind STARTTLS (command injection): the driver must drop the connection
  /// (the dialogue has said nothing more).
  Step advance(std::string_view& input);
  /// Replies that wait to be written; the driver takes them (swap/clear).
  std::string& output() { return output_; }

  void tls_started();  // all earlier state is forgotten (RFC 3207 §4.2)
  /// The session was TLS from the first byte (implicit TLS).
  void assume_tls();
  const Credentials& credentials() const;
  void authenticated(const Reply& reply);  // 235 opens the door; anything else counts as an error
  void committed(const Reply& reply);

  /// The content of the running transaction is already lost (spool failed, too many hops): the rest
  /// is read and dropped and `reply` is sent where the verdict belongs. Callable from on_content.
  void refuse_content(Reply reply);
  /// A reply that no command asked for: the driver gives the session up. The next Step does not
  /// know of it.
  void last_word(Reply reply);
  /// 421 as soon as no transaction is open (shutdown); the next Step is close.
  void shut_down(Reply reply);

  // What the driver may ask.
  bool in_content() const;      // between DATA/BDAT and the verdict
  bool in_transaction() const;  // after MAIL
  bool tls() const;
  bool esmtp() const;                     // EHLO rather than HELO
  bool used_bdat() const;                 // of the running or last transaction
  bool content_had_bare_newline() const;  // as received (before normalising)
  const std::string& helo() const;
  const std::string& user() const;  // after AUTH; else empty
  /// Octets of the running BDAT chunk that are still missing; 0 outside.
  std::uint64_t chunk_remaining() const;
  /// Octets of content in this transaction so far, as counted against the limit.
  std::uint64_t content_octets() const;

  struct State;  // the inside; see src/smtp/server_state.h

 private:
  std::unique_ptr<State> state_;
  std::string output_;
};

}  // namespace waypost::smtp
