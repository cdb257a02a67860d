// Byte streams: TCP, TLS over any stream, and (tests) an in-memory one.
//
// A Stream reads and writes without waiting, and waits apart from that: so an idle connection holds
// no buffer, a coroutine frame is needed only when there is nothing to do, and OpenSSL can run on
// any stream, a simulated one too. One owner, one thread; one reader and one writer coroutine may
// wait at the same time. The free functions below are what sessions use.
#pragma once

#include "waypost/base/result.h"
#include "waypost/net/task.h"
#include "waypost/net/timers.h"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace waypost::net {

/// An IP address and port as text parts, already normalised ("2001:db8::1", IPv4-mapped addresses
/// shown as IPv4).
struct Endpoint {
  std::string address;
  std::uint16_t port = 0;
  std::string to_string() const;  // "192.0.2.1:25", "[2001:db8::1]:25"
  bool operator==(const Endpoint&) const = default;
};

enum class IoState : std::uint8_t { done, want_read, want_write, end_of_stream, failed };
struct IoCount {
  IoState state = IoState::done;
  std::size_t octets = 0;  // > 0 exactly when done
};

class Stream {
 public:
  virtual ~Stream() = default;
  /// Reads at most `into.size()` octets that are there already.
  virtual IoCount try_read(std::span<char> into) = 0;
  /// Writes what fits now, from the front of `from`.
  virtual IoCount try_write(std::span<const iovec> from) = 0;
  /// Suspends until reading (or writing) may succeed. timeout | closed | network | cancelled.
  virtual Task<Result<>> wait_readable(SteadyTime deadline) = 0;
  virtual Task<Result<>> wait_writable(SteadyTime deadline) = 0;
  /// The reason of the last `failed`.
  virtual Error last_error() const = 0;
  /// Ends waits with ErrorKind::cancelled; later operations fail. Does not block. TLS: sends
  /// close_notify if it can.
  virtual void close() = 0;
  virtual const Endpoint& remote() const = 0;
  virtual const Endpoint& local() const = 0;
  /// True if bytes wait inside the stream (read ahead or decrypted): no wait_readable needed.
  virtual bool has_buffered() const { return false; }
  /// True if the last read took all that was there: wait_readable before the next, which would most
  /// likely find nothing. Only a hint; try_read may be called at any time.
  virtual bool drained() const { return false; }
  /// Looks at unread bytes without taking them; only on plain streams, for the PROXY header.
  virtual IoCount try_peek(std::span<char> into) = 0;
};

/// Reads at least one octet. ErrorKind::closed at the end of the stream.
Task<Result<std::size_t>> read_some(Stream& stream, std::span<char> into, SteadyTime deadline);
/// Writes everything; `deadline` is for the whole. `from` is consumed (its entries are changed).
Task<Result<>> write_all(Stream& stream, std::span<iovec> from, SteadyTime deadline);
Task<Result<>> write_all(Stream& stream, std::string_view bytes, SteadyTime deadline);

/// Makes outgoing connections; a contract so that a simulation can own the network.
class Connector {
 public:
  virtual ~Connector() = default;
  /// `source`: local address to bind to, empty: any.
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, std::string source,
                                                        SteadyTime deadline) = 0;
};

/// TCP through the kernel, TCP_NODELAY set. One per shard.
std::unique_ptr<Connector> make_tcp_connector(boost::asio::io_context& io, Timers& timers);
/// Wraps an accepted socket (ownership passes). ErrorKind::network if it is already gone.
Result<std::unique_ptr<Stream>> adopt_socket(boost::asio::io_context& io, Timers& timers,
                                             int socket_fd);

/// Two connected in-memory streams for tests; each buffers at most `capacity` octets.
struct StreamPair {
  std::unique_ptr<Stream> a, b;
};
StreamPair make_memory_streams(boost::asio::io_context& io, Timers& timers,
                               std::size_t capacity = 64 * 1024);

}  // namespace waypost::net
