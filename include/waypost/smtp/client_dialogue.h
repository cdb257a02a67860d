// The client's half of an SMTP conversation, without I/O.
//
// Owns: protocol state of one connection to a next hop: greeting, EHLO (HELO where EHLO is
// refused), STARTTLS, AUTH, then any number of transactions, with or without PIPELINING, by BDAT or
// DATA. One per connection; one thread. Reads replies from bytes, appends commands to output(), and
// says by Step what its driver must do. It reports what the server said and does not judge it
// (outbound/classify does).
//
// How to drive it:
//   start(); loop: advance(input):
//     need_input   -> write output(), read more (deadline as stage() says), call again
//     start_tls    -> write output(), handshake, tls_started()
//     ready        -> greeting and EHLO are done: ask capabilities(), then begin(transaction) or
//     quit() send_content -> write output(), then the content in the form content_form() asks for,
//     then content_sent() done         -> outcome() holds the transaction's replies; begin() may be
//     called again unless connection_lost failed       -> the conversation is over: failure() says
//     why; replies had until then stay in outcome()
#pragma once

#include "waypost/base/result.h"
#include "waypost/mail/envelope.h"
#include "waypost/smtp/reply.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::smtp {

struct ClientOptions {
  std::string own_name;          // EHLO argument
  bool want_starttls = true;     // use STARTTLS when offered
  bool require_starttls = true;  // fail if it is not offered or refused
  bool implicit_tls = false;     // TLS was there before the greeting
  bool use_chunking = true;      // BDAT when offered
  bool use_pipelining = true;
  std::string auth_user;  // AUTH PLAIN or LOGIN if set; only under TLS
  std::string auth_password;
};

struct Capabilities {
  bool esmtp = false, starttls = false, pipelining = false, chunking = false,
       eight_bit_mime = false, dsn = false, smtputf8 = false, enhanced_status = false,
       size_offered = false, auth_plain = false, auth_login = false;
  std::uint64_t max_size = 0;         // SIZE; 0: no limit said
  std::uint32_t rcpt_max = 0;         // LIMITS RCPTMAX (RFC 9422); 0: not said
  std::uint32_t mail_max = 0;         // LIMITS MAILMAX
  std::uint32_t rcpt_domain_max = 0;  // LIMITS RCPTDOMAINMAX: domains in one transaction
  std::string greeting_name;          // what the server calls itself
};

struct ClientRecipient {
  mail::Mailbox forward_path;
  std::string orcpt;  // decoded "type;address", sent if DSN is offered
  std::uint8_t notify = mail::kNotifyUnset;
};

struct ClientTransaction {
  mail::ReversePath reverse_path;
  std::uint64_t size = 0;  // octets of the content; declared if SIZE is offered; the length of BDAT
  mail::BodyType body = mail::BodyType::unset;
  mail::Ret ret = mail::Ret::unset;
  std::string envid;
  bool smtputf8 = false;
  std::vector<ClientRecipient> recipients;
};

/// How the driver must write the content.
enum class ContentForm : std::uint8_t {
  bdat,  // `size` octets exactly; "BDAT size LAST" is already in output()
  data,  // dot-stuffed, bare CR/LF made CRLF, ended by CRLF.CRLF (see dot_stuffer.h)
};

struct TransactionOutcome {
  Reply mail;                     // code 0: never answered
  std::vector<Reply> recipients;  // one per ClientRecipient, in order; code 0: never answered
  Reply content;                  // the verdict; for DATA: the 354's refusal or the final reply
  bool content_started = false;   // from here on a lost connection means "maybe delivered"
};

/// For the driver's deadlines (RFC 5321 §4.5.3.2).
enum class ClientStage : std::uint8_t {
  greeting,
  ehlo,
  tls,
  auth,
  mail,
  rcpt,
  data_command,
  content,
  verdict,
  rset,
  quit,
  idle
};
enum class ClientStep : std::uint8_t { need_input, start_tls, ready, send_content, done, failed };

class ClientDialogue {
 public:
  explicit ClientDialogue(ClientOptions options);
  ~ClientDialogue();
  ClientDialogue(const ClientDialogue&) = delete;
  ClientDialogue& operator=(const ClientDialogue&) = delete;

  ClientStep advance(std::string_view& input);
  std::string& output() { return output_; }
  void tls_started();
  /// REQUIRES: the last step was ready or done. With PIPELINING the MAIL and RCPTs, behind the RSET
  /// that a refused transaction needs, leave in one go; content follows when all of them have been
  /// answered and somebody is accepted.
  void begin(const ClientTransaction& transaction);
  void content_sent();
  /// Instead of content_sent(): the stream takes no more. What the server said before it closed may
  /// still be fed; a refusal is its verdict, a positive reply is not (it has not got all).
  void content_cut();
  void quit();
  /// The stream ended or broke. Gives done/failed on the next advance.
  void connection_lost(const Error& error);

  ContentForm content_form() const;
  const Capabilities& capabilities() const;
  const TransactionOutcome& outcome() const;
  /// Why the step is `failed`: what was refused, by which reply (code 0: a broken or malformed
  /// conversation).
  const Reply& failure_reply() const;
  const Error& failure() const;
  /// False after 421, a malformed reply or a lost connection: don't reuse.
  bool reusable() const;
  /// False while the server would take QUIT for content or for TLS, or is gone. Else whoever ends
  /// the conversation says it (RFC 5321 §4.1.1.10).
  bool hears_quit() const;
  ClientStage stage() const;
  /// Replies taken so far: what a driver may call progress.
  std::uint64_t replies() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string output_;
};

}  // namespace waypost::smtp
