// The inside of ServerDialogue, shared by its four files:
//   server_dialogue.cc  lines in, steps out; what the driver may ask
//   server_verbs.cc     the verb table: name, check, action
//   server_auth.cc      AUTH PLAIN and LOGIN
//   server_content.cc   DATA and BDAT
#pragma once

#include "waypost/smtp/server_dialogue.h"

#include "smtp/data_decoder.h"

#include <optional>
#include <string>

namespace waypost::smtp {

struct ServerDialogue::State {
  enum class Phase : std::uint8_t { command, auth_line, data, bdat, waiting, closed };
  enum class AuthMechanism : std::uint8_t { none, plain, login_user, login_password };

  /// What one transaction needs; made at MAIL, gone with RSET.
  struct Transaction {
    MailCommand mail;
    std::uint32_t recipients = 0;
    bool content_begun = false;
    bool bdat = false;
    bool last_chunk = false;
    std::uint64_t bdat_octets = 0;
    DataDecoder data;
    BareNewlineScan bdat_scan;
    std::optional<Reply> refusal;  // the verdict is already known
  };

  State(const ServerOptions& options_, ServerHandler& handler_, std::string& output)
      : options(options_), handler(handler_), out(output) {}

  // server_dialogue.cc
  void say(Reply reply);
  void complain(Reply reply);  // a protocol error: counted
  bool take_line(std::string_view& input);
  void close_with(Reply reply);
  void reset_transaction(bool abandoned);
  void count_idle_command();
  void run_line();

  // server_verbs.cc
  void run_command();
  void helo(std::string_view arguments);
  void ehlo(std::string_view arguments);
  bool greet_client(std::string_view arguments, bool extended);
  void starttls(std::string_view arguments);
  void mail(std::string_view arguments);
  void rcpt(std::string_view arguments);
  void rset(std::string_view arguments);
  void noop(std::string_view arguments);
  void vrfy(std::string_view arguments);
  void help(std::string_view arguments);
  void quit(std::string_view arguments);

  // server_auth.cc
  void auth(std::string_view arguments);
  void auth_line();
  void take_plain(std::string_view encoded);

  // server_content.cc
  void data(std::string_view arguments);
  void bdat(std::string_view arguments);
  bool begin_content();
  void feed_data(std::string_view& input);
  void feed_bdat(std::string_view& input);
  void end_data();
  void end_chunk();
  void check_size(std::uint64_t octets);
  void finish_content();

  const ServerOptions& options;
  ServerHandler& handler;
  std::string& out;
  Phase phase = Phase::command;
  Step waiting_for = Step::need_input;  // what the driver owes us while phase is waiting
  std::string line;                     // the line that is arriving, or being run
  bool line_overlong = false;
  bool tls = false, said_hello = false, esmtp = false, content_bare = false, content_bdat = false;
  std::string helo_name, user;
  Credentials credentials;
  AuthMechanism auth_mechanism = AuthMechanism::none;
  std::uint32_t errors = 0, idle_commands = 0, auth_failures = 0;
  std::optional<Transaction> transaction;
  std::uint64_t chunk_left = 0;
  bool chunk_discarded = false;      // a BDAT that was refused: its octets are read and dropped
  std::optional<Reply> chunk_reply;  // and this is said then
  std::uint64_t content_octets = 0;
  std::optional<Reply> shutdown;
};

}  // namespace waypost::smtp
