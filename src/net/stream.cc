#include "waypost/net/stream.h"

namespace waypost::net {
namespace {

/// Drops the first `octets` of the gather list.
std::span<iovec> consume(std::span<iovec> list, std::size_t octets) {
  while (!list.empty() && octets >= list.front().iov_len) {
    octets -= list.front().iov_len;
    list = list.subspan(1);
  }
  if (!list.empty() && octets > 0) {
    list.front().iov_base = static_cast<char*>(list.front().iov_base) + octets;
    list.front().iov_len -= octets;
  }
  return list;
}

}  // namespace

std::string Endpoint::to_string() const {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Task<Result<std::size_t>> read_some(Stream& stream, std::span<char> into, SteadyTime deadline) {
  if (stream.drained()) {
    auto ready = co_await stream.wait_readable(deadline);
    if (!ready) co_return fail(std::move(ready).error());
  }
  for (;;) {
    const IoCount count = stream.try_read(into);
    if (count.state == IoState::done) co_return count.octets;
    if (count.state == IoState::end_of_stream)
      co_return fail(ErrorKind::closed, "the peer closed the connection");
    if (count.state == IoState::failed) co_return fail(stream.last_error());
    Result<> ready;
    if (count.state == IoState::want_write) {
      ready = co_await stream.wait_writable(deadline);
    } else {
      ready = co_await stream.wait_readable(deadline);
    }
    if (!ready) co_return fail(std::move(ready).error());
  }
}

Task<Result<>> write_all(Stream& stream, std::span<iovec> list, SteadyTime deadline) {
  list = consume(list, 0);
  while (!list.empty()) {
    const IoCount count = stream.try_write(list);
    if (count.state == IoState::done) {
      list = consume(list, count.octets);
      continue;
    }
    if (count.state == IoState::end_of_stream)
      co_return fail(ErrorKind::closed, "the peer closed the connection");
    if (count.state == IoState::failed) co_return fail(stream.last_error());
    Result<> ready;
    if (count.state == IoState::want_read) {
      ready = co_await stream.wait_readable(deadline);
    } else {
      ready = co_await stream.wait_writable(deadline);
    }
    if (!ready) co_return fail(std::move(ready).error());
  }
  co_return Result<>();
}

Task<Result<>> write_all(Stream& stream, std::string_view bytes, SteadyTime deadline) {
  iovec one{const_cast<char*>(bytes.data()), bytes.size()};
  const std::span<iovec> list(&one, 1);
  co_return co_await write_all(stream, list, deadline);
}

}  // namespace waypost::net
