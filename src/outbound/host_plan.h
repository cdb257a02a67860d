// Where to connect, in which order: the configured hosts, or the MX of a domain (RFC 5321 §5.1).
//
// HostPlan: one per attempt to open a connection; yields one host after the other with all its
// addresses, resolving as it goes. HostMemory: one per deliverer; a host or address that has just
// failed comes last.
#pragma once

#include "waypost/mail/status.h"
#include "waypost/net/resolver.h"
#include "waypost/outbound/next_hop.h"

#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace waypost::outbound {

struct Candidate {
  std::string host;  // the name that is checked in the certificate
  net::Endpoint endpoint;
};

class HostMemory {
 public:
  explicit HostMemory(Duration kept) : kept_(kept) {}
  static std::string key(const net::Endpoint& address) { return address.to_string(); }

  /// `what`: a host's name or an address's key.
  void failed(const std::string& what, SteadyTime at);
  void succeeded(const std::string& what) { failures_.erase(what); }
  bool failed_lately(const std::string& what, SteadyTime present) const;
  std::size_t size() const { return failures_.size(); }
  /// With mx_of_recipient the hosts are those of the whole Internet.
  static constexpr std::size_t kMost = 1024;

 private:
  Duration kept_;
  std::unordered_map<std::string, SteadyTime> failures_;
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

  /// The addresses of the next host, those that failed lately at the end. nullopt: there is no
  /// further host; trouble() says what went wrong on the way, if anything did.
  net::Task<std::optional<std::vector<Candidate>>> next();
  /// The host that next() gave last is ourselves: whoever stands behind us in the order of
  /// preference is not for us to ask (RFC 5321 §5.1). Those before us that failed lately remain.
  void drop_behind();
  /// In the order of preference: the place of the host that next() gave last, and the best place
  /// of all that it has gone through.
  std::size_t rank() const { return rank_; }
  std::size_t best_rank() const { return best_rank_; }
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
  struct Ranked {
    HostPort host;
    std::size_t rank = 0;  // in the order of preference
  };
  bool begun_ = false;
  bool any_may_exist_ = false;  // a host has addresses, or DNS could not say that it has none
  std::deque<Ranked> hosts_;
  std::size_t rank_ = 0, best_rank_ = std::numeric_limits<std::size_t>::max();
  Error trouble_;
  mail::EnhancedStatus permanent_;
};

}  // namespace waypost::outbound
