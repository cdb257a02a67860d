// A stream around another that counts, and that can be cut or made to trickle, for tests.
#pragma once

#include "waypost/net/stream.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>

namespace waypost::net::testing {

/// Shared with the test, which outlives the stream.
struct Faults {
  std::size_t cut_after_written = std::numeric_limits<std::size_t>::max();  // octets, then: closed
  std::size_t most_per_call = std::numeric_limits<std::size_t>::max();
  std::size_t written = 0, reads = 0, writes = 0;  // calls that moved octets
  bool cut = false;
};

class FaultyStream final : public Stream {
 public:
  FaultyStream(std::unique_ptr<Stream> inner, Faults& faults)
      : inner_(std::move(inner)), faults_(faults) {}

  IoCount try_read(std::span<char> into) override {
    const IoCount count =
        inner_->try_read(into.first(std::min(into.size(), faults_.most_per_call)));
    if (count.state == IoState::done) ++faults_.reads;
    return count;
  }
  IoCount try_write(std::span<const iovec> list) override {
    std::size_t room = std::min(faults_.most_per_call, faults_.cut_after_written - faults_.written);
    if (room == 0 && !faults_.cut) {
      faults_.cut = true;
      inner_->close();
    }
    if (faults_.cut) return {IoState::failed, 0};
    std::vector<iovec> fitting;
    for (iovec entry : list) {
      entry.iov_len = std::min(entry.iov_len, room);
      room -= entry.iov_len;
      if (entry.iov_len > 0) fitting.push_back(entry);
    }
    const IoCount count = inner_->try_write(fitting);
    faults_.written += count.octets;
    if (count.state == IoState::done) ++faults_.writes;
    return count;
  }
  IoCount try_peek(std::span<char> into) override { return inner_->try_peek(into); }
  Task<Result<>> wait_readable(SteadyTime deadline) override {
    return inner_->wait_readable(deadline);
  }
  Task<Result<>> wait_writable(SteadyTime deadline) override {
    return inner_->wait_writable(deadline);
  }
  Error last_error() const override { return inner_->last_error(); }
  void close() override { inner_->close(); }
  const Endpoint& remote() const override { return inner_->remote(); }
  const Endpoint& local() const override { return inner_->local(); }
  bool has_buffered() const override { return inner_->has_buffered(); }

 private:
  std::unique_ptr<Stream> inner_;
  Faults& faults_;
};

}  // namespace waypost::net::testing
