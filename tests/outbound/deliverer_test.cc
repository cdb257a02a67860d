// One attempt against servers of a few lines, over streams in memory, on a clock of the test's own.
#include "waypost/outbound/deliverer.h"

#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace waypost::outbound {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

/// How a host behaves; kept by address.
struct Host {
  bool refuses = false;
  bool hangs = false;  // accepts and says nothing
  std::string greeting = "220 mx.example ESMTP\r\n";
  std::string ehlo = "250-mx.example\r\n250 ENHANCEDSTATUSCODES\r\n";
  std::map<std::string, std::string> replies;  // by verb; "." is the verdict
  std::string cut_at;                          // closes instead of answering this verb
  int closes_after = 0;                        // so many messages: then closes silently
};

class Content final : public spool::ContentReader {
 public:
  std::uint64_t size() const override { return 20; }
  Result<std::string_view> next() override {
    return std::exchange(done_, true) ? std::string_view() : "Subject: x\r\n\r\nbody\r\n";
  }

 private:
  bool done_ = false;
};

class ReadOnlySpool final : public spool::Spool {
 public:
  bool has_room() const override { return true; }
  bool read_only() const override { return false; }
  std::unique_ptr<spool::IncomingMessage> begin(net::Executor) override { return nullptr; }
  void settle(const spool::MessageRef&, std::uint32_t, spool::Settlement) override {}
  void set_held(const spool::MessageRef&, bool) override {}
  Result<spool::StoredMessage> load(const spool::MessageRef&) override {
    return fail(ErrorKind::not_found, "not kept");
  }
  Result<std::unique_ptr<spool::ContentReader>> read(const spool::MessageRef&) override {
    return std::unique_ptr<spool::ContentReader>(std::make_unique<Content>());
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
  std::vector<std::string> connects, commands;
  std::unique_ptr<Deliverer> deliverer;
  std::string self;

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
                                                          SteadyTime) override {
    connects.push_back(to.address);
    const auto found = hosts.find(to.address);
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
    std::string unread;
    bool content = false;
    int messages = 0;
    for (;;) {
      char bytes[4096];
      const auto got = co_await net::read_some(*stream, bytes, SteadyTime::max());
      if (!got) co_return;
      unread.append(bytes, *got);
      for (auto end = unread.find("\r\n"); end != std::string::npos; end = unread.find("\r\n")) {
        const std::string line = unread.substr(0, end);
        unread.erase(0, end + 2);
        if (content && line != ".") continue;
        const std::string verb = content ? "." : line.substr(0, 4);
        content = false;
        commands.push_back(line);
        if (verb == host->cut_at) co_return stream->close();
        std::string reply = "250 2.0.0 fine\r\n";
        if (verb == "EHLO") reply = host->ehlo;
        if (verb == "DATA") reply = "354 go on\r\n";
        if (host->replies.count(verb) != 0) reply = host->replies.at(verb);
        content = verb == "DATA" && reply.starts_with("354");
        const auto said = co_await say(*stream, reply);
        if (!said || verb == "QUIT") co_return stream->close();
        if (verb == "." && ++messages == host->closes_after) co_return stream->close();
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
  AttemptInput input(const std::vector<std::string>& targets) {
    auto envelope = std::make_shared<mail::Envelope>();
    envelope->reverse_path = mail::Mailbox{"sender", "outside.example"};
    envelope->content_size = 20;
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
    EXPECT_TRUE(result);
    return result.value_or(AttemptResult{});
  }
  std::size_t said(const std::string& start) const {
    std::size_t count = 0;
    for (const auto& line : commands) count += line.starts_with(start) ? 1 : 0;
    return count;
  }
};

TEST_F(DelivererTest, DeliversAndReusesTheConnection) {
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  const auto second = attempt();
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_TRUE(second.reused_connection);
  EXPECT_EQ(connects.size(), 1u);
}

TEST_F(DelivererTest, AnIdleConnectionIsClosedInTime) {
  attempt();
  EXPECT_EQ(said("QUIT"), 0u);
  clock.advance(seconds(11));
  settle();
  EXPECT_EQ(said("QUIT"), 1u);
  EXPECT_FALSE(attempt().reused_connection);
}

TEST_F(DelivererTest, AConnectionThatDiedIsReplacedAndNobodyIsToBlame) {
  hosts["10.0.0.1"].closes_after = 1;
  attempt();
  const auto second = attempt();
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_FALSE(second.site_trouble);
  EXPECT_EQ(connects.size(), 2u);
}

TEST_F(DelivererTest, AReusedConnectionThatBreaksAtMailIsRetriedOnANewOne) {
  attempt();
  hosts["10.0.0.1"].cut_at = "MAIL";
  const auto second = attempt();
  EXPECT_EQ(connects.size(), 2u);  // once more, and only once
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_TRUE(second.site_trouble);
}

TEST_F(DelivererTest, TheNextHostIsTriedAndTheFailedOneComesLast) {
  hosts["10.0.0.1"].refuses = true;
  options.idle_connection = Duration::zero();
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(connects, (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
  attempt();
  EXPECT_EQ(connects.back(), "10.0.0.2");
  EXPECT_EQ(connects.size(), 3u);
  clock.advance(minutes(2));
  attempt();
  EXPECT_EQ(connects.size(), 5u);
}

TEST_F(DelivererTest, ARefusedGreetingIsTheSitesTrouble) {
  for (auto& host : hosts) host.second.greeting = "554 5.7.1 go away\r\n";
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_TRUE(result.site_trouble);
  EXPECT_EQ(connects.size(), 2u);
}

TEST_F(DelivererTest, TlsThatIsDemandedAndNotOfferedDefers) {
  options.tls.policy = net::TlsPolicy::require;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(result.outcomes.at(0).status.subject, 7);
  EXPECT_EQ(said("MAIL"), 0u);
}

TEST_F(DelivererTest, CutAtEachStageDefers) {
  for (const char* stage : {"EHLO", "MAIL", "RCPT", "DATA", "."}) {
    for (auto& host : hosts) host.second.cut_at = stage;
    deliverer.reset();
    const auto result = attempt();
    EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred) << stage;
    EXPECT_EQ(result.site_trouble, std::string(stage) != ".") << stage;
  }
}

TEST_F(DelivererTest, MalformedRepliesDefer) {
  for (const char* reply : {"what?\r\n", "25\r\n", "999 no\r\n", "250-a\r\n550 b\r\n"}) {
    hosts["10.0.0.1"].replies["MAIL"] = reply;
    deliverer.reset();
    EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::deferred) << reply;
  }
}

TEST_F(DelivererTest, RcptMaxOfTheServerIsHonoured) {
  hosts["10.0.0.1"].ehlo = "250-mx.example\r\n250 LIMITS RCPTMAX=2\r\n";
  const auto result = attempt({"a@t.example", "b@t.example", "c@t.example"});
  for (const auto& outcome : result.outcomes) EXPECT_EQ(outcome.fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL"), 2u);
}

TEST_F(DelivererTest, OurselvesByAddressOrByGreetingIsALoop) {
  self = "10.0.0.1";
  EXPECT_EQ(attempt().outcomes.at(0).status.to_string(), "5.4.6");
  EXPECT_TRUE(connects.empty());
  self.clear();
  hosts["10.0.0.1"].greeting = "220 GW.corp.example ESMTP\r\n";
  hosts["10.0.0.1"].ehlo = "250 GW.corp.example\r\n";
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).status.to_string(), "5.4.6");
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::failed);
  EXPECT_FALSE(result.site_trouble);
}

TEST_F(DelivererTest, MxHostsComeInOrderAndNullMxFails) {
  options.hosts.clear();
  options.mx_of_recipient = true;
  hosts["10.0.0.1"].refuses = true;
  mx_answers.insert({"t.example", net::MxAnswer{{{10, "10.0.0.1"}, {20, "10.0.0.2"}}}});
  mx_answers.insert({"null.example", net::MxAnswer{{}, true}});
  const auto result = attempt({"a@t.example", "b@null.example", "c@gone.example"});
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(connects, (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(result.outcomes.at(1).status.to_string(), "5.1.10");
  EXPECT_EQ(result.outcomes.at(2).status.to_string(), "5.1.2");
}

TEST_F(DelivererTest, TroubleOfOneRecipientDomainIsNotThatOfTheNextHop) {
  options.hosts.clear();
  options.mx_of_recipient = true;
  hosts["10.0.0.1"].refuses = true;
  mx_answers.insert({"down.example", net::MxAnswer{{{10, "10.0.0.1"}}}});
  const auto result = attempt({"a@down.example"});
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_FALSE(result.site_trouble);  // else one dead domain would stop mail to all the others
}

TEST_F(DelivererTest, CancelEndsWhatRunsAndOpensNothingMore) {
  for (auto& host : hosts) host.second.hangs = true;
  make();
  std::optional<AttemptResult> result;
  boost::asio::co_spawn(shard.io, keep(input({"a@t.example"}), &result), boost::asio::detached);
  settle();
  EXPECT_FALSE(result);
  EXPECT_FALSE(deliverer->idle());
  deliverer->cancel();
  settle();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(connects.size(), 1u);
  EXPECT_TRUE(deliverer->idle());
}

}  // namespace
}  // namespace waypost::outbound
