#include "sim/network.h"

#include <algorithm>

namespace waypost::sim {

/// What the gateway holds of a Link.
class GatewayEnd final : public net::Stream {
 public:
  GatewayEnd(std::shared_ptr<Link> link, net::Timers& timers, net::Endpoint local,
             net::Endpoint remote)
      : link_(std::move(link)),
        timers_(timers),
        reads_(timers),
        writes_(timers),
        local_(std::move(local)),
        remote_(std::move(remote)) {
    link_->end_ = this;
  }
  ~GatewayEnd() override {
    close();
    link_->end_ = nullptr;
  }

  net::IoCount try_peek(std::span<char> into) override {
    if (unusable()) return {net::IoState::failed, 0};
    const std::size_t octets = std::min(into.size(), link_->readable_.size());
    if (octets > 0) {
      std::copy_n(link_->readable_.data(), octets, into.data());
      return {net::IoState::done, octets};
    }
    if (link_->reset_) return {net::IoState::failed, 0};
    return {link_->end_seen_ ? net::IoState::end_of_stream : net::IoState::want_read, 0};
  }
  net::IoCount try_read(std::span<char> into) override {
    const net::IoCount count = try_peek(into);
    if (count.state != net::IoState::done) return count;
    link_->readable_.erase(0, count.octets);
    link_->read_ += count.octets;
    auto& marks = link_->marks_;
    while (!marks.empty() && marks.front().first <= link_->read_) {
      marks.front().second();
      marks.erase(marks.begin());
    }
    return count;
  }
  net::IoCount try_write(std::span<const iovec> from) override {
    if (unusable() || link_->broken_ || link_->peer_closed_) return {net::IoState::failed, 0};
    std::size_t written = 0;
    for (const iovec& piece : from) {
      const std::size_t room =
          link_->capacity_ - std::min(link_->capacity_, link_->out_.flying.size());
      const std::size_t octets = std::min(piece.iov_len, room);
      link_->out_.flying.append(static_cast<const char*>(piece.iov_base), octets);
      written += octets;
      if (octets < piece.iov_len) break;
    }
    if (written == 0) return {net::IoState::want_write, 0};
    link_->set_moving(link_->out_);
    return {net::IoState::done, written};
  }
  net::Task<Result<>> wait_readable(SteadyTime deadline) override {
    while (!unusable() && link_->readable_.empty() && !link_->end_seen_ && !link_->reset_) {
      if (timers_.now() >= deadline) co_return fail(ErrorKind::timeout, "nothing came in time");
      auto slept = co_await reads_.sleep_until(deadline);
      if (!slept) co_return slept;
    }
    co_return usable();
  }
  net::Task<Result<>> wait_writable(SteadyTime deadline) override {
    while (!unusable() && !link_->broken_ && !link_->peer_closed_ &&
           link_->out_.flying.size() >= link_->capacity_) {
      if (timers_.now() >= deadline) co_return fail(ErrorKind::timeout, "nothing was taken");
      auto slept = co_await writes_.sleep_until(deadline);
      if (!slept) co_return slept;
    }
    co_return usable();
  }
  Error last_error() const override {
    if (closed_) return {ErrorKind::cancelled, "the connection was closed by us"};
    return {ErrorKind::network, "the connection is broken"};
  }
  void close() override {
    if (closed_) return;
    closed_ = true;
    reads_.wake();
    writes_.wake();
    if (link_->dead_) return;
    link_->gateway_closed_ = true;
    if (link_->broken_ || link_->peer_closed_) return;
    // With unread octets a kernel resets, and what was on its way may be lost.
    if (link_->stage_.chance.odds(link_->stage_.weather.lost_close)) link_->out_.flying.clear();
    link_->out_.ends = true;
    link_->set_moving(link_->out_);
  }
  const net::Endpoint& remote() const override { return remote_; }
  const net::Endpoint& local() const override { return local_; }
  void wake() {
    reads_.wake();
    writes_.wake();
  }

 private:
  bool unusable() const { return closed_ || link_->dead_; }
  Result<> usable() const {
    if (unusable()) return fail(last_error());
    return {};
  }
  std::shared_ptr<Link> link_;
  net::Timers& timers_;
  net::Timers::Sleeper reads_, writes_;
  net::Endpoint local_, remote_;
  bool closed_ = false;
};

std::unique_ptr<net::Stream> Link::open(net::Timers& timers, net::Endpoint local,
                                        net::Endpoint remote) {
  return std::make_unique<GatewayEnd>(shared_from_this(), timers, std::move(local),
                                      std::move(remote));
}

void Link::draw_troubles() {
  Chance& chance = stage_.chance;
  const Weather& weather = stage_.weather;
  dribbles_ = chance.odds(weather.dribble);
  if (chance.odds(0.2)) capacity_ = 1 + chance.below(3000);
  if (chance.odds(weather.cut)) {
    const std::uint64_t most = chance.odds(0.5) ? 400 : 8000;
    (chance.odds(0.5) ? in_ : out_).limit = chance.below(most);
    falls_silent_ = chance.odds(weather.silence);
  }
}

void Link::set_moving(Way& way) {
  if (way.moving || dead_ || broken_ || silent_) return;
  way.moving = true;
  const Duration late = stage_.chance.span(Duration(50), stage_.weather.latency);
  stage_.agenda.at(stage_.in(late), [self = shared_from_this(), &way] { self->arrive(way); });
}

void Link::arrive(Way& way) {
  way.moving = false;
  if (broken_ || silent_) return;
  const bool to_gateway = &way == &in_;
  if (dead_ && to_gateway) return;
  std::size_t octets = way.flying.size();
  if (dribbles_ && !dead_) octets = std::min(octets, 1 + stage_.chance.below(200));
  const bool reaches_limit = way.limit - way.arrived <= octets;
  if (reaches_limit) octets = static_cast<std::size_t>(way.limit - way.arrived);
  std::string bytes = way.flying.substr(0, octets);
  way.flying.erase(0, octets);
  way.arrived += octets;
  if (to_gateway) {
    readable_ += bytes;
  } else if (!peer_closed_ && !bytes.empty()) {
    peer_.on_bytes(bytes);
  }
  if (reaches_limit) return break_here();
  if (!way.flying.empty()) {
    set_moving(way);
  } else if (way.ends) {
    if (to_gateway) end_seen_ = true;
    if (!to_gateway) tell_peer_of_end(Duration(0));
  }
  wake();
}

void Link::break_here() {
  stage_.journal.note("a connection {} after {} octets in, {} out",
                      falls_silent_ ? "falls silent" : "breaks", in_.arrived, out_.arrived);
  if (falls_silent_) {
    silent_ = true;
    return tell_peer_of_end(stage_.chance.span(minutes(1), hours(1)));
  }
  broken_ = true;
  if (stage_.chance.odds(0.5)) readable_.clear();
  reset_ = stage_.chance.odds(0.5);
  end_seen_ = true;
  tell_peer_of_end(stage_.chance.span(Duration(50), seconds(10)));
  wake();
}

void Link::tell_peer_of_end(Duration after) {
  if (std::exchange(peer_told_, true)) return;
  stage_.agenda.at(stage_.in(after), [self = shared_from_this()] {
    if (std::exchange(self->peer_closed_, true)) return;
    self->peer_.on_end();
    self->wake();
  });
}

void Link::wake() {
  if (end_ != nullptr && !dead_) end_->wake();
}

void Link::gateway_died() {
  if (std::exchange(dead_, true)) return;
  gateway_closed_ = true;
  if (end_ != nullptr) end_->wake();
  // What had left the machine may still arrive.
  if (stage_.chance.odds(0.5)) out_.flying.clear();
  out_.ends = true;
  if (!broken_ && !silent_ && !out_.moving) {
    out_.moving = true;
    const Duration late = stage_.chance.span(milliseconds(1), minutes(5));
    stage_.agenda.at(stage_.in(late), [self = shared_from_this()] { self->arrive(self->out_); });
  }
}

void Link::say(std::string_view bytes) {
  said_ += bytes.size();
  if (peer_closed_ || dead_ || gateway_closed_) return;
  in_.flying += bytes;
  set_moving(in_);
}

void Link::hang_up() {
  if (std::exchange(peer_closed_, true)) return;
  in_.ends = true;
  set_moving(in_);
  wake();
}

void Link::when_read(std::uint64_t octets, Agenda::Deed deed) {
  marks_.emplace_back(octets, std::move(deed));
}

}  // namespace waypost::sim
