// The schema: which keys there are, where they go, and what is a legal value.
//
// Private to config. One function a top-level section; each reads, or describes itself.
#pragma once

#include "config/section.h"

namespace waypost::config {

/// The whole file.
void read_config(Section& root, Config& config);

void read_listener(Section& section, inbound::ListenerOptions& options);
void read_server_tls(Section& section, net::ServerTlsOptions& options);
void read_admission(Section& section, inbound::AdmissionOptions& options);
void read_limits(Section& section, inbound::Limits& options);
void read_routing(Section& section, routing::Options& options);
/// Appends what it read.
void read_source(Section& section, std::vector<routing::TableSource>& sources);
void read_wave(Section& section, routing::WaveOptions& wave);
void read_srs(Section& section, routing::SrsOptions& options);
void read_directory(Section& section, routing::DirectoryOptions& options);
void read_next_hop(Section& section, outbound::NextHopOptions& options);
/// What may differ from next hop to next hop.
void read_policy(Section& section, queue::Policy& policy);
void read_queue(Section& section, queue::Options& options);
void read_spool(Section& section, spool::Options& options);

/// Names of configured next hops that the rest of the file refers to, TLS for listeners, values
/// that contradict each other: what only shows when all sections are read.
void check_consistency(const Config& config, Reading& reading);
/// Certificates against their keys, names and dates.
void check_certificates(const Config& config, Reading& reading);

/// Complains about items that are not networks.
void check_networks(Section& section, std::string_view key,
                    const std::vector<std::string>& networks);

}  // namespace waypost::config
