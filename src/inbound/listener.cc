#include "inbound/listener.h"

#include "waypost/net/bound_socket.h"
#include "waypost/ops/log.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>

#include <sys/socket.h>

namespace waypost::inbound {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
constexpr int kBurst = 64;
constexpr std::chrono::milliseconds kPause{100};
constexpr std::chrono::seconds kComplaints{10};

}  // namespace

Result<std::shared_ptr<Listener>> Listener::open(net::Shard& shard, const ListenerOptions& options,
                                                 std::function<void(int)> take) {
  std::shared_ptr<Listener> listener(new Listener(shard, std::move(take)));
  const std::string what = "listener " + options.to_string() + ": ";
  auto socket = net::BoundSocket::bind(options.address, options.port);
  if (!socket) return fail(ErrorKind::network, what + socket.error().message);
  using tcp = asio::ip::tcp;
  error_code error;
  Acceptor& acceptor = listener->acceptor_;
  acceptor.assign(socket->is_v6() ? tcp::v6() : tcp::v4(), socket->release(), error);
  if (!error) acceptor.listen(options.backlog, error);
  if (!error) acceptor.native_non_blocking(true, error);
  if (error) return fail(ErrorKind::network, what + error.message());
  const auto bound = acceptor.local_endpoint(error);
  listener->endpoint_ = {bound.address().to_string(), bound.port()};
  return listener;
}

void Listener::start() {
  asio::co_spawn(shard_.io, accept_loop(shared_from_this()), asio::detached);
}

void Listener::close() {
  error_code ignored;
  acceptor_.close(ignored);
}

net::Task<void> Listener::accept_loop(std::shared_ptr<Listener> self) {
  for (;;) {
    error_code error;
    co_await self->acceptor_.async_wait(Acceptor::wait_read,
                                        asio::redirect_error(net::use_task, error));
    if (error || !self->acceptor_.is_open()) co_return;
    if (self->accept_burst()) continue;
    const auto slept = co_await self->shard_.timers.sleep_until(self->shard_.timers.in(kPause));
    if (!slept) co_return;
  }
}

bool Listener::accept_burst() {
  for (int i = 0; i < kBurst; ++i) {
    const int fd =
        ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      take_(fd);
      continue;
    }
    const int reason = errno;
    // What befell the connection and not us (accept(2), "Error handling").
    if (reason == EINTR || reason == ECONNABORTED || reason == EPROTO || reason == EPERM) continue;
    if (reason == EAGAIN || reason == EWOULDBLOCK) return true;
    const SteadyTime present = shard_.timers.now();
    if (!complained_ || present - *complained_ >= kComplaints) {
      complained_ = present;
      ops::log().error("{}: accept: {}; pausing; raise LimitNOFILE if this goes on",
                       endpoint_.to_string(), describe_errno(reason));
    }
    return false;
  }
  return true;
}

}  // namespace waypost::inbound
