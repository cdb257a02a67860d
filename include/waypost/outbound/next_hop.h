// A destination as configured, and the state of its connections on one shard.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/net/tls.h"

#include <cstdint>
#include <string>
#include <vector>

namespace waypost::outbound {

struct HostPort {
  std::string host;  // name or address literal without brackets
  std::uint16_t port = 25;
};

struct NextHopOptions {
  std::string name;       // "workmail"
  std::string mx_domain;  // deliver to the MX of this domain; empty with mx_of_recipient or hosts
  bool mx_of_recipient = false;  // deliver to the MX of each recipient's own domain
  std::uint16_t mx_port = 25;
  std::vector<HostPort> hosts;  // or to these, in order
  net::ClientTlsOptions tls;
  bool implicit_tls = false;
  std::string helo_name;       // empty: the server's own name
  std::string source_address;  // empty: any
  std::string auth_user, auth_password_file;
  std::uint32_t max_recipients = 100;  // per transaction
  std::uint32_t max_connections = 20;  // per shard
  std::uint32_t max_messages_per_connection = 500;
  std::uint32_t max_messages_per_second = 0;  // over all shards; 0: no limit
  std::uint64_t max_message_size = 0;         // 0: what SIZE says
  bool use_chunking = true, use_pipelining = true;
  Duration idle_connection = std::chrono::seconds(10);        // kept open for reuse
  Duration connect_timeout = std::chrono::seconds(30);        // per address
  Duration connect_stagger = std::chrono::milliseconds(250);  // RFC 8305 §5: until the next address
  Duration remember_failures = std::chrono::minutes(5);  // so long a host that failed comes last
  // RFC 5321 §4.5.3.2, which has no word about TLS.
  Duration greeting_timeout = std::chrono::minutes(5);
  Duration handshake_timeout = std::chrono::minutes(1);
  Duration command_timeout = std::chrono::minutes(5);
  Duration data_timeout = std::chrono::minutes(2);     // for the 354
  Duration content_timeout = std::chrono::minutes(3);  // per block of at most 64 KiB
  Duration verdict_timeout = std::chrono::minutes(10);
};

}  // namespace waypost::outbound
