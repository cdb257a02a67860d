// Sessions over in-memory streams on one thread and a manual clock: every step of time and every
// octet is the test's.
#pragma once

#include "waypost/mail/envelope.h"
#include "waypost/net/tls.h"

#include "inbound/fakes.h"
#include "inbound/session.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <thread>

namespace waypost::inbound::testing {

class SessionFixture : public ::testing::Test {
 protected:
  class Client {
   public:
    Client(SessionFixture& world, std::unique_ptr<net::Stream> stream)
        : world_(world), stream_(std::move(stream)) {}
    /// Writes what the other side takes, at least once.
    std::size_t push(std::string_view bytes) {
      std::size_t done = 0;
      while (done < bytes.size()) {
        const iovec one{const_cast<char*>(bytes.data()) + done, bytes.size() - done};
        const net::IoCount count = stream_->try_write({&one, 1});
        world_.poll();
        if (count.state != net::IoState::done) {
          const net::IoCount again = stream_->try_write({&one, 1});
          world_.poll();
          if (again.state != net::IoState::done) break;
          done += again.octets;
          continue;
        }
        done += count.octets;
      }
      return done;
    }
    /// Says it and returns everything that is answered without time passing.
    std::string say(std::string_view bytes) {
      EXPECT_EQ(push(bytes), bytes.size());
      return hear();
    }
    std::string hear() {
      std::string heard;
      char buffer[65536];
      for (;;) {
        world_.poll();
        const net::IoCount count = stream_->try_read(buffer);
        if (count.state == net::IoState::done) {
          heard.append(buffer, count.octets);
          continue;
        }
        ended_ = count.state == net::IoState::end_of_stream || count.state == net::IoState::failed;
        return heard;
      }
    }
    /// True if the server closed; what it still said is lost.
    bool ended() {
      hear();
      return ended_;
    }
    void close() {
      stream_->close();
      world_.poll();
    }
    /// Lies in the pipe; the other side has not run yet.
    void push_unseen(std::string_view bytes) {
      const iovec one{const_cast<char*>(bytes.data()), bytes.size()};
      EXPECT_EQ(stream_->try_write({&one, 1}).octets, bytes.size());
    }
    /// The client is gone before the other side does anything.
    void push_and_close(std::string_view bytes) {
      push_unseen(bytes);
      close();
    }
    /// The handshake; an error if it fails.
    Result<> start_tls(std::shared_ptr<const net::TlsContext> context) {
      std::optional<Result<std::unique_ptr<net::TlsStream>>> out;
      boost::asio::co_spawn(world_.shard.io,
                            shake(std::move(stream_), std::move(context),
                                  world_.shard.timers.in(std::chrono::hours(1)), &out),
                            boost::asio::detached);
      world_.poll();
      if (!out) return fail(ErrorKind::timeout, "the handshake does not end");
      if (!*out) return fail(std::move(*out).error());
      stream_ = std::move(**out);
      world_.poll();
      return {};
    }

   private:
    static net::Task<> shake(std::unique_ptr<net::Stream> stream,
                             std::shared_ptr<const net::TlsContext> context, SteadyTime deadline,
                             std::optional<Result<std::unique_ptr<net::TlsStream>>>* out) {
      std::string host = "gw.corp.example";
      std::string key;
      auto secured = co_await net::tls_connect(std::move(stream), std::move(context),
                                               std::move(host), std::move(key), deadline);
      out->emplace(std::move(secured));
    }
    SessionFixture& world_;
    std::unique_ptr<net::Stream> stream_;
    bool ended_ = false;
  };

  explicit SessionFixture(std::size_t memory = 64 * 1024 * 1024) : budget(memory) {
    options.own_name = "gw.corp.example";
    options.admission.networks = {"192.0.2.0/24"};
    ListenerOptions listener;
    listener.tls = ListenerTls::none;
    options.listeners = {listener};
  }
  void TearDown() override {
    for (Session* session : std::vector<Session*>(door.sessions.begin(), door.sessions.end()))
      session->cut();
    EXPECT_TRUE(wait_for([this] { return door.sessions.empty(); }));
    EXPECT_EQ(shard.sessions.load(), 0u);
    EXPECT_EQ(budget.used(), 0u);
  }

  void poll() {
    shard.io.restart();
    shard.io.poll();
  }
  void advance(Duration by) {
    clock.advance(by);
    shard.timers.run_due();
    poll();
  }
  /// For what another thread does (password checks).
  template <class Condition>
  bool wait_for(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      poll();
      std::this_thread::yield();
    }
    return true;
  }
  Client connect(std::size_t listener = 0, std::size_t capacity = 64 * 1024) {
    auto settings = Settings::load(options);
    EXPECT_TRUE(settings) << (settings ? "" : settings.error().message);
    auto pair = net::make_memory_streams(shard.io, shard.timers, capacity);
    shard.sessions.fetch_add(1);
    auto session = std::make_unique<Session>(door, *settings, listener, std::move(pair.b));
    boost::asio::co_spawn(shard.io, run_session(std::move(session)), boost::asio::detached);
    return Client(*this, std::move(pair.a));
  }
  /// Greeted, and EHLO said.
  Client enter() {
    Client client = connect();
    poll();
    EXPECT_TRUE(client.hear().starts_with("220 gw.corp.example "));
    EXPECT_TRUE(client.say("EHLO ex1.corp.example\r\n").starts_with("250-gw.corp.example\r\n"));
    return client;
  }
  static constexpr std::string_view kToBob =
      "MAIL FROM:<ann@ext.example>\r\nRCPT TO:<bob@corp.example>\r\n";
  static std::string bdat(std::string_view content) {
    return "BDAT " + std::to_string(content.size()) + " LAST\r\n" + std::string(content);
  }
  /// Also after a poll: says whether a reply line is in it.
  static ::testing::AssertionResult has(const std::string& heard, std::string_view part) {
    if (heard.find(part) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "'" << part << "' is not in: " << heard;
  }
  std::uint64_t counted(const std::string& series) const {
    const std::string text = metrics.serialize();
    const auto at = text.find("\n" + series + " ");
    if (at == std::string::npos) return 0;
    return std::stoull(text.substr(at + series.size() + 2));
  }
  void stop_accepting() {
    door.stopping = true;
    for (Session* session : std::vector<Session*>(door.sessions.begin(), door.sessions.end()))
      session->stop();
    poll();
  }

  ManualClock clock;
  net::Shard shard{0, clock};
  MemoryBudget budget;
  ops::Metrics metrics;
  RecordingTracking tracking;
  FakeSpool spool{budget};
  routing::RouterHolder router{small_router()};
  QueueIdSource ids{clock, 0};
  std::vector<std::pair<spool::MessageRef, std::shared_ptr<const mail::Envelope>>> handed_over;
  Context context{
      {ShardContext{shard, ids,
                    [this](spool::MessageRef ref, std::shared_ptr<const mail::Envelope> envelope,
                           SteadyTime) { handed_over.emplace_back(ref, std::move(envelope)); }}},
      spool,
      router,
      budget,
      metrics,
      tracking};
  PasswordWorker passwords;
  ClientCounts clients;
  InboundMetrics numbers{metrics};
  ShardDoor door{context.shards.front(), context, passwords, clients, numbers};
  Options options;
};

}  // namespace waypost::inbound::testing
