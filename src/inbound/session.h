// One SMTP session: moves bytes between a stream and the server dialogue, and answers the dialogue
// about mail.
//
// Lives in its own coroutine (run_session) on one shard. While it is idle it holds no buffer: reads
// land in the shard's.
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
  Session(ShardDoor& door, std::shared_ptr<const Settings> settings, std::size_t listener,
          std::unique_ptr<net::Stream> stream);
  ~Session() override;

  net::Task<void> run();
  /// Shutdown, phase one: an idle session hears 421 now, a transaction may finish.
  void stop();
  /// Phase two.
  void cut();

  smtp::Reply on_mail(const smtp::MailCommand& command) override;
  smtp::Reply on_rcpt(const smtp::RcptCommand& command) override;
  std::optional<smtp::Reply> on_content_start() override;
  void on_content(std::string_view bytes) override;
  void on_abandon() override;

 private:
  const ListenerOptions& listener() const { return settings_->options.listeners[listener_]; }
  const Limits& limits() const { return settings_->options.limits; }
  ClientFacts facts() const;
  net::Task<bool> read_proxy_header();
  net::Task<bool> upgrade();
  net::Task<bool> greet();
  net::Task<void> converse();
  /// Octets read into the shard's buffer; 0: the session is over.
  net::Task<std::size_t> read();
  net::Task<bool> write_output();
  net::Task<bool> settle_content();
  net::Task<void> finish_message();
  net::Task<void> authenticate();
  std::optional<smtp::Reply> admission_refusal();
  SteadyTime read_deadline() const;

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
  SteadyTime last_octet_{};  // when the last read returned
  SteadyTime message_deadline_{};
  bool counted_ = false;
};

/// Owns the session for its whole life; spawned by the listener.
net::Task<void> run_session(std::unique_ptr<Session> session);

}  // namespace waypost::inbound
