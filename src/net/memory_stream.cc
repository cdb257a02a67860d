// Two connected streams in memory, for tests and simulation.
#include "waypost/net/stream.h"

namespace waypost::net {
namespace {

/// One direction.
struct Pipe {
  explicit Pipe(std::size_t capacity_) : capacity(capacity_) {}
  std::string bytes;
  std::size_t capacity;
  bool writer_closed = false, reader_closed = false;
  Timers::Sleeper* reader = nullptr;
  Timers::Sleeper* writer = nullptr;
  void wake_reader() const {
    if (reader != nullptr) reader->wake();
  }
  void wake_writer() const {
    if (writer != nullptr) writer->wake();
  }
};

class MemoryStream final : public Stream {
 public:
  MemoryStream(Timers& timers, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local,
               Endpoint remote)
      : timers_(timers),
        in_(std::move(in)),
        out_(std::move(out)),
        read_sleep_(timers),
        write_sleep_(timers),
        local_(std::move(local)),
        remote_(std::move(remote)) {
    in_->reader = &read_sleep_;
    out_->writer = &write_sleep_;
  }
  ~MemoryStream() override {
    shut();
    in_->reader = nullptr;
    out_->writer = nullptr;
  }

  IoCount try_read(std::span<char> into) override {
    const IoCount count = try_peek(into);
    if (count.state == IoState::done) {
      in_->bytes.erase(0, count.octets);
      in_->wake_writer();
    }
    return count;
  }
  IoCount try_peek(std::span<char> into) override {
    if (closed_) return {IoState::failed, 0};
    const std::size_t n = std::min(into.size(), in_->bytes.size());
    if (n > 0) {
      std::copy_n(in_->bytes.data(), n, into.data());
      return {IoState::done, n};
    }
    return {in_->writer_closed ? IoState::end_of_stream : IoState::want_read, 0};
  }
  IoCount try_write(std::span<const iovec> list) override {
    if (closed_ || out_->reader_closed) return {IoState::failed, 0};
    std::size_t written = 0;
    for (const iovec& entry : list) {
      const std::size_t n = std::min(entry.iov_len, out_->capacity - out_->bytes.size());
      out_->bytes.append(static_cast<const char*>(entry.iov_base), n);
      written += n;
      if (n < entry.iov_len) break;
    }
    if (written == 0) return {IoState::want_write, 0};
    out_->wake_reader();
    return {IoState::done, written};
  }
  Task<Result<>> wait_readable(SteadyTime deadline) override {
    while (!closed_ && in_->bytes.empty() && !in_->writer_closed) {
      if (timers_.now() >= deadline) co_return fail(ErrorKind::timeout, "nothing came in time");
      auto slept = co_await read_sleep_.sleep_until(deadline);
      if (!slept) co_return slept;
    }
    if (closed_) co_return fail(last_error());
    co_return Result<>();
  }
  Task<Result<>> wait_writable(SteadyTime deadline) override {
    while (!closed_ && out_->bytes.size() >= out_->capacity && !out_->reader_closed) {
      if (timers_.now() >= deadline)
        co_return fail(ErrorKind::timeout, "nothing was taken in time");
      auto slept = co_await write_sleep_.sleep_until(deadline);
      if (!slept) co_return slept;
    }
    if (closed_) co_return fail(last_error());
    co_return Result<>();
  }
  Error last_error() const override {
    return closed_ ? Error{ErrorKind::cancelled, "the connection was closed by us"}
                   : Error{ErrorKind::closed, "the peer is gone"};
  }
  void close() override {
    shut();
    read_sleep_.wake();
    write_sleep_.wake();
  }
  const Endpoint& remote() const override { return remote_; }
  const Endpoint& local() const override { return local_; }

 private:
  void shut() {
    closed_ = true;
    out_->writer_closed = true;
    in_->reader_closed = true;
    out_->wake_reader();
    in_->wake_writer();
  }
  Timers& timers_;
  std::shared_ptr<Pipe> in_, out_;
  Timers::Sleeper read_sleep_, write_sleep_;
  Endpoint local_, remote_;
  bool closed_ = false;
};

}  // namespace

StreamPair make_memory_streams(boost::asio::io_context&, Timers& timers, std::size_t capacity) {
  const auto there = std::make_shared<Pipe>(capacity);
  const auto back = std::make_shared<Pipe>(capacity);
  const Endpoint a{"192.0.2.1", 50000};
  const Endpoint b{"192.0.2.2", 25};
  return {std::make_unique<MemoryStream>(timers, back, there, a, b),
          std::make_unique<MemoryStream>(timers, there, back, b, a)};
}

}  // namespace waypost::net
