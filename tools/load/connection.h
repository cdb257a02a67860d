// One connection slot of the sender: opens, sends, closes and opens again until the schedule has no
// more messages.
//
// Lives on one shard's thread. Everything that a message needs is put into one buffer and leaves by
// one write per step. A message whose connection breaks before its content began is sent again on a
// new connection; one that broke later is `unacknowledged`: it may have arrived.
#pragma once

#include "waypost/net/shard.h"
#include "waypost/net/stream.h"
#include "waypost/net/tls.h"

#include "load/journal.h"
#include "load/reply_reader.h"
#include "load/send_options.h"
#include "load/statistics.h"

#include <memory>
#include <string>
#include <vector>

namespace waypost::load {

/// What all connections of a run share; read-only but for the schedule, totals and log.
struct SendContext {
  const SendOptions& options;
  const Contents& contents;
  const RecipientMix& mix;
  Schedule& schedule;
  Totals& totals;
  JournalWriter* journal = nullptr;
  struct Target {
    net::Endpoint endpoint;
    std::string host;
  };
  std::vector<Target> targets;
  std::shared_ptr<const net::TlsContext> tls;
};

class Connection {
 public:
  Connection(SendContext& context, net::Shard& shard, net::Connector& connector,
             Statistics& statistics, unsigned number);
  /// Until the schedule ends.
  net::Task<void> run();

 private:
  // Opening and closing (connection_open.cc). Each false: `error_` says why.
  net::Task<bool> ensure_open(bool has_message);
  net::Task<bool> open();
  net::Task<bool> greet();
  net::Task<bool> ehlo();
  net::Task<bool> start_tls();
  net::Task<bool> authenticate();
  net::Task<void> close(bool politely);
  void lost();

  // One message (connection.cc).
  net::Task<void> wait_until(SteadyTime due);
  net::Task<void> deliver(Schedule::Slot slot);
  net::Task<bool> transact();
  net::Task<bool> in_one_go();
  net::Task<bool> envelope_first();
  net::Task<bool> step_by_step();
  net::Task<bool> send_content();
  net::Task<bool> take_verdict();
  net::Task<bool> reset();
  void prepare(Schedule::Slot slot);
  void append_mail();
  void append_rcpt(std::size_t index);
  std::string message_name() const;
  void write_head();
  bool take_rcpt_reply(std::size_t index, const ReplyView& reply);
  void finish(Outcome outcome);
  void log_message(Outcome outcome, SteadyTime end);

  // Octets.
  net::Task<bool> write_out();
  net::Task<bool> read_more();
  /// Into reply_; false: the connection is of no use.
  net::Task<bool> reply();
  SteadyTime deadline() const { return shard_.timers.in(context_.options.timeout); }
  SteadyTime now() const { return shard_.timers.now(); }

  SendContext& context_;
  net::Shard& shard_;
  net::Connector& connector_;
  Statistics& statistics_;
  unsigned number_;
  std::string helo_;
  std::unique_ptr<net::Stream> stream_;
  bool secured_ = false, chunking_ = false, pipelining_ = false, size_ = false, eight_bit_ = false;
  bool dsn_ = false;
  bool starttls_ = false, auth_plain_ = false, auth_login_ = false;
  ReplyReader replies_;
  ReplyView reply_;
  Error error_;
  std::string out_;
  std::uint64_t sent_here_ = 0;
  unsigned failures_ = 0;

  // The message on its way.
  Schedule::Slot slot_;
  SteadyTime due_{}, content_sent_{};
  const Content* content_ = nullptr;
  std::vector<Recipient> recipients_;
  std::vector<char> fates_;  // of each recipient: 'a' accepted, 'r' refused, 'n' not said
  std::size_t accepted_ = 0;
  std::uint16_t wave_ = 0;
  std::uint64_t message_octets_ = 0;
  bool content_began_ = false;
  int code_ = 0;
  std::string head_;  // what is put above the content: Message-ID, if it has none, and the identity
  std::uint64_t digest_ = 0;
  std::string queue_id_, line_;
};

}  // namespace waypost::load
