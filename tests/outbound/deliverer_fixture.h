// Servers of a few lines, over streams in memory, on a clock of the test's own.
#pragma once

#include "waypost/outbound/deliverer.h"

#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace waypost::outbound {

/// How a host behaves; kept by address.
struct Host {
  bool refuses = false;
  bool unreachable = false;  // connects never
  bool hangs = false;        // accepts and says nothing
  std::string silent_at;     // does not answer this verb
  std::string greeting = "220 mx.example ESMTP\r\n";
  std::string ehlo = "250-mx.example\r\n250 ENHANCEDSTATUSCODES\r\n";
  std::map<std::string, std::string> replies;  // by verb; "." is the verdict
  Duration reads_every{};                      // content: so long between two reads of 4 KiB
  std::string drips_at;     // answers this verb octet by octet, a second each, for ever
  std::string cut_at;       // closes instead of answering this verb
  std::string last_words;   // says this in the middle of the content
  bool stays = false;       // and does not close, but reads no more
  int closes_after = 0;     // so many messages: then closes silently
  bool knows_bdat = true;   // else its octets are commands, too
  std::size_t takes = 0;    // recipients in a transaction, then 452; 0: all
  bool one_domain = false;  // in a transaction; the others get 452
};

class Content final : public spool::ContentReader {
 public:
  Content(const std::string& text, bool unreadable) : text_(text), unreadable_(unreadable) {}
  std::uint64_t size() const override { return text_.size(); }
  Result<std::string_view> next() override {
    if (!std::exchange(done_, true)) return std::string_view(text_);
    if (unreadable_) return fail(ErrorKind::io, "bad sector");
    return std::string_view();
  }

 private:
  const std::string& text_;
  bool unreadable_;
  bool done_ = false;
};

class ReadOnlySpool final : public spool::Spool {
 public:
  std::string content = "Subject: x\r\n\r\nbody\r\n";
  bool unreadable = false;  // behind that
  bool has_room() const override { return true; }
  bool read_only() const override { return false; }
  std::unique_ptr<spool::IncomingMessage> begin(net::Executor) override { return nullptr; }
  void settle(const spool::MessageRef&, std::uint32_t, spool::Settlement) override {}
  void set_held(const spool::MessageRef&, bool) override {}
  Result<spool::StoredMessage> load(const spool::MessageRef&) override {
    return fail(ErrorKind::not_found, "not kept");
  }
  Result<std::unique_ptr<spool::ContentReader>> read(const spool::MessageRef&) override {
    return std::unique_ptr<spool::ContentReader>(std::make_unique<Content>(content, unreadable));
  }
  void forget_content(const spool::MessageRef&) override {}
  spool::SpoolHealth health() const override { return {}; }
  void close() override {}
};

class DelivererTest : public ::testing::Test, public net::Connector, public net::Resolver {
 protected:
  ManualClock clock;
  net::Shard shard{0, clock};
  ReadOnlySpool spool;
  ops::Metrics metrics;
  NextHopOptions options;
  std::map<std::string, Host> hosts;  // by address, which is the name here
  std::map<std::string, Result<net::MxAnswer>> mx_answers;
  std::map<std::string, std::vector<std::string>> host_addresses;  // by name; else the name itself
  std::map<std::string, Error> look_up_failures;                   // of addresses, by host name
  std::vector<std::string> connects, commands;
  std::vector<SteadyTime> mails;  // when each MAIL came
  std::unique_ptr<Deliverer> deliverer;
  std::string self;
  int patience = 0;  // how many steps of 50 ms an attempt may take

  DelivererTest() {
    options.name = "hop";
    options.hosts = {{"10.0.0.1", 25}, {"10.0.0.2", 25}};
    options.tls.policy = net::TlsPolicy::none;
    hosts["10.0.0.1"];
    hosts["10.0.0.2"];
  }
  ~DelivererTest() override {
    if (deliverer) deliverer->cancel();
    settle();
    deliverer.reset();
    settle();
  }

  net::Task<Result<std::unique_ptr<net::Stream>>> connect(net::Endpoint to, std::string,
                                                          SteadyTime until) override {
    connects.push_back(to.address);
    const auto found = hosts.find(to.address);
    if (found != hosts.end() && found->second.unreachable) {
      (void)co_await shard.timers.sleep_until(until);
      co_return fail(ErrorKind::timeout, to.address + ": no answer in time");
    }
    if (found == hosts.end() || found->second.refuses)
      co_return fail(ErrorKind::network, to.address + ": connection refused");
    auto pair = net::make_memory_streams(shard.io, shard.timers);
    boost::asio::co_spawn(shard.io, serve(std::move(pair.b), &found->second),
                          boost::asio::detached);
    co_return std::move(pair.a);
  }
  net::Task<Result<net::MxAnswer>> mx(std::string domain, SteadyTime) override {
    const auto found = mx_answers.find(domain);
    if (found == mx_answers.end()) co_return fail(ErrorKind::not_found, domain + " is unknown");
    co_return found->second;
  }
  net::Task<Result<std::vector<std::string>>> addresses(std::string host, SteadyTime) override {
    const auto failure = look_up_failures.find(host);
    if (failure != look_up_failures.end()) co_return fail(failure->second);
    const auto found = host_addresses.find(host);
    if (found != host_addresses.end()) co_return found->second;
    co_return std::vector<std::string>{host};
  }
  void flush() override {}

  net::Task<Result<>> say(net::Stream& stream, const std::string& words) {
    const std::string_view bytes = words;
    co_return co_await net::write_all(stream, bytes, SteadyTime::max());
  }
  net::Task<void> serve(std::unique_ptr<net::Stream> stream, const Host* host) {
    if (!host->hangs) {
      const auto greeted = co_await say(*stream, host->greeting);
      if (!greeted) co_return;
    }
    std::string unread, domain;
    std::size_t recipients = 0;
    bool content = false;
    int messages = 0;
    for (;;) {
      char bytes[4096];
      if (content && host->reads_every > Duration::zero()) {
        const auto slept = co_await shard.timers.sleep_until(shard.timers.in(host->reads_every));
        if (!slept) co_return;
      }
      const auto got = co_await net::read_some(*stream, bytes, SteadyTime::max());
      if (!got) co_return;
      unread.append(bytes, *got);
      for (auto end = unread.find("\r\n"); end != std::string::npos; end = unread.find("\r\n")) {
        const std::string line = unread.substr(0, end);
        unread.erase(0, end + 2);
        if (content && !host->last_words.empty()) {
          const auto said = co_await say(*stream, host->last_words);
          if (said && host->stays) (void)co_await shard.timers.sleep_until(SteadyTime::max());
          co_return stream->close();
        }
        if (content && line != ".") continue;
        const std::string verb = content ? "." : line.substr(0, 4);
        content = false;
        commands.push_back(line);
        if (verb == "MAIL") mails.push_back(clock.steady_now());
        if (verb == "MAIL") recipients = 0;
        if (verb == host->silent_at) continue;
        if (verb == "BDAT" && host->knows_bdat) {
          const std::size_t size = std::stoul(line.substr(5));
          while (unread.size() < size) {
            const auto more = co_await net::read_some(*stream, bytes, SteadyTime::max());
            if (!more) co_return;
            unread.append(bytes, *more);
          }
          unread.erase(0, size);
        }
        for (bool alive = verb == host->drips_at; alive;) {
          const auto dripped = co_await say(*stream, "250-still here\r\n");
          const auto slept =
              co_await shard.timers.sleep_until(shard.timers.in(std::chrono::seconds(1)));
          alive = dripped && slept;
        }
        if (verb == host->cut_at) co_return stream->close();
        std::string reply = "250 2.0.0 fine\r\n";
        if (verb == "EHLO") reply = host->ehlo;
        if (verb == "DATA") reply = "354 go on\r\n";
        if (verb == "RCPT") {
          const std::string to = line.substr(line.find('@'));
          if (recipients == 0) domain = to;
          const bool full = host->takes != 0 && recipients == host->takes;
          const bool other = host->one_domain && to != domain;
          if (full || other) reply = "452 4.5.3 not in this transaction\r\n";
          if (!full && !other) ++recipients;
        }
        if (host->replies.count(verb) != 0) reply = host->replies.at(verb);
        content = verb == "DATA" && reply.starts_with("354");
        const auto said = co_await say(*stream, reply);
        if (!said || verb == "QUIT") co_return stream->close();
        if ((verb == "." || verb == "BDAT") && ++messages == host->closes_after)
          co_return stream->close();
      }
    }
  }
  void settle() {
    for (std::size_t ran = 1; ran > 0;) {
      shard.timers.run_due();
      shard.io.restart();
      ran = shard.io.poll();
    }
  }
  void make() {
    DelivererContext context{
        shard, *this, *this, spool, metrics, "gw.corp.example", [this](const net::Endpoint& at) {
          return at.address == self;
        }};
    auto made = Deliverer::make(options, std::move(context));
    ASSERT_TRUE(made) << made.error().message;
    deliverer = std::move(*made);
  }
  net::Task<void> keep(AttemptInput input, std::optional<AttemptResult>* into) {
    into->emplace(co_await deliverer->attempt(std::move(input)));
  }
  virtual void change(mail::Envelope&) {}  // what a test wants otherwise
  AttemptInput input(const std::vector<std::string>& targets) {
    auto envelope = std::make_shared<mail::Envelope>();
    envelope->reverse_path = mail::Mailbox{"sender", "outside.example"};
    envelope->content_size = 20;
    change(*envelope);
    AttemptInput made;
    for (const std::string& target : targets) {
      const auto at = target.find('@');
      mail::Recipient recipient;
      recipient.original = {target.substr(0, at), target.substr(at + 1)};
      recipient.target = recipient.original;
      made.recipients.push_back(
          {static_cast<std::uint32_t>(envelope->recipients.size()), recipient.target});
      envelope->recipients.push_back(recipient);
    }
    made.envelope = envelope;
    return made;
  }
  AttemptResult attempt(const std::vector<std::string>& targets = {"bob@t.example"}) {
    if (!deliverer) make();
    std::optional<AttemptResult> result;
    boost::asio::co_spawn(shard.io, keep(input(targets), &result), boost::asio::detached);
    settle();
    for (int steps = 0; !result && steps < patience; ++steps) {
      clock.advance(std::chrono::milliseconds(50));
      settle();
    }
    EXPECT_TRUE(result);
    return result.value_or(AttemptResult{});
  }
  std::size_t said(const std::string& start) const {
    std::size_t count = 0;
    for (const auto& line : commands) count += line.starts_with(start) ? 1 : 0;
    return count;
  }
};

}  // namespace waypost::outbound
