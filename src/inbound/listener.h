// A listening socket. Accepts on shard 0 and deals each connection to the shard with the fewest
// sessions: twenty connections from one Exchange server must not hash onto one core.
#pragma once

#include "waypost/inbound/options.h"
#include "waypost/net/shard.h"
#include "waypost/net/stream.h"

#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>

namespace waypost::inbound {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// `take`: gets each connected socket's descriptor, on shard 0's thread.
  static Result<std::shared_ptr<Listener>> open(net::Shard& shard, const ListenerOptions& options,
                                                std::function<void(int)> take);
  const net::Endpoint& endpoint() const { return endpoint_; }
  void start();
  /// On shard 0's thread.
  void close();

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, net::Executor>;
  Listener(net::Shard& shard, std::function<void(int)> take)
      : shard_(shard), acceptor_(shard.io.get_executor()), take_(std::move(take)) {}
  static net::Task<void> accept_loop(std::shared_ptr<Listener> self);
  /// False: out of descriptors or memory; wait.
  bool accept_burst();

  net::Shard& shard_;
  Acceptor acceptor_;
  std::function<void(int)> take_;
  net::Endpoint endpoint_;
  std::optional<SteadyTime> complained_;  // when the log last heard of accept's trouble
};

}  // namespace waypost::inbound
