// What the sessions of one shard share; that shard's thread only (but for the metrics).
#pragma once

#include "waypost/inbound/server.h"

#include "inbound/admission.h"
#include "inbound/client_counts.h"

#include <memory>
#include <unordered_set>
#include <vector>

namespace waypost::inbound {

class Session;

/// Why a connection heard a refusal instead of a greeting.
enum class ConnectionRefusal : std::uint8_t {
  not_admitted,
  client_limit,
  session_limit,
  early_talker,
  shutting_down,
};
/// Why a message was refused after its recipients had been accepted.
enum class MessageRefusal : std::uint8_t { loop, no_room, storage, malformed };

/// Counters, resolved once.
struct InboundMetrics {
  explicit InboundMetrics(ops::Metrics& metrics);
  ops::Counter& refused(ConnectionRefusal why) { return *connections_refused[std::size_t(why)]; }
  ops::Counter& refused(MessageRefusal why) { return *messages_refused[std::size_t(why)]; }
  /// By the class of the reply: deferred, unknown, relay_denied, other.
  ops::Counter& recipient_refused(const smtp::Reply& reply);

  ops::Counter &connections, &messages, &octets, &recipients_accepted, &recipients_deferred,
      &recipients_unknown, &recipients_relay_denied, &recipients_other, &abandoned, &tls_sessions,
      &tls_failures, &auth_good, &auth_failed, &auth_busy, &timeouts, &unanswered;
  std::array<ops::Counter*, 5> connections_refused;
  std::array<ops::Counter*, 4> messages_refused;
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
  net::Timers& timers() const { return context.shard.timers; }

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
