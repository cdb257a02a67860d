// TCP through the kernel.
#include "waypost/net/stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

namespace waypost::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<tcp, Executor>;

constexpr std::size_t kMaxGather = 512;
constexpr std::size_t kFirstOctets = 256;  // most commands and replies

Endpoint describe(const tcp::endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return {address.to_string(), endpoint.port()};
}

/// Waiting to read takes the first octets of what comes in the same operation: Asio pays a system
/// call for a wait that does not read, and one more to learn that nothing is left.
class TcpStream final : public Stream {
 public:
  TcpStream(Socket socket, Timers& timers)
      : socket_(std::move(socket)), read_wait_{Deadline(timers)}, write_wait_{Deadline(timers)} {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    socket_.set_option(tcp::no_delay(true), ignored);
    local_ = describe(socket_.local_endpoint(ignored));
  }

  bool learn_remote() {
    error_code error;
    const auto endpoint = socket_.remote_endpoint(error);
    if (!error) remote_ = describe(endpoint);
    return !error;
  }

  IoCount try_read(std::span<char> into) override { return receive(into, 0); }
  IoCount try_peek(std::span<char> into) override { return receive(into, MSG_PEEK); }
  bool has_buffered() const override { return first_at_ < first_end_; }
  bool drained() const override { return drained_ && !has_buffered(); }

  IoCount try_write(std::span<const iovec> list) override {
    if (closed_) return closed_count();
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(list.data());
    message.msg_iovlen = std::min(list.size(), kMaxGather);
    for (;;) {
      const ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) return {IoState::done, static_cast<std::size_t>(n)};
      if (n == 0) return {IoState::want_write, 0};
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::want_write, 0};
      return broken();
    }
  }

  Task<Result<>> wait_readable(SteadyTime deadline) override { return wait(read_wait_, deadline); }
  Task<Result<>> wait_writable(SteadyTime deadline) override { return wait(write_wait_, deadline); }

  Error last_error() const override { return error_; }
  void close() override {
    if (closed_) return;
    closed_ = true;
    error_ = {ErrorKind::cancelled, "the connection was closed by us"};
    error_code ignored;
    socket_.cancel(ignored);
    socket_.close(ignored);
  }
  const Endpoint& remote() const override { return remote_; }
  const Endpoint& local() const override { return local_; }

 private:
  struct Wait {
    Deadline deadline;
    bool expired = false;
    TcpStream* stream = nullptr;
  };

  static void on_expired(void* argument) {
    auto* wait = static_cast<Wait*>(argument);
    wait->expired = true;
    error_code ignored;
    // Cancels the other direction's wait too; that one sees that it has not expired and waits on.
    wait->stream->socket_.cancel(ignored);
  }

  Task<Result<>> wait(Wait& wait, SteadyTime deadline) {
    wait.expired = false;
    wait.stream = this;
    for (;;) {
      if (closed_) co_return fail(error_);
      if (&wait == &read_wait_ && (has_buffered() || pending_errno_ != 0)) co_return Result<>();
      error_code error;
      wait.deadline.arm(deadline, &TcpStream::on_expired, &wait);
      if (&wait == &read_wait_) {
        const asio::mutable_buffer room(first_, sizeof first_);
        const auto came = co_await socket_.async_receive(room, asio::as_tuple(asio::deferred));
        error = std::get<0>(came);
        took(std::get<1>(came), error);
      } else {
        const auto came =
            co_await socket_.async_wait(Socket::wait_write, asio::as_tuple(asio::deferred));
        error = std::get<0>(came);
      }
      wait.deadline.disarm();
      if (closed_) co_return fail(error_);
      if (wait.expired)
        co_return fail(ErrorKind::timeout, "no progress with " + remote_.to_string() + " in time");
      if (!error) co_return Result<>();
      if (error != asio::error::operation_aborted)
        co_return fail(ErrorKind::network, error.message());
    }
  }

  /// What a waiting read brought. An end or a failure is for the next read to tell.
  void took(std::size_t octets, error_code& error) {
    drained_ = false;
    if (error == asio::error::operation_aborted) return;
    first_at_ = 0;
    first_end_ = octets;
    drained_ = octets > 0 && octets < sizeof first_;
    if (error && error != asio::error::eof) pending_errno_ = error.value();
    error = {};
  }

  IoCount receive(std::span<char> into, int flags) {
    if (closed_) return closed_count();
    std::size_t early = std::min(into.size(), first_end_ - first_at_);
    std::memcpy(into.data(), first_ + first_at_, early);
    if (flags == 0) first_at_ += early;
    if (early == into.size() || (early > 0 && drained_)) return {IoState::done, early};
    const IoCount rest = receive_now(into.subspan(early), flags);
    if (early > 0 && rest.state != IoState::done) return {IoState::done, early};
    return {rest.state, early + rest.octets};
  }

  IoCount receive_now(std::span<char> into, int flags) {
    if (pending_errno_ != 0) {
      errno = std::exchange(pending_errno_, 0);
      return broken();
    }
    for (;;) {
      const ssize_t n =
          ::recv(socket_.native_handle(), into.data(), into.size(), flags | MSG_DONTWAIT);
      drained_ = n > 0 && flags == 0 && static_cast<std::size_t>(n) < into.size();
      if (n > 0) return {IoState::done, static_cast<std::size_t>(n)};
      if (n == 0) return {IoState::end_of_stream, 0};
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::want_read, 0};
      return broken();
    }
  }

  IoCount closed_count() const { return {IoState::failed, 0}; }
  IoCount broken() {
    const int reason = errno;
    error_ = {reason == ECONNRESET || reason == EPIPE ? ErrorKind::closed : ErrorKind::network,
              "connection with " + remote_.to_string() + ": " + describe_errno(reason)};
    return {IoState::failed, 0};
  }

  Socket socket_;
  Endpoint remote_, local_;
  Error error_;
  Wait read_wait_, write_wait_;
  bool closed_ = false;
  bool drained_ = false;
  int pending_errno_ = 0;
  std::size_t first_at_ = 0, first_end_ = 0;
  char first_[kFirstOctets];
};

/// Carries a connect's deadline.
struct ConnectAttempt {
  ConnectAttempt(asio::io_context& io, Timers& timers)
      : socket(io.get_executor()), deadline(timers) {}
  static void on_expired(void* argument) {
    auto* attempt = static_cast<ConnectAttempt*>(argument);
    attempt->expired = true;
    error_code ignored;
    attempt->socket.cancel(ignored);
  }
  Socket socket;
  Deadline deadline;
  bool expired = false;
};

class TcpConnector final : public Connector {
 public:
  TcpConnector(asio::io_context& io, Timers& timers) : io_(io), timers_(timers) {}

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, std::string source,
                                                SteadyTime deadline) override {
    const std::string what = "connect to " + to.to_string() + ": ";
    error_code error;
    const auto address = asio::ip::make_address(to.address, error);
    if (error) co_return fail(ErrorKind::invalid, what + "not an IP address");
    const tcp::endpoint endpoint(address, to.port);
    ConnectAttempt attempt(io_, timers_);
    attempt.socket.open(endpoint.protocol(), error);
    if (error) co_return fail(ErrorKind::network, what + error.message());
    if (!source.empty()) {
      const auto own = asio::ip::make_address(source, error);
      if (!error && own.is_v4() != address.is_v4()) {
        co_return fail(ErrorKind::network,
                       what + "source address " + source + " is of the other IP family");
      }
      if (!error) attempt.socket.bind(tcp::endpoint(own, 0), error);
      if (error)
        co_return fail(ErrorKind::network,
                       what + "source address " + source + ": " + error.message());
    }
    attempt.deadline.arm(deadline, &ConnectAttempt::on_expired, &attempt);
    co_await attempt.socket.async_connect(endpoint, asio::redirect_error(use_task, error));
    attempt.deadline.disarm();
    if (attempt.expired) co_return fail(ErrorKind::timeout, what + "no answer in time");
    if (error) co_return fail(ErrorKind::network, what + error.message());
    auto stream = std::make_unique<TcpStream>(std::move(attempt.socket), timers_);
    if (!stream->learn_remote())
      co_return fail(ErrorKind::network, what + "the connection is gone already");
    co_return std::unique_ptr<Stream>(std::move(stream));
  }

 private:
  asio::io_context& io_;
  Timers& timers_;
};

}  // namespace

std::unique_ptr<Connector> make_tcp_connector(asio::io_context& io, Timers& timers) {
  return std::make_unique<TcpConnector>(io, timers);
}

Result<std::unique_ptr<Stream>> adopt_socket(asio::io_context& io, Timers& timers, int socket_fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  const bool known = ::getsockname(socket_fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  Socket socket(io.get_executor());
  error_code error;
  if (known) socket.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), socket_fd, error);
  if (!known || error) {
    ::close(socket_fd);
    return fail(ErrorKind::network, "the connection was gone before we could take it");
  }
  auto stream = std::make_unique<TcpStream>(std::move(socket), timers);
  if (!stream->learn_remote())
    return fail(ErrorKind::network, "the connection was gone before we could take it");
  return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace waypost::net
