// The inside of ServerDialogue: one state, spread over files by subject.
//
//   server_dialogue.cc  driving: lines out of bytes, replies, limits, the public face
//   server_verbs.cc     the verb table: greeting, transaction and small verbs
//   server_auth.cc      AUTH (RFC 4954)
//   server_content.cc   DATA and BDAT
#pragma once

#include "waypost/smtp/server_dialogue.h"

#include "smtp/data_decoder.h"

#include <span>

namespace waypost::smtp {

struct ServerDialogue::State {
  enum class Mode : std::uint8_t {
    command,
    auth_plain,
    auth_login_user,
    auth_login_password,
    auth_pending,  // the driver verifies credentials
    tls_pending,   // the driver shakes hands
    data,
    bdat,
    commit_pending,  // the driver stores the message
    closed,
  };
  /// One row of the verb table. `check` replies and returns false if the verb may not come now.
  struct Verb {
    std::string_view name;
    bool (State::*check)(std::string_view arguments);
    void (State::*action)(std::string_view arguments);
    bool idle;      // counts against max_commands_without_mail
    bool in_clear;  // may come before TLS where TLS is required (RFC 3207 §4)
  };

  State(const ServerOptions& server_options, ServerHandler& server_handler, std::string& out)
      : options(server_options), handler(server_handler), output(out) {}

  // server_dialogue.cc
  Step advance(std::string_view& input);
  void reply(Reply answer);
  void reply(int code, mail::EnhancedStatus status, std::string_view text);
  /// A reply that counts against max_errors.
  void refuse(int code, mail::EnhancedStatus status, std::string_view text);
  void refuse(Reply answer);
  void close_with(Reply answer);
  void end_transaction(bool abandoned);
  void forget_session();
  std::optional<std::string_view> take_line(std::string_view& input, std::string& kept);
  void handle_line(std::string_view line, bool bare_lf);
  void line_too_long();
  /// A line that never became a command; `head`: what it begins with.
  void refuse_line(std::string_view head, std::string_view text);
  Step step() const;

  // server_verbs.cc
  static std::span<const Verb> verbs();
  void command(std::string_view line);
  bool one_too_many();
  bool names_recipient(std::string_view head) const;
  bool needs_tls_first() const { return options.require_tls && !tls; }
  bool always(std::string_view arguments);
  bool no_arguments(std::string_view arguments);
  bool may_start_tls(std::string_view arguments);
  bool may_mail(std::string_view arguments);
  bool may_rcpt(std::string_view arguments);
  bool needs_argument(std::string_view arguments);
  void helo(std::string_view arguments);
  void ehlo(std::string_view arguments);
  void starttls(std::string_view arguments);
  void mail(std::string_view arguments);
  void rcpt(std::string_view arguments);
  void rset(std::string_view arguments);
  void noop(std::string_view arguments);
  void vrfy(std::string_view arguments);
  void help(std::string_view arguments);
  void quit(std::string_view arguments);
  bool take_hello(std::string_view arguments);

  // server_auth.cc
  bool may_auth(std::string_view arguments);
  void auth(std::string_view arguments);
  void auth_line(std::string_view line);
  void take_plain(std::string_view encoded);
  void take_login_user(std::string_view encoded);
  void take_login_password(std::string_view encoded);

  // server_content.cc
  bool may_data(std::string_view arguments);
  void data(std::string_view arguments);
  void bdat(std::string_view arguments);
  /// The refusal of content that nobody takes now.
  std::optional<Reply> content_out_of_place() const;
  /// RFC 2920 §3.1: it was on its way before the client could hear that MAIL, or each RCPT, was
  /// refused.
  bool follows_from_refusal() const { return transaction ? rcpt_refused : mail_refused; }
  void data_octets(std::string_view& input);
  void bdat_octets(std::string_view& input);
  void end_of_chunk();
  void end_of_content();
  void check_size();

  const ServerOptions& options;
  ServerHandler& handler;
  std::string& output;

  Mode mode = Mode::command;
  bool tls = false;
  bool esmtp = false;
  std::string helo_name;
  std::string user;
  Credentials credentials;
  std::uint32_t errors = 0;
  std::uint32_t idle_commands = 0;
  std::uint32_t commands_since_message = 0;
  std::optional<Reply> shutdown;

  bool answers_hello = false;   // EHLO or HELO is being answered
  std::string line;             // an unfinished line
  std::string long_head;        // what a line that is too long begins with
  std::size_t discarded = 0;    // octets of a line that is too long, so far; 0: not discarding
  bool line_ends_bare = false;  // the line just taken ended with LF alone

  bool transaction = false;
  bool smtputf8 = false;
  std::uint32_t recipients = 0;
  bool mail_refused = false;  // the last MAIL; no transaction since
  bool rcpt_refused = false;  // at least one, in this transaction

  // Content; the last four outlive the transaction, until the next MAIL.
  std::optional<Reply> refusal;  // the content is lost, this is the verdict
  bool content_started = false;
  bool chunk_last = false;
  bool chunk_dropped =
      false;  // a chunk without a transaction: read, dropped, answered by chunk_refusal
  Reply chunk_refusal;
  std::uint64_t chunk_remaining = 0;
  std::uint64_t chunk_size = 0;
  std::uint64_t octets = 0;
  bool bdat_used = false;
  DataDecoder decoder;
  BareNewlineScan scan;
};

}  // namespace waypost::smtp
