// One mail transaction as we decide about it: sender, routed recipients, content on its way into
// the spool.
//
// Made at MAIL, gone after the verdict. Lives on its session's shard.
#pragma once

#include "waypost/mail/header.h"
#include "waypost/smtp/server_dialogue.h"

#include "inbound/shard_door.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::inbound {

/// What the session knows and the transaction needs.
struct ClientFacts {
  std::string helo;
  std::string address;  // "10.0.0.5"
  std::string user;     // authenticated as
  std::string tls;      // "TLSv1.3 TLS_AES_128_GCM_SHA256", empty: none
  bool esmtp = false;
  std::string to_string() const;  // "ex1.corp.example[10.0.0.5]"
};

class Transaction {
 public:
  Transaction(ShardDoor& door, const Limits& limits, const std::string& own_name,
              smtp::MailCommand mail);

  /// Asks routing; remembers an accepted recipient.
  smtp::Reply add_recipient(const smtp::RcptCommand& command, const ClientFacts& client);
  /// Puts our Received field on top.
  void begin_content(const ClientFacts& client);
  /// A reply if the message must be refused from here on.
  std::optional<smtp::Reply> take_content(std::string_view bytes);
  bool wants_flush() const { return content_ && content_->wants_flush(); }
  net::Task<std::optional<smtp::Reply>> flush();
  /// The verdict. On success `stored` is true and hand_over() is to be called once the 250 is on
  /// its way.
  net::Task<smtp::Reply> commit(ClientFacts client, bool bare_newlines);
  bool stored() const { return stored_; }
  void hand_over(const ClientFacts& client, Duration took);

 private:
  smtp::Reply spool_trouble(const Error& error) const;

  ShardDoor& door_;
  const Limits& limits_;
  const std::string& own_name_;
  std::shared_ptr<const routing::Router> router_;
  std::shared_ptr<mail::Envelope> envelope_;
  std::vector<std::pair<std::string, std::string>> reasons_;  // per recipient: why, wave
  mail::HeaderScan header_;
  std::unique_ptr<spool::IncomingMessage> content_;
  spool::MessageRef message_;
  bool header_judged_ = false;
  bool stored_ = false;
};

}  // namespace waypost::inbound
