// What the sessions of one shard share; that shard's thread only.
#pragma once

#include "waypost/inbound/server.h"

#include "inbound/admission.h"
#include "inbound/client_counts.h"

#include <memory>
#include <unordered_set>
#include <vector>

namespace waypost::inbound {

class Session;

/// Counters, resolved once.
struct InboundMetrics {
  explicit InboundMetrics(ops::Metrics& metrics);
  ops::Counter &connections, &refused_connections, &messages, &octets, &recipients_accepted,
      &recipients_refused, &messages_refused, &abandoned, &tls_sessions, &tls_failures, &auth_good,
      &auth_failed, &timeouts;
  ops::Histogram& time_to_250;
};

struct ShardDoor {
  static constexpr std::size_t kReadBuffer = 128 * 1024;
  ShardDoor(ShardContext context_, Context& server_, PasswordWorker& worker, ClientCounts& counts,
            InboundMetrics& metrics_)
      : context(std::move(context_)),
        server(server_),
        passwords(worker),
        clients(counts),
        metrics(metrics_),
        buffer(kReadBuffer) {}
  ShardContext context;
  Context& server;
  PasswordWorker& passwords;
  ClientCounts& clients;
  InboundMetrics& metrics;
  std::vector<char>
      buffer;  // every read of this shard lands here; nobody keeps it over a suspension
  std::unordered_set<Session*> sessions;
  bool stopping = false;
};

}  // namespace waypost::inbound
