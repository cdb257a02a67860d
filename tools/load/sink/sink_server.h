// The stand-in's listeners and shards.
//
// Owned by main. Listeners accept on the first shard and deal each connection to the shard with the
// fewest sessions, as the gateway does.
#pragma once

#include "waypost/net/shard.h"

#include "sink/session.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace waypost::sink {

class SinkServer {
 public:
  SinkServer(Settings settings, Behaviour& behaviour, Recorder& recorder, unsigned shards);
  ~SinkServer();
  SinkServer(const SinkServer&) = delete;
  SinkServer& operator=(const SinkServer&) = delete;

  /// "127.0.0.1:2525"; port 0 picks a free one. Returns what was bound.
  Result<std::string> listen(const std::string& address_and_port);
  void start();
  /// Ends all threads; open conversations are cut.
  void stop();

 private:
  struct Worker {
    explicit Worker(unsigned index) : shard(index, Clock::system()) {}
    net::Shard shard;
    std::thread thread;
  };
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, net::Executor>;
  net::Task<void> accept_loop(Acceptor& acceptor);
  void deal(int socket_fd);

  Settings settings_;
  Behaviour& behaviour_;
  Recorder& recorder_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
};

}  // namespace waypost::sink
