// One mail transaction as we decide about it: sender, routed recipients, content on its way into
// the spool.
//
// Made at MAIL, gone after the verdict. Lives on its session's shard. Writes the tracking log's
// lines about it: refused, received, routed.
#pragma once

#include "waypost/mail/header.h"
#include "waypost/mail/utf8_header_scan.h"
#include "waypost/smtp/server_dialogue.h"

#include "inbound/shard_door.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace waypost::inbound {

/// What the session knows and the transaction needs. Views into the session: good until its
/// dialogue advances.
struct ClientFacts {
  std::string_view helo;
  std::string_view address;  // "10.0.0.5"
  std::string_view user;     // authenticated as
  std::string_view tls;      // "TLSv1.3 TLS_AES_128_GCM_SHA256", empty: none
  bool esmtp = false;
  std::string to_string() const;  // "ex1.corp.example[10.0.0.5]"
};

class Transaction {
 public:
  /// REQUIRES: `door`, `limits`, `own_name`, `account` outlive it.
  Transaction(ShardDoor& door, const Limits& limits, const std::string& own_name,
              ClientAccount& account, smtp::MailCommand mail);

  /// Asks routing; remembers an accepted recipient.
  smtp::Reply add_recipient(const smtp::RcptCommand& command, const ClientFacts& client);
  /// Puts our Received field on top.
  void begin_content(const ClientFacts& client);
  /// A reply if the message must be refused from here on; its content is dropped then.
  std::optional<smtp::Reply> take_content(std::string_view bytes, const ClientFacts& client);
  bool has_content() const { return content_ != nullptr; }
  bool wants_flush() const { return content_ && content_->wants_flush(); }
  /// Octets that fit into memory that is taken already; 0 only without content.
  std::size_t room_in_block() const;
  /// A reply as from take_content().
  net::Task<std::optional<smtp::Reply>> flush(ClientFacts client);
  /// The verdict. On success stored() is true and hand_over() is to be called once the 250 is on
  /// its way.
  net::Task<smtp::Reply> commit(ClientFacts client, bool bare_newlines);
  bool stored() const { return stored_; }
  /// `took`: from the last octet to the 250.
  void hand_over(const ClientFacts& client, Duration took);
  /// The connection ended inside the content: nothing was refused, nothing was acknowledged.
  void track_lost(const ClientFacts& client, std::string_view why);

 private:
  void refuse_recipient(const smtp::RcptCommand& command, const ClientFacts& client,
                        const routing::Decision& decision, WallTime at);
  smtp::Reply refuse_message(MessageRefusal why, smtp::Reply reply, const ClientFacts& client,
                             std::string_view detail);
  void track_unaccepted(ops::TrackingKind kind, const ClientFacts& client, const std::string& reply,
                        const std::string& status, std::string_view why);
  smtp::Reply spool_trouble(const Error& error, const ClientFacts& client);
  void add_copies(std::vector<routing::Copy> copies, std::size_t of);
  void count_memory(std::size_t recipient);
  std::string loop_in_header() const;
  std::string likely_cause() const;
  std::uint32_t named_recipients() const {
    return static_cast<std::uint32_t>(envelope_->recipients.size()) - copies_;
  }
  void track_routed(std::size_t recipient, WallTime at);

  ShardDoor& door_;
  const Limits& limits_;
  const std::string& own_name_;
  SteadyTime began_;  // before the routes were taken
  std::shared_ptr<const routing::Router> router_;
  RecipientMemory memory_;
  std::shared_ptr<mail::Envelope> envelope_;
  /// What the tracking log says of a recipient.
  struct Reason {
    std::string why, wave, shadow_target, shadow_next_hop;
    std::optional<routing::EntryState> state;
  };
  std::vector<Reason> reasons_;  // per recipient, copies too
  std::uint32_t copies_ = 0;     // recipients that the client has not named
  std::unordered_map<std::string, std::uint32_t> copied_;  // their addresses, and where they stand
  mail::HeaderScan header_;
  std::optional<mail::Utf8HeaderScan> utf8_header_;  // only where SMTPUTF8 was declared
  std::unique_ptr<spool::IncomingMessage> content_;
  std::uint64_t flushed_ = 0;  // octets of content_ that are on disk
  spool::MessageRef message_;
  bool begun_ = false;  // the first octet of the content has come
  bool header_judged_ = false;
  bool stored_ = false;
};

}  // namespace waypost::inbound
