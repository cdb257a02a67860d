// The SMTP server: listeners, admission, sessions, and the taking in of messages.
//
// Server: one per process. Listeners accept on shard 0 and deal each connection to the shard with
// the fewest sessions. Nothing here knows how mail leaves: a committed message is handed to
// `on_committed` on the shard that took it in.
#pragma once

#include "waypost/base/block_chain.h"
#include "waypost/inbound/options.h"
#include "waypost/mail/envelope.h"
#include "waypost/net/shard.h"
#include "waypost/ops/metrics.h"
#include "waypost/ops/tracking.h"
#include "waypost/routing/router.h"
#include "waypost/spool/spool.h"

#include <functional>
#include <memory>
#include <vector>

namespace waypost::inbound {

/// Per shard; all members outlive the server.
struct ShardContext {
  net::Shard& shard;
  QueueIdSource& ids;
  /// The time: routing was asked by then, with the routes that held; not before them.
  std::function<void(spool::MessageRef, std::shared_ptr<const mail::Envelope>, SteadyTime)>
      on_committed;
};

struct Context {
  std::vector<ShardContext> shards;
  spool::Spool& spool;
  routing::RouterHolder& router;
  MemoryBudget& budget;
  ops::Metrics& metrics;
  ops::TrackingLog& tracking;
};

/// Any thread. REQUIRES at its end: stop_accepting() was called, sessions() is 0 (after cancel() it
/// comes to that by itself), and the shards no longer run.
class Server {
 public:
  /// Binds and listens; ErrorKind::network names the address that is taken, and what to do.
  static Result<std::unique_ptr<Server>> start(Options options, Context context);
  virtual ~Server() = default;
  /// Certificates, passwords, admission and limits for connections from now on. Listeners can't
  /// change: an Error says so.
  virtual Result<> reload(Options options) = 0;
  /// What was bound, with the real ports where 0 was asked for.
  virtual std::vector<net::Endpoint> endpoints() const = 0;
  /// Phase one: closes the listeners; sessions finish their transaction, then hear 421.
  virtual void stop_accepting() = 0;
  /// Phase two: cuts every session.
  virtual void cancel() = 0;
  virtual std::size_t sessions() const = 0;
};

}  // namespace waypost::inbound
