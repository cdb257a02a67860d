// Where to connect, in which order: the configured hosts, or the MX of a domain (RFC 5321 §5.1).
//
// HostPlan: one per attempt to open a connection; yields one candidate after the other, resolving
// as it goes. HostMemory: one per deliverer; a host that has just failed comes last.
#pragma once

#include "waypost/mail/status.h"
#include "waypost/net/resolver.h"
#include "waypost/outbound/next_hop.h"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace waypost::outbound {

struct Candidate {
  std::string host;  // the name that is checked in the certificate
  net::Endpoint endpoint;
};

class HostMemory {
 public:
  void failed(const std::string& host, SteadyTime at) { failures_[host] = at; }
  void succeeded(const std::string& host) { failures_.erase(host); }
  bool failed_lately(const std::string& host, SteadyTime present) const {
    const auto found = failures_.find(host);
    return found != failures_.end() && present - found->second < std::chrono::minutes(1);
  }

 private:
  std::map<std::string, SteadyTime> failures_;
};

class HostPlan {
 public:
  /// `domain`: of the recipients; used with mx_of_recipient only.
  HostPlan(const NextHopOptions& options, std::string domain, net::Resolver& resolver,
           net::Timers& timers, const HostMemory& memory)
      : options_(options),
        domain_(std::move(domain)),
        resolver_(resolver),
        timers_(timers),
        memory_(memory) {}

  /// nullopt: there is no further candidate; trouble() says what went wrong on the way, if anything
  /// did.
  net::Task<std::optional<Candidate>> next();
  const Error& trouble() const { return trouble_; }
  /// The domain takes no mail, or does not exist: a permanent failure with this status (class 0:
  /// none).
  mail::EnhancedStatus permanent() const { return permanent_; }

 private:
  net::Task<void> begin();
  const NextHopOptions& options_;
  std::string domain_;
  net::Resolver& resolver_;
  net::Timers& timers_;
  const HostMemory& memory_;
  bool begun_ = false;
  std::deque<HostPort> hosts_;
  std::deque<Candidate> candidates_;
  Error trouble_;
  mail::EnhancedStatus permanent_;
};

}  // namespace waypost::outbound
