// What inbound counts, by name.
#include "inbound/shard_door.h"

namespace waypost::inbound {
namespace {

constexpr std::string_view kConnectionsRefused = "waypost_inbound_connections_refused_total";
constexpr std::string_view kMessagesRefused = "waypost_inbound_messages_refused_total";
constexpr std::string_view kRecipients = "waypost_inbound_recipients_total";
constexpr std::string_view kHandshakes = "waypost_inbound_tls_handshakes_total";
constexpr std::string_view kAuthentications = "waypost_inbound_authentications_total";

ops::Counter& by(ops::Metrics& metrics, std::string_view name, std::string_view help,
                 const char* label, const char* value) {
  return metrics.counter(name, help, {{label, value}});
}

ops::Counter& recipients(ops::Metrics& metrics, const char* answer) {
  return by(metrics, kRecipients, "Recipients by answer to RCPT", "answer", answer);
}
ops::Counter& connection(ops::Metrics& metrics, const char* reason) {
  return by(metrics, kConnectionsRefused, "Connections refused instead of greeted", "reason",
            reason);
}
ops::Counter& message(ops::Metrics& metrics, const char* reason) {
  return by(metrics, kMessagesRefused, "Messages refused after their recipients were accepted",
            "reason", reason);
}
ops::Counter& handshake(ops::Metrics& metrics, const char* result) {
  return by(metrics, kHandshakes, "TLS handshakes with clients", "result", result);
}
ops::Counter& authentication(ops::Metrics& metrics, const char* result) {
  return by(metrics, kAuthentications, "AUTH by result", "result", result);
}

}  // namespace

InboundMetrics::InboundMetrics(ops::Metrics& m)
    : connections(m.counter("waypost_inbound_connections_total", "Connections accepted")),
      messages(m.counter("waypost_inbound_messages_total", "Messages acknowledged with 250")),
      octets(m.counter("waypost_inbound_bytes_total", "Octets of acknowledged messages")),
      recipients_accepted(recipients(m, "accepted")),
      recipients_deferred(recipients(m, "deferred")),
      recipients_unknown(recipients(m, "unknown")),
      recipients_relay_denied(recipients(m, "relay_denied")),
      recipients_other(recipients(m, "other")),
      abandoned(m.counter("waypost_inbound_transactions_abandoned_total",
                          "Transactions that ended with their connection")),
      tls_sessions(handshake(m, "good")),
      tls_failures(handshake(m, "failed")),
      auth_good(authentication(m, "good")),
      auth_failed(authentication(m, "failed")),
      auth_busy(authentication(m, "busy")),
      timeouts(m.counter("waypost_inbound_timeouts_total", "Sessions that were too slow")),
      unanswered(m.counter("waypost_inbound_unanswered_total",
                           "Messages whose client got no verdict, because the disk hung")),
      connections_refused{&connection(m, "not_admitted"), &connection(m, "client_limit"),
                          &connection(m, "session_limit"), &connection(m, "early_talker"),
                          &connection(m, "shutting_down")},
      messages_refused{&message(m, "loop"), &message(m, "no_room"), &message(m, "storage"),
                       &message(m, "malformed")},
      time_to_250(m.histogram("waypost_inbound_time_to_250_seconds",
                              "From the last octet of a message to its 250")) {}

ops::Counter& InboundMetrics::recipient_refused(const smtp::Reply& reply) {
  if (reply.transient()) return recipients_deferred;
  if (reply.status == mail::status::unknown_mailbox) return recipients_unknown;
  if (reply.status == mail::status::relay_denied) return recipients_relay_denied;
  return recipients_other;
}

}  // namespace waypost::inbound
