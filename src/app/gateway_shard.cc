#include "app/gateway_shard.h"

#include "waypost/ops/log.h"

#include <boost/asio/detached.hpp>

#include <pthread.h>

namespace waypost::app {
namespace asio = boost::asio;

GatewayShard::GatewayShard(unsigned index, SharedParts& parts, QueueId id_floor)
    : parts_(parts), shard_(index, parts.clock), ids_(parts.clock, index, id_floor) {}

GatewayShard::~GatewayShard() {
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<GatewayShard>> GatewayShard::make(unsigned index,
                                                         const config::Config& config,
                                                         SharedParts& parts, QueueId id_floor) {
  std::unique_ptr<GatewayShard> made(new GatewayShard(index, parts, id_floor));
  auto resolver = net::make_resolver(made->shard_.io, made->shard_.timers, config.dns);
  if (!resolver) return fail(std::move(resolver).error());
  made->resolver_ = std::move(*resolver);
  made->connector_ = net::make_tcp_connector(made->shard_.io, made->shard_.timers);
  auto deliverers = made->make_deliverers(config.next_hops);
  if (!deliverers) return fail(std::move(deliverers).error());
  made->deliverers_ = std::move(*deliverers);
  for (auto& [name, deliverer] : made->deliverers_) made->by_name_[name] = deliverer.get();
  made->queue_ = queue::Queue::make(
      config.queue,
      queue::Context{made->shard_, parts.spool, parts.router, made->by_name_, parts.metrics,
                     parts.tracking, made->ids_, parts.own_name, parts.remembered, parts.news});
  return made;
}

Result<Deliverers> GatewayShard::make_deliverers(
    const std::vector<outbound::NextHopOptions>& next_hops) {
  Deliverers made;
  for (const auto& options : next_hops) {
    auto& pace = parts_.paces[options.name];
    if (!pace) pace = std::make_shared<outbound::Pace>();
    auto deliverer = outbound::Deliverer::make(
        options,
        outbound::DelivererContext{shard_, *connector_, *resolver_, parts_.spool, parts_.metrics,
                                   parts_.own_name, parts_.is_self, pace, parts_.told});
    if (!deliverer) {
      return fail(deliverer.error().kind,
                  "next hop " + options.name + ": " + deliverer.error().message);
    }
    made[options.name] = std::move(*deliverer);
  }
  return made;
}

void GatewayShard::replace_deliverers(Deliverers deliverers) {
  auto shared = std::make_shared<Deliverers>(std::move(deliverers));
  asio::post(shard_.io, [this, shared] {
    std::erase_if(retired_, [](const Deliverers& old) {
      return std::all_of(old.begin(), old.end(),
                         [](const auto& entry) { return entry.second->idle(); });
    });
    for (auto& [name, old] : deliverers_) old->close_idle();
    retired_.push_back(std::move(deliverers_));
    deliverers_ = std::move(*shared);
    by_name_.clear();
    for (auto& [name, deliverer] : deliverers_) by_name_[name] = deliverer.get();
    queue_->routes_changed();
  });
}

void GatewayShard::routes_changed() {
  asio::post(shard_.io, [this] { queue_->routes_changed(); });
}

void GatewayShard::apply_wave(const std::string& wave, std::shared_ptr<WaveMoves> moves) {
  asio::post(shard_.io, [this, wave, moves = std::move(moves)] { ask_slice(wave, moves, 0); });
}

/// Mail goes on between two slices.
void GatewayShard::ask_slice(const std::string& wave, const std::shared_ptr<WaveMoves>& moves,
                             std::uint32_t from) {
  const auto done = queue_->ask_again(wave, queue::Slice{from});
  if (moves) moves->add(done);
  if (done.next == 0) return;
  asio::post(shard_.io, [this, wave, moves, next = done.next] { ask_slice(wave, moves, next); });
}

void GatewayShard::ask_mx(const std::string& domain, std::chrono::milliseconds patience,
                          std::function<void(Result<net::MxAnswer>)> done) {
  asio::post(shard_.io, [this, domain, patience, done = std::move(done)] {
    asio::co_spawn(shard_.io, answer_mx(domain, shard_.timers.now() + patience, done),
                   asio::detached);
  });
}

net::Task<void> GatewayShard::answer_mx(std::string domain, SteadyTime deadline,
                                        std::function<void(Result<net::MxAnswer>)> done) {
  auto answer = co_await resolver_->mx(std::move(domain), deadline);
  done(std::move(answer));
}

void GatewayShard::replace_options(queue::Options options) {
  asio::post(shard_.io, [this, options = std::move(options)]() mutable {
    queue_->replace_options(std::move(options));
  });
}

net::Task<void> GatewayShard::run_queue() {
  co_await queue_->run();
  queue_finished_.store(true, std::memory_order_release);
}

void GatewayShard::start() {
  work_.emplace(shard_.io.get_executor());
  asio::co_spawn(shard_.io, shard_.timers.drive(), asio::detached);
  asio::co_spawn(shard_.io, run_queue(), asio::detached);
  last_beat_ns_.store(shard_.timers.now().time_since_epoch().count());
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), ("shard-" + std::to_string(shard_.index)).c_str());
    shard_.io.run();
    thread_ended_.release();
  });
}

void GatewayShard::stop_queue() {
  asio::post(shard_.io, [this] { queue_->stop(); });
}

void GatewayShard::cancel_deliveries() {
  asio::post(shard_.io, [this] {
    for (auto& [name, deliverer] : deliverers_) deliverer->cancel();
    for (auto& old : retired_) {
      for (auto& [name, deliverer] : old) deliverer->cancel();
    }
  });
}

void GatewayShard::release() {
  asio::post(shard_.io, [this] {
    for (auto& [name, deliverer] : deliverers_) deliverer->close_idle();
    shard_.timers.stop();
    work_.reset();
  });
}

bool GatewayShard::join_by(SteadyTime deadline) {
  if (!thread_.joinable()) return true;
  if (!thread_ended_.try_acquire_until(deadline)) return false;
  thread_.join();
  return true;
}

std::future<void> GatewayShard::tell_queue(std::function<void(queue::Queue&)> tell) {
  auto told = std::make_shared<std::promise<void>>();
  auto coming = told->get_future();
  asio::post(shard_.io, [this, told, tell = std::move(tell)] {
    tell(*queue_);
    told->set_value();
  });
  return coming;
}

void GatewayShard::request_beat() {
  asio::post(shard_.io,
             [this] { last_beat_ns_.store(shard_.timers.now().time_since_epoch().count()); });
}

SteadyTime GatewayShard::last_beat() const {
  return SteadyTime(std::chrono::nanoseconds(last_beat_ns_.load()));
}

}  // namespace waypost::app
