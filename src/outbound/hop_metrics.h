// The numbers of one next hop.
#pragma once

#include "waypost/ops/metrics.h"

#include <string>

namespace waypost::outbound {

struct HopMetrics {
  HopMetrics(ops::Metrics& m, const std::string& hop)
      : attempts(
            m.counter("waypost_outbound_attempts_total", "Delivery attempts", {{"next_hop", hop}})),
        opened(m.counter("waypost_outbound_connections_total", "Connections opened",
                         {{"next_hop", hop}})),
        reused(m.counter("waypost_outbound_connections_reused_total",
                         "Attempts on a connection that was open", {{"next_hop", hop}})),
        failed_open(m.counter("waypost_outbound_connections_failed_total",
                              "Hosts that gave no usable connection", {{"next_hop", hop}})),
        delivered(m.counter("waypost_outbound_recipients_total",
                            "Recipients by outcome of an attempt",
                            {{"next_hop", hop}, {"outcome", "delivered"}})),
        deferred(m.counter("waypost_outbound_recipients_total",
                           "Recipients by outcome of an attempt",
                           {{"next_hop", hop}, {"outcome", "deferred"}})),
        failed(m.counter("waypost_outbound_recipients_total", "Recipients by outcome of an attempt",
                         {{"next_hop", hop}, {"outcome", "failed"}})),
        octets(m.counter("waypost_outbound_bytes_total", "Octets of delivered content",
                         {{"next_hop", hop}})),
        repaired(m.counter("waypost_outbound_bare_newlines_repaired_total",
                           "Bare CR or LF made CRLF for a server without CHUNKING",
                           {{"next_hop", hop}})),
        paced(m.counter("waypost_outbound_paced_total",
                        "Messages that waited because of max_messages_per_second",
                        {{"next_hop", hop}})),
        took(m.histogram("waypost_outbound_attempt_seconds", "Length of an attempt",
                         {{"next_hop", hop}})) {}
  ops::Counter &attempts, &opened, &reused, &failed_open, &delivered, &deferred, &failed, &octets,
      &repaired, &paced;
  ops::Histogram& took;
};

}  // namespace waypost::outbound
