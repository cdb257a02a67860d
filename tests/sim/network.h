// The simulated network: connections between the gateway and its peers that come late, in pieces,
// end at any octet, or fall silent.
//
// Link: one connection. The gateway has a net::Stream on it, the peer (a mail client or server of
// the simulation) is called with what arrives. Everything happens on the agenda, one piece a time.
#pragma once

#include "waypost/net/stream.h"

#include "sim/stage.h"

#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace waypost::sim {

/// The other end of a connection. Lives as long as the world.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void on_bytes(std::string_view bytes) = 0;
  /// The gateway has closed, or the connection broke.
  virtual void on_end() = 0;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  /// Draws this connection's own troubles. REQUIRES: `stage`, `peer` outlive it.
  Link(Stage& stage, Peer& peer) : stage_(stage), peer_(peer) { draw_troubles(); }

  /// The gateway's end; once.
  std::unique_ptr<net::Stream> open(net::Timers& timers, net::Endpoint local, net::Endpoint remote);
  /// The gateway's machine is gone: its stream fails from now on and does nothing any more.
  void gateway_died();

  // The peer's side.
  void say(std::string_view bytes);
  void hang_up();
  std::uint64_t said() const { return said_; }
  /// Octets of ours that the gateway's machine has got.
  std::uint64_t arrived() const { return in_.arrived; }
  /// Runs `deed` when the gateway has read as many octets.
  void when_read(std::uint64_t octets, Agenda::Deed deed);
  /// True if the gateway can't hear us any more.
  bool gateway_gone() const { return gateway_closed_ || broken_; }

 private:
  friend class GatewayEnd;
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  struct Way {
    std::string flying;
    std::uint64_t arrived = 0, limit = kNever;
    bool moving = false;  // stands on the agenda
    bool ends = false;    // closed behind what flies
  };
  void draw_troubles();
  void set_moving(Way& way);
  void arrive(Way& way);
  void break_here();
  void tell_peer_of_end(Duration after);
  void wake();

  Stage& stage_;
  Peer& peer_;
  class GatewayEnd* end_ = nullptr;
  Way in_, out_;  // towards the gateway, towards the peer
  std::string readable_;
  std::uint64_t said_ = 0, read_ = 0;
  std::size_t capacity_ = 64 * 1024;
  bool dribbles_ = false, falls_silent_ = false;
  bool silent_ = false, broken_ = false, reset_ = false, end_seen_ = false;
  bool gateway_closed_ = false, peer_closed_ = false, peer_told_ = false, dead_ = false;
  std::vector<std::pair<std::uint64_t, Agenda::Deed>> marks_;
};

}  // namespace waypost::sim
