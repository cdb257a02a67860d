// A spool in memory that can be told to fail, a tracking log that remembers, a small routing table.
#pragma once

#include "waypost/base/block_chain.h"
#include "waypost/ops/tracking.h"
#include "waypost/routing/router.h"
#include "waypost/spool/spool.h"

#include <gtest/gtest.h>

#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace waypost::inbound::testing {

class RecordingTracking final : public ops::TrackingLog {
 public:
  void write(const ops::TrackingEvent& event) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back(ops::to_json_line(event));
  }
  /// Lines that contain every one of `words`.
  std::size_t count(const std::vector<std::string>& words) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
          return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
            return line.find(word) != std::string::npos;
          });
        }));
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const auto& line : lines_) text += line + "\n";
    return text;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class FakeSpool final : public spool::Spool {
 public:
  struct Stored {
    spool::MessageRef ref;
    std::string envelope, content;
  };
  explicit FakeSpool(MemoryBudget& budget) : budget_(budget) {}

  bool room = true, sick = false, hangs = false;
  net::Timers::Sleeper* waiting =
      nullptr;  // commits and flushes end when it wakes and hangs is off
  std::optional<Error> flush_error, commit_error;
  std::uint64_t threshold = 1024 * 1024;
  bool keep_content = true;  // false: only counts octets
  std::size_t most_memory = 0;
  std::uint64_t flushes = 0, octets = 0, forgotten = 0;
  std::vector<Stored> stored;

  bool has_room() const override { return room && !sick; }
  bool read_only() const override { return sick; }
  bool stuck() const override { return hangs; }
  std::unique_ptr<spool::IncomingMessage> begin(net::Executor) override {
    return std::make_unique<Incoming>(*this);
  }
  void settle(const spool::MessageRef&, std::uint32_t, spool::Settlement) override {}
  void set_held(const spool::MessageRef&, bool) override {}
  Result<spool::StoredMessage> load(const spool::MessageRef&) override {
    return fail(ErrorKind::not_found, "not kept");
  }
  Result<std::unique_ptr<spool::ContentReader>> read(const spool::MessageRef&) override {
    return fail(ErrorKind::not_found, "not kept");
  }
  void forget_content(const spool::MessageRef&) override {}
  spool::SpoolHealth health() const override { return {}; }
  void close() override {}

 private:
  class Incoming final : public spool::IncomingMessage {
   public:
    explicit Incoming(FakeSpool& spool) : spool_(spool), content_(&spool.budget_) {}
    ~Incoming() override {
      if (!committed_) ++spool_.forgotten;
    }
    void append(std::string_view bytes) override {
      content_.append(bytes);
      spool_.most_memory = std::max(spool_.most_memory, spool_.budget_.used());
    }
    std::uint64_t octets() const override { return flushed_octets_ + content_.size(); }
    bool wants_flush() const override {
      return content_.size() > spool_.threshold ||
             (content_.size() >= kBlockSize && spool_.budget_.exhausted());
    }
    net::Task<Result<>> flush() override {
      while (spool_.hangs) (void)co_await spool_.waiting->sleep_until(SteadyTime::max());
      if (spool_.flush_error) co_return fail(*spool_.flush_error);
      ++spool_.flushes;
      take();
      co_return Result<>();
    }
    net::Task<Result<spool::MessageRef>> commit(QueueId id, std::string envelope,
                                                std::uint32_t recipients) override {
      while (spool_.hangs) (void)co_await spool_.waiting->sleep_until(SteadyTime::max());
      if (spool_.commit_error) co_return fail(*spool_.commit_error);
      take();
      committed_ = true;
      const spool::MessageRef ref{id, recipients, 0};
      spool_.stored.push_back({ref, std::move(envelope), std::move(flushed_)});
      co_return ref;
    }

   private:
    void take() {
      flushed_octets_ += content_.size();
      spool_.octets += content_.size();
      if (spool_.keep_content) flushed_ += content_.flatten();
      content_.clear();
    }
    FakeSpool& spool_;
    BlockChain content_;
    std::string flushed_;
    std::uint64_t flushed_octets_ = 0;
    bool committed_ = false;
  };
  MemoryBudget& budget_;
};

/// corp.example: bob, carol and dave have moved to orgname.awsapps.com, erin is being moved.
inline std::shared_ptr<const routing::Router> small_router() {
  const auto entry = [](const std::string& name, routing::EntryState state) {
    return routing::Entry{{name, "corp.example"},
                          {name, "orgname.awsapps.com"},
                          state,
                          true,
                          state == routing::EntryState::migrating ? "w1" : "",
                          {},
                          {"table.csv", 1}};
  };
  routing::Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"orgname.awsapps.com", "workmail"}};
  auto& source = options.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = {
      entry("bob", routing::EntryState::active), entry("carol", routing::EntryState::active),
      entry("dave", routing::EntryState::active), entry("erin", routing::EntryState::migrating)};
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return *router;
}

}  // namespace waypost::inbound::testing
