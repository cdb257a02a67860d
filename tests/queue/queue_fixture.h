// A queue on a clock that the test owns: a spool in memory, next hops that answer as they are told,
// a real router.
//
// The shard is run by hand: settle() runs what can run now, advance() goes from one due moment to
// the next, so nothing here ever waits for real time.
#pragma once

#include "waypost/queue/queue.h"

#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace waypost::queue::testing {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

inline mail::Outcome delivered() {
  mail::Outcome outcome;
  outcome.fate = mail::Fate::delivered;
  outcome.status = {2, 0, 0};
  outcome.reply = "250 2.0.0 taken";
  outcome.from_remote = true;
  return outcome;
}
inline mail::Outcome deferred(std::string reply = "450 4.2.0 later") {
  mail::Outcome outcome;
  outcome.fate = mail::Fate::deferred;
  outcome.status = {4, 2, 0};
  outcome.reply = std::move(reply);
  outcome.from_remote = true;
  return outcome;
}
inline mail::Outcome failed(std::string reply = "550 5.1.1 unknown") {
  mail::Outcome outcome;
  outcome.fate = mail::Fate::failed;
  outcome.status = {5, 1, 1};
  outcome.reply = std::move(reply);
  outcome.from_remote = true;
  return outcome;
}

class FakeSpool final : public spool::Spool {
 public:
  struct Kept {
    spool::StoredMessage stored;
    std::string content = "Subject: hello\r\n\r\nbody\r\n";
  };
  std::map<std::uint64_t, Kept> kept;
  std::vector<std::uint64_t> committed;  // reports, in order
  std::uint32_t refuse_commits = 0, settled_twice = 0, forgotten = 0, loads = 0;
  bool unreadable = false;
  bool unreadable_content = false;

  bool has_room() const override { return true; }
  bool read_only() const override { return false; }
  std::unique_ptr<spool::IncomingMessage> begin(net::Executor) override {
    return std::make_unique<Incoming>(*this);
  }
  void settle(const spool::MessageRef& ref, std::uint32_t recipient,
              spool::Settlement how) override {
    auto& state = kept.at(ref.id.value).stored.settled.at(recipient);
    if (state != spool::Settlement::open) ++settled_twice;
    state = how;
  }
  void set_held(const spool::MessageRef& ref, bool held) override {
    kept.at(ref.id.value).stored.held = held;
  }
  Result<spool::StoredMessage> load(const spool::MessageRef& ref) override {
    ++loads;
    if (unreadable) return fail(ErrorKind::io, "the disk is sick");
    return kept.at(ref.id.value).stored;
  }
  Result<std::unique_ptr<spool::ContentReader>> read(const spool::MessageRef& ref) override {
    return std::unique_ptr<spool::ContentReader>(
        std::make_unique<Reader>(kept.at(ref.id.value).content, unreadable_content));
  }
  void forget_content(const spool::MessageRef&) override { ++forgotten; }
  spool::SpoolHealth health() const override { return {}; }
  void close() override {}

  spool::MessageRef add(const mail::Envelope& envelope) {
    const auto count = static_cast<std::uint32_t>(envelope.recipients.size());
    Kept one;
    one.stored.ref = {envelope.id, count, 0};
    one.stored.envelope = mail::encode(envelope);
    one.stored.settled.assign(count, spool::Settlement::open);
    kept[envelope.id.value] = one;
    return one.stored.ref;
  }
  std::size_t open_recipients() const {
    std::size_t open = 0;
    for (const auto& [id, one] : kept)
      open += static_cast<std::size_t>(std::count(
          one.stored.settled.begin(), one.stored.settled.end(), spool::Settlement::open));
    return open;
  }

 private:
  class Reader final : public spool::ContentReader {
   public:
    Reader(std::string content, bool unreadable)
        : content_(std::move(content)), unreadable_(unreadable) {}
    std::uint64_t size() const override { return content_.size(); }
    Result<std::string_view> next() override {
      if (!std::exchange(done_, true)) return std::string_view(content_);
      if (unreadable_) return fail(ErrorKind::io, "bad sector");
      return std::string_view();
    }

   private:
    std::string content_;
    bool unreadable_;
    bool done_ = false;
  };
  class Incoming final : public spool::IncomingMessage {
   public:
    explicit Incoming(FakeSpool& spool) : spool_(spool) {}
    void append(std::string_view bytes) override { content_ += bytes; }
    std::uint64_t octets() const override { return content_.size(); }
    bool wants_flush() const override { return false; }
    net::Task<Result<>> flush() override { co_return Result<>(); }
    net::Task<Result<spool::MessageRef>> commit(QueueId id, std::string envelope,
                                                std::uint32_t recipients) override {
      if (spool_.refuse_commits > 0) {
        --spool_.refuse_commits;
        co_return fail(ErrorKind::io, "the disk is sick");
      }
      Kept one;
      one.stored.ref = {id, recipients, 0};
      one.stored.envelope = std::move(envelope);
      one.stored.settled.assign(recipients, spool::Settlement::open);
      one.content = content_;
      spool_.kept[id.value] = one;
      spool_.committed.push_back(id.value);
      co_return one.stored.ref;
    }

   private:
    FakeSpool& spool_;
    std::string content_;
  };
};

class FakeDeliverer final : public outbound::Deliverer {
 public:
  struct Seen {
    std::uint64_t id;
    SteadyTime at;
    std::vector<std::string> targets;
    std::string rewritten_sender = {};  // of the first recipient
  };
  FakeDeliverer(net::Shard& shard, std::string name) : shard_(shard) {
    options_.name = std::move(name);
  }
  std::function<mail::Outcome(const std::string& target)> judge = [](const std::string&) {
    return delivered();
  };
  bool site_trouble = false;  // it can't be reached
  bool asks_for_less = false;
  bool blocked = false;        // attempts wait for release()
  std::uint32_t rcpt_max = 0;  // what its server said; 0: nothing
  std::vector<Seen> seen;
  std::size_t running = 0, most_running = 0;

  net::Task<outbound::AttemptResult> attempt(const outbound::AttemptInput& input) override {
    Seen one{input.envelope->id.value, shard_.timers.now(), {}};
    for (const auto& recipient : input.recipients) {
      one.targets.push_back(recipient.target.to_string());
    }
    if (input.recipients.front().rewritten_sender)
      one.rewritten_sender = input.recipients.front().rewritten_sender->to_string();
    seen.push_back(one);
    most_running = std::max(most_running, ++running);
    if (blocked) {
      waiting_.emplace_back(shard_.timers);
      const auto mine = std::prev(waiting_.end());
      const auto woken = co_await mine->sleep_until(SteadyTime::max());
      static_cast<void>(woken);
      waiting_.erase(mine);
    }
    --running;
    outbound::AttemptResult result;
    for (const std::string& target : one.targets) {
      result.outcomes.push_back(site_trouble ? deferred("connection refused") : judge(target));
      if (site_trouble) result.outcomes.back().from_remote = false;
      result.outcomes.back().rewritten_sender = one.rewritten_sender;
    }
    result.site_trouble = result.unreachable = site_trouble;
    result.asks_for_less = asks_for_less;
    co_return result;
  }
  void release_one() {
    if (!waiting_.empty()) waiting_.front().wake();
  }
  void release() {
    blocked = false;
    for (auto& sleeper : waiting_) sleeper.wake();
  }
  const outbound::NextHopOptions& options() const override { return options_; }
  std::uint32_t recipients_at_once() const override {
    return rcpt_max == 0 ? options_.max_recipients : rcpt_max;
  }
  outbound::NextHopOptions& change() { return options_; }
  void close_idle() override {}
  void cancel() override { release(); }
  bool idle() const override { return running == 0; }

 private:
  net::Shard& shard_;
  outbound::NextHopOptions options_;
  std::list<net::Timers::Sleeper> waiting_;
};

class Tracked final : public ops::TrackingLog {
 public:
  std::vector<std::string> lines;
  void write(const ops::TrackingEvent& event) override {
    lines.push_back(ops::to_json_line(event));
  }
  std::size_t count(const std::string& word) const {
    return static_cast<std::size_t>(std::count_if(
        lines.begin(), lines.end(),
        [&](const std::string& line) { return line.find(word) != std::string::npos; }));
  }
};

/// uN@corp.example for N below 1100 goes to next hop h0, h1 or h2 (N modulo 3), by its target's
/// domain. `moved`: everything goes to h1; `held`: users that are being migrated.
inline std::shared_ptr<const routing::Router> users(bool moved = false,
                                                    const std::vector<int>& held = {},
                                                    const std::vector<int>& gone = {}) {
  routing::Options options;
  options.own_domains = {"corp.example"};
  for (int k = 0; k < 3; ++k)
    options.target_domains.push_back(
        {"t" + std::to_string(k) + ".example", moved ? "h1" : "h" + std::to_string(k)});
  std::vector<routing::Entry> entries;
  for (int n = 0; n < 1100; ++n) {
    if (std::count(gone.begin(), gone.end(), n) > 0) continue;
    const bool waits = std::count(held.begin(), held.end(), n) > 0;
    const std::string name = "u" + std::to_string(n);
    entries.push_back({{name, "corp.example"},
                       {name, "t" + std::to_string(n % 3) + ".example"},
                       waits ? routing::EntryState::migrating : routing::EntryState::active,
                       true,
                       waits ? "w1" : "",
                       {},
                       {"table", 1}});
  }
  auto& source = options.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = std::move(entries);
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return *router;
}

class QueueTest : public ::testing::Test {
 protected:
  ManualClock clock;
  net::Shard shard{0, clock};
  FakeSpool spool;
  Tracked tracking;
  ops::Metrics metrics;
  routing::RouterHolder router{users()};
  QueueIdSource ids{clock, 0};
  FakeDeliverer h0{shard, "h0"}, h1{shard, "h1"}, h2{shard, "h2"}, reports{shard, "reports"};
  std::map<std::string, outbound::Deliverer*> deliverers{
      {"h0", &h0}, {"h1", &h1}, {"h2", &h2}, {"reports", &reports}};
  Options options;
  std::unique_ptr<Queue> queue;
  bool ended = false;
  std::size_t handlers = 0;  // that the shard has run: a busy loop shows here

  QueueTest() {
    options.jitter = 0;
    options.delay_notice = Duration::zero();
    options.report_next_hop = "reports";
  }
  ~QueueTest() override { finish(); }

  void start() {
    queue = Queue::make(options, Context{shard, spool, router, deliverers, metrics, tracking, ids,
                                         "gw.corp.example"});
    ended = false;
    boost::asio::co_spawn(shard.io, run(), boost::asio::detached);
    settle();
  }
  void finish() {
    if (!queue) return;
    queue->stop();
    for (FakeDeliverer* each : {&h0, &h1, &h2, &reports}) each->release();
    settle();
    EXPECT_TRUE(ended);
    queue.reset();
  }
  net::Task<void> run() {
    co_await queue->run();
    ended = true;
  }
  void settle() {
    for (std::size_t ran = 1; ran > 0;) {
      shard.timers.run_due();
      shard.io.restart();
      ran = shard.io.poll();
      handlers += ran;
    }
  }
  void advance(Duration by) {
    const SteadyTime until = clock.steady_now() + by;
    settle();
    for (SteadyTime next = shard.timers.next_due(); next <= until; next = shard.timers.next_due()) {
      const auto left = std::chrono::ceil<Duration>(next - clock.steady_now());
      clock.advance(std::max(left, Duration(1)));
      settle();
    }
    if (until > clock.steady_now())
      clock.advance(std::chrono::ceil<Duration>(until - clock.steady_now()));
    settle();
  }
  mail::Envelope envelope(const std::vector<int>& recipients, bool null_sender = false) {
    mail::Envelope made;
    made.id = ids.next();
    made.accepted_at = clock.now();
    if (!null_sender) made.reverse_path = mail::Mailbox{"sender", "outside.example"};
    made.message_id = "<m@corp.example>";
    made.content_size = 24;
    for (const int n : recipients) {
      mail::Recipient one;
      one.original = {"u" + std::to_string(n), "corp.example"};
      one.target = {"u" + std::to_string(n), "t" + std::to_string(n % 3) + ".example"};
      one.next_hop = "h" + std::to_string(n % 3);
      made.recipients.push_back(one);
    }
    return made;
  }
  std::uint64_t submit(const mail::Envelope& what, SteadyTime decided = SteadyTime::min()) {
    const auto ref = spool.add(what);
    queue->submit(ref, std::make_shared<const mail::Envelope>(what), decided);
    settle();
    return what.id.value;
  }
  spool::Settlement state(std::uint64_t id, std::size_t recipient = 0) const {
    return spool.kept.at(id).stored.settled.at(recipient);
  }
  const std::string& report(std::size_t n = 0) const {
    return spool.kept.at(spool.committed.at(n)).content;
  }
  mail::Envelope kept_envelope(std::size_t n) const {
    const auto kept = mail::decode_envelope(spool.kept.at(spool.committed.at(n)).stored.envelope);
    EXPECT_TRUE(kept);
    return kept.value_or(mail::Envelope{});
  }
  NextHopState hop(const std::string& name) const {
    for (const auto& one : queue->stats().next_hops)
      if (one.name == name) return one;
    return {};
  }
};

}  // namespace waypost::queue::testing
