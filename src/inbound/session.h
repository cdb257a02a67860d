// One SMTP session: moves bytes between a stream and the server dialogue, and answers the dialogue
// about mail.
//
// Lives in its own coroutine (run_session) on one shard. While it is idle it holds no buffer: reads
// land in the shard's. Spread over files by subject:
//   session_opening.cc  PROXY header, admission, TLS, greeting, AUTH
//   session.cc          the conversation, and the dialogue's questions
//   session_io.cc       reading under deadlines and back-pressure, writing
#pragma once

#include "waypost/net/stream.h"
#include "waypost/net/tls.h"
#include "waypost/smtp/server_dialogue.h"

#include "inbound/shard_door.h"
#include "inbound/transaction.h"

#include <memory>
#include <string>

namespace waypost::inbound {

class Session final : public smtp::ServerHandler {
 public:
  /// `listener`: index in settings->options.listeners. The stream is a plain one, not greeted yet.
  /// Counts down the shard's sessions when it is destroyed.
  Session(ShardDoor& door, std::shared_ptr<const Settings> settings, std::size_t listener,
          std::unique_ptr<net::Stream> stream);
  ~Session() override;

  net::Task<void> run();
  /// Shutdown, phase one: an idle session hears 421 now; a transaction may finish and hears it
  /// then.
  void stop();
  /// Phase two.
  void cut();

  smtp::Reply on_mail(const smtp::MailCommand& command) override;
  smtp::Reply on_rcpt(const smtp::RcptCommand& command) override;
  std::optional<smtp::Reply> on_content_start() override;
  void on_content(std::string_view bytes) override;
  void on_abandon() override;

 private:
  struct Refusal {
    ConnectionRefusal why;
    smtp::Reply reply;
  };
  /// While it lives the session waits for the spool. The store can't be called back: a client that
  /// would wait for ever is let go without a verdict. It sends again; what is stored after all is a
  /// duplicate then, never a loss.
  class StoragePatience {
   public:
    explicit StoragePatience(Session& session);

   private:
    static void on_lost(void* argument);
    net::Deadline deadline_;
  };
  const ListenerOptions& listener() const { return settings_->options.listeners[listener_]; }
  const Limits& limits() const { return settings_->options.limits; }
  const std::string& own_name() const { return settings_->options.own_name; }
  ClientFacts facts() const;

  // session_opening.cc; false: the session is over
  net::Task<bool> open();
  net::Task<bool> read_proxy_header();
  std::optional<Refusal> admission_refusal();
  std::optional<Refusal> limit_refusal();
  void report(const Refusal& refusal);
  void track_refused(const Refusal& refusal);
  net::Task<bool> upgrade();
  /// REQUIRES: `refusal` outlives the call.
  net::Task<bool> greet(std::optional<Refusal>& refusal);
  net::Task<void> authenticate();
  void judge_password(PasswordVerdict verdict);

  // session.cc
  net::Task<void> converse();
  void keep_behind(std::string_view& input, std::string& carried) const;
  net::Task<bool> start_tls(bool input_left);
  net::Task<bool> finish_message();
  void close();
  smtp::Reply closing() const;
  std::optional<smtp::Reply> storage_refusal() const;

  // session_io.cc
  /// Octets read into the shard's buffer; 0: the session is over.
  net::Task<std::size_t> read();
  /// How much may be read now, at least 1: after a flush, or a wait, if memory is short.
  net::Task<std::size_t> make_room();
  bool takes_content() const;
  bool memory_is_short() const;
  SteadyTime read_deadline() const;
  net::Task<void> too_slow();
  bool write_now();
  net::Task<bool> write_output();

  ShardDoor& door_;
  std::shared_ptr<const Settings> settings_;
  std::size_t listener_;
  std::unique_ptr<net::Stream> stream_;
  net::Stream* handshaking_ = nullptr;  // while TLS has the stream
  std::string client_address_;
  std::string tls_words_;
  smtp::ServerOptions options_;
  smtp::ServerDialogue dialogue_;
  std::unique_ptr<Transaction> transaction_;
  net::Timers::Sleeper pause_;  // cut() ends it
  const char* lost_ = "the connection was lost";
  SteadyTime last_octet_{};        // when the last read returned
  SteadyTime command_deadline_{};  // for the next whole command; a slow drip does not move it
  SteadyTime message_deadline_{};  // for the whole content; unset until it begins
  std::uint8_t failed_logins_ = 0;
  ClientAccount* account_ = nullptr;  // counted among its client's sessions
  bool unnamed_ = false;              // comes from a proxy that names no client
  bool idle_ = false;                 // waits for a command outside of a transaction
  bool cut_ = false;
};

/// Owns the session for its whole life; spawned by the server.
net::Task<void> run_session(std::unique_ptr<Session> session);

}  // namespace waypost::inbound
