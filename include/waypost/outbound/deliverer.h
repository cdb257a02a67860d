// One delivery attempt: hosts, connections, the SMTP client, and the classification of what came of
// it.
//
// Deliverer: one per shard and next hop; that shard's thread only. It keeps connections for reuse,
// never retries and never decides about retries (queue does). Any number of attempts may run at
// once, up to max_connections; the queue limits. Loop guard: a host that is ourselves (own address
// and listening port, or a greeting with our own name) is a failure of the recipients with 5.4.6.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/mail/envelope.h"
#include "waypost/mail/outcome.h"
#include "waypost/net/resolver.h"
#include "waypost/net/shard.h"
#include "waypost/net/stream.h"
#include "waypost/ops/metrics.h"
#include "waypost/outbound/next_hop.h"
#include "waypost/outbound/pace.h"
#include "waypost/outbound/told.h"
#include "waypost/spool/spool.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace waypost::outbound {

struct AttemptRecipient {
  std::uint32_t index = 0;  // in envelope.recipients
  mail::Mailbox target;     // as routing decides now
  /// Stands in MAIL FROM instead of the envelope's reverse-path (SRS).
  std::optional<mail::Mailbox> rewritten_sender = {};
};

struct AttemptInput {
  std::shared_ptr<const mail::Envelope> envelope;
  spool::MessageRef message;
  std::vector<AttemptRecipient> recipients;  // at most max_recipients
};

struct AttemptResult {
  std::vector<mail::Outcome> outcomes;  // one per AttemptRecipient
  /// The trouble was the connection's or the site's (nothing to do with this message): count it
  /// once for the next hop.
  bool site_trouble = false;
  bool unreachable = false;    // of the kind that there was no session at all
  bool asks_for_less = false;  // busy or throttling, by its replies
  std::string remote_host;     // "name[192.0.2.1]:25"; empty: never connected
  net::TlsInfo tls;            // version empty: none
  bool reused_connection = false;
  Duration took{};
};

struct DelivererContext {
  net::Shard& shard;
  net::Connector& connector;
  net::Resolver& resolver;
  spool::Spool& spool;
  ops::Metrics& metrics;
  std::string own_name;
  /// True if this address and port is one that we listen on.
  std::function<bool(const net::Endpoint&)> is_self;
  std::shared_ptr<Pace> pace = {};  // shared by all shards; null: this deliverer's alone
  std::shared_ptr<Told> told = std::make_shared<Told>();  // shared by all shards
};

class Deliverer {
 public:
  /// REQUIRES: `context`'s parts outlive the deliverer. TLS material is loaded here: ErrorKind::tls
  /// or io names the file.
  static Result<std::unique_ptr<Deliverer>> make(NextHopOptions options, DelivererContext context);
  virtual ~Deliverer() = default;
  /// REQUIRES: `input` lives until it is done.
  virtual net::Task<AttemptResult> attempt(const AttemptInput& input) = 0;
  virtual const NextHopOptions& options() const = 0;
  /// So many recipients go in one transaction: max_recipients, or fewer if the server said so last.
  /// Who hands over more keeps others waiting behind one message.
  virtual std::uint32_t recipients_at_once() const { return options().max_recipients; }
  /// Closes idle connections (QUIT, without waiting for the answer). For shutdown and reload.
  virtual void close_idle() = 0;
  /// Cancels everything that runs: attempts end with deferred outcomes.
  virtual void cancel() = 0;
  /// True while no attempt runs: a replaced deliverer may be destroyed then.
  virtual bool idle() const = 0;
};

}  // namespace waypost::outbound
