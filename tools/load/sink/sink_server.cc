#include "sink/sink_server.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace waypost::sink {
namespace asio = boost::asio;
using boost::system::error_code;

SinkServer::SinkServer(Settings settings, Behaviour& behaviour, Recorder& recorder, unsigned shards)
    : settings_(std::move(settings)), behaviour_(behaviour), recorder_(recorder) {
  for (unsigned i = 0; i < std::max(1u, shards); ++i) {
    workers_.push_back(std::make_unique<Worker>(i));
  }
}

SinkServer::~SinkServer() { stop(); }

Result<std::string> SinkServer::listen(const std::string& address_and_port) {
  const auto colon = address_and_port.rfind(':');
  std::string host = address_and_port.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  const char* end = address_and_port.data() + address_and_port.size();
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  const bool parsed =
      colon != std::string::npos &&
      std::from_chars(address_and_port.data() + colon + 1, end, port).ec == std::errc{};
  if (error || !parsed) {
    return fail(ErrorKind::invalid, "'" + address_and_port + "' is not ADDRESS:PORT");
  }
  auto acceptor = std::make_unique<Acceptor>(workers_.front()->shard.io);
  const asio::ip::tcp::endpoint endpoint(address, port);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(4096, error);
  if (error) return fail(ErrorKind::network, address_and_port + ": " + error.message());
  const auto bound = acceptor->local_endpoint();
  acceptors_.push_back(std::move(acceptor));
  return net::Endpoint{bound.address().to_string(), bound.port()}.to_string();
}

net::Task<void> SinkServer::accept_loop(Acceptor& acceptor) {
  net::Shard& shard = workers_.front()->shard;
  for (;;) {
    error_code error;
    auto completion = asio::redirect_error(net::use_task, error);
    asio::basic_stream_socket<asio::ip::tcp, net::Executor> socket =
        co_await acceptor.async_accept(completion);
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors: look again when some may be free
      const SteadyTime later = shard.timers.in(std::chrono::milliseconds(100));
      const auto slept = co_await shard.timers.sleep_until(later);
      if (!slept) co_return;
      continue;
    }
    const int fd = socket.release(error);
    if (!error) deal(fd);
  }
}

void SinkServer::deal(int socket_fd) {
  auto& worker =
      **std::min_element(workers_.begin(), workers_.end(), [](const auto& one, const auto& other) {
        return one->shard.sessions.load(std::memory_order_relaxed) <
               other->shard.sessions.load(std::memory_order_relaxed);
      });
  worker.shard.sessions.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t number =
      recorder_.counters().connections.fetch_add(1, std::memory_order_relaxed) + 1;
  net::Shard& shard = worker.shard;
  asio::post(shard.io, [this, &shard, socket_fd, number] {
    auto stream = net::adopt_socket(shard.io, shard.timers, socket_fd);
    if (!stream) {
      shard.sessions.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    asio::co_spawn(
        shard.io,
        Session::serve(shard, settings_, behaviour_, recorder_, std::move(*stream), number),
        asio::detached);
  });
}

void SinkServer::start() {
  auto& first = workers_.front()->shard.io;
  for (auto& acceptor : acceptors_) {
    asio::co_spawn(first, accept_loop(*acceptor), asio::detached);
  }
  for (auto& worker : workers_) {
    net::Shard& shard = worker->shard;
    asio::co_spawn(shard.io, shard.timers.drive(), asio::detached);
    worker->thread = std::thread([&shard] {
      const auto work = asio::make_work_guard(shard.io);
      shard.io.run();
    });
  }
}

void SinkServer::stop() {
  for (auto& worker : workers_) worker->shard.io.stop();
  for (auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
}

}  // namespace waypost::sink
