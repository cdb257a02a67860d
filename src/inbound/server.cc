#include "waypost/inbound/server.h"

#include "waypost/ops/log.h"

#include "inbound/listener.h"
#include "inbound/session.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace waypost::inbound {
namespace {

namespace asio = boost::asio;

bool same_listeners(const Options& a, const Options& b) {
  return std::equal(a.listeners.begin(), a.listeners.end(), b.listeners.begin(), b.listeners.end(),
                    [](const ListenerOptions& x, const ListenerOptions& y) {
                      return x.address == y.address && x.port == y.port && x.tls == y.tls &&
                             x.backlog == y.backlog;
                    });
}

class SmtpServer final : public Server {
 public:
  SmtpServer(Context context, std::shared_ptr<const Settings> settings)
      : context_(std::move(context)), metrics_(context_.metrics), settings_(std::move(settings)) {
    for (auto& shard : context_.shards) {
      doors_.push_back(
          std::make_unique<ShardDoor>(shard, context_, passwords_, clients_, metrics_));
    }
  }

  Result<> open() {
    const auto settings = settings_.load();
    for (std::size_t i = 0; i < settings->options.listeners.size(); ++i) {
      auto listener = Listener::open(context_.shards.front().shard, settings->options.listeners[i],
                                     [this, i](int fd) { deal(fd, i); });
      if (!listener) return fail(std::move(listener).error());
      listeners_.push_back(std::move(*listener));
    }
    for (auto& listener : listeners_) listener->start();
    return {};
  }

  Result<> reload(Options options) override {
    if (!same_listeners(settings_.load()->options, options)) {
      return fail(ErrorKind::unsupported,
                  "listeners can't be changed while running; restart waypost for that");
    }
    auto settings = Settings::load(std::move(options));
    if (!settings) return fail(std::move(settings).error());
    settings_.store(*settings);
    return {};
  }

  std::vector<net::Endpoint> endpoints() const override {
    std::vector<net::Endpoint> list;
    for (const auto& listener : listeners_) list.push_back(listener->endpoint());
    return list;
  }

  void stop_accepting() override {
    asio::post(context_.shards.front().shard.io, [this] {
      for (auto& listener : listeners_) listener->close();
    });
    for (auto& door : doors_) {
      asio::post(door->context.shard.io, [&door = *door] {
        door.stopping = true;
        const std::vector<Session*> sessions(door.sessions.begin(), door.sessions.end());
        for (Session* session : sessions) session->stop();
      });
    }
  }

  void cancel() override {
    for (auto& door : doors_) {
      asio::post(door->context.shard.io, [&door = *door] {
        const std::vector<Session*> sessions(door.sessions.begin(), door.sessions.end());
        for (Session* session : sessions) session->cut();
      });
    }
  }

  std::size_t sessions() const override {
    std::size_t all = 0;
    for (const auto& shard : context_.shards)
      all += shard.shard.sessions.load(std::memory_order_relaxed);
    return all;
  }

 private:
  void deal(int fd, std::size_t listener) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < doors_.size(); ++i) {
      if (sessions_of(i) < sessions_of(best)) best = i;
    }
    net::Shard& shard = doors_[best]->context.shard;
    shard.sessions.fetch_add(1, std::memory_order_relaxed);
    if (best == 0) return begin(*doors_[0], fd, listener);
    asio::post(shard.io, [this, best, fd, listener] { begin(*doors_[best], fd, listener); });
  }

  std::uint32_t sessions_of(std::size_t i) const {
    return doors_[i]->context.shard.sessions.load(std::memory_order_relaxed);
  }

  void begin(ShardDoor& door, int fd, std::size_t listener) {
    net::Shard& shard = door.context.shard;
    auto stream = net::adopt_socket(shard.io, shard.timers, fd);
    if (!stream) {
      shard.sessions.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    auto session = std::make_unique<Session>(door, settings_.load(), listener, std::move(*stream));
    asio::co_spawn(shard.io, run_session(std::move(session)), asio::detached);
  }

  Context context_;
  InboundMetrics metrics_;
  std::atomic<std::shared_ptr<const Settings>> settings_;
  ClientCounts clients_;
  PasswordWorker passwords_;
  std::vector<std::unique_ptr<ShardDoor>> doors_;
  std::vector<std::shared_ptr<Listener>> listeners_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Options options, Context context) {
  auto settings = Settings::load(std::move(options));
  if (!settings) return fail(std::move(settings).error());
  auto server = std::make_unique<SmtpServer>(std::move(context), std::move(*settings));
  if (auto opened = server->open(); !opened) return fail(std::move(opened).error());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace waypost::inbound
