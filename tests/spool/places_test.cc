// Files of the spool that are taken away while it is in use: what was acknowledged is found by the
// next start, and nothing is acknowledged that would not be.
#include "waypost/spool/spool.h"

#include "base/fault_disk.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>

namespace waypost::spool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

net::Task<> store(Spool* spool, net::Executor executor, std::uint64_t id, std::string content,
                  std::optional<Result<MessageRef>>* out) {
  auto message = spool->begin(executor);
  for (std::size_t at = 0; at < content.size(); at += 5000) {
    message->append(std::string_view(content).substr(at, 5000));
    if (!message->wants_flush()) continue;
    auto flushed = co_await message->flush();
    if (!flushed) {
      *out = fail(std::move(flushed).error());
      co_return;
    }
  }
  std::string envelope = "envelope of " + std::to_string(id);
  *out = co_await message->commit(QueueId{id}, std::move(envelope), 1);
}

net::Task<> flush(IncomingMessage* message, std::optional<Result<>>* out) {
  *out = co_await message->flush();
}

net::Task<> end(IncomingMessage* message, std::optional<Result<MessageRef>>* out) {
  std::string envelope = "envelope";
  *out = co_await message->commit(QueueId{8000}, std::move(envelope), 1);
}

/// A spool without threads, with three messages: a small one, a large one, a small one.
class Places : public testing::Test {
 protected:
  void SetUp() override {
    open();
    EXPECT_TRUE(commit(16, "small"));
    EXPECT_TRUE(commit(32, std::string(700'000, 'l')));
    EXPECT_TRUE(commit(48, "small too"));
    pass(std::chrono::seconds(3));
  }
  void open() {
    options_.directory = "/spool";
    options_.segment_octets = 1024 * 1024;
    options_.stream_threshold = 64 * 1024;
    options_.own_threads = false;
    options_.salt = 4711;
    found_.clear();
    RecoveryReport report;
    auto opened = Spool::open(
        options_, disk_, clock_, budget_, metrics_,
        [this](StoredMessage m) { found_.push_back(m.ref.id.value); }, report);
    ASSERT_TRUE(opened) << opened.error().message;
    spool_ = std::move(*opened);
    set_aside_ = report.set_aside;
    spool_->step();
  }
  /// kill -9.
  void die_and_open() {
    disk_.stop_at(1);
    spool_.reset();
    disk_.restart_counting();
    open();
  }
  void pass(Duration time) {
    for (const SteadyTime end = clock_.steady_now() + time; clock_.steady_now() < end;) {
      clock_.advance(std::chrono::milliseconds(500));
      spool_->step();
    }
  }
  template <class Condition>
  void step_until(Condition done) {
    for (int turns = 0; turns < 1000 && !done(); ++turns) {
      io_.restart();
      io_.poll();
      if (!done()) spool_->step();
    }
  }
  Result<MessageRef> commit(std::uint64_t id, const std::string& content) {
    std::optional<Result<MessageRef>> out;
    boost::asio::co_spawn(io_.get_executor(),
                          store(spool_.get(), io_.get_executor(), id, content, &out),
                          boost::asio::detached);
    step_until([&out] { return out.has_value(); });
    return out ? std::move(*out) : fail(ErrorKind::timeout, "no answer");
  }
  std::vector<std::string> segments() const {
    std::vector<std::string> all;
    for (const auto& path : disk_.paths())
      if (path.ends_with(".log")) all.push_back(path);
    return all;
  }

  std::string segment_with(const std::string& text) {
    for (const auto& path : segments()) {
      if (disk_.bytes(path)->find(text) != std::string::npos) return path;
    }
    return {};
  }

  Options options_;
  FaultDisk disk_;
  ManualClock clock_;
  MemoryBudget budget_{64 * 1024 * 1024};
  ops::Metrics metrics_;
  std::vector<std::uint64_t> found_;
  std::vector<std::string> set_aside_;
  boost::asio::io_context io_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(Places, WhatWasRemovedOrReplacedByCopiesIsWrittenAnew) {
  for (const bool replaced : {false, true}) {
    for (const auto& path : segments())
      replaced ? disk_.replace_by_copy(path) : disk_.take_away(path);
    pass(std::chrono::milliseconds(1500));
    EXPECT_THAT(spool_->health().displaced, HasSubstr("was removed while waypost uses it"));
    EXPECT_TRUE(spool_->read_only()) << "no mail is taken meanwhile";
    pass(std::chrono::seconds(5));
    EXPECT_EQ(spool_->health().displaced, "");
    EXPECT_FALSE(spool_->read_only());
    const std::uint64_t next = replaced ? 80 : 64;
    EXPECT_TRUE(commit(next, "later"));
    die_and_open();
    EXPECT_THAT(set_aside_, testing::IsEmpty());
    std::vector<std::uint64_t> all = {16, 32, 48, 64};
    if (replaced) all.push_back(80);
    EXPECT_THAT(found_, UnorderedElementsAreArray(all));
    pass(std::chrono::seconds(3));
  }
}

TEST_F(Places, NothingIsAcknowledgedIntoAFileThatWasJustRemoved) {
  for (const auto& path : segments()) disk_.take_away(path);
  clock_.advance(std::chrono::milliseconds(100));  // it is looked 20 times a second
  std::vector<std::uint64_t> acknowledged = {16, 32, 48};
  for (std::uint64_t id = 64; id < 64 + 10 * 16; id += 16) {
    if (commit(id, std::string(id % 32 == 0 ? 3000 : 300'000, 'x'))) acknowledged.push_back(id);
  }
  EXPECT_EQ(acknowledged.size(), 3u) << "the first is refused, and those that follow at once";
  pass(std::chrono::seconds(5));
  die_and_open();
  EXPECT_THAT(found_, UnorderedElementsAreArray(acknowledged));
}

TEST_F(Places, AMessageWhosePiecesWereRemovedIsNotAcknowledged) {
  auto message = spool_->begin(io_.get_executor());
  message->append(std::string(200'000, 'p'));
  std::optional<Result<>> flushed;
  boost::asio::co_spawn(io_.get_executor(), flush(message.get(), &flushed), boost::asio::detached);
  step_until([&] { return flushed.has_value(); });
  ASSERT_TRUE(flushed && *flushed);
  const std::string pieces = segment_with(std::string(1000, 'p'));
  ASSERT_NE(pieces, "");
  // The rest of that segment is used up, so that the end of the message goes to another one.
  for (std::uint64_t id = 64;
       segment_with("envelope of " + std::to_string(id - 16)) == pieces || id == 64; id += 16)
    ASSERT_TRUE(commit(id, std::string(200'000, 'r')));
  disk_.take_away(pieces);
  clock_.advance(std::chrono::milliseconds(100));  // it is looked 20 times a second
  std::optional<Result<MessageRef>> out;
  boost::asio::co_spawn(io_.get_executor(), end(message.get(), &out), boost::asio::detached);
  step_until([&] { return out.has_value(); });
  ASSERT_TRUE(out);
  EXPECT_FALSE(*out) << "a restart would not find its pieces";
}

TEST_F(Places, WhileTheFolderIsElsewhereNoMailIsTaken) {
  disk_.hide(true);
  clock_.advance(std::chrono::milliseconds(100));  // it is looked 20 times a second
  EXPECT_FALSE(commit(64, "into nothing"));
  pass(std::chrono::seconds(2));
  EXPECT_THAT(spool_->health().displaced, HasSubstr("Put it back before waypost is stopped"));
  EXPECT_TRUE(spool_->read_only());
  EXPECT_FALSE(spool_->health().read_only) << "it passes";
  EXPECT_FALSE(commit(80, std::string(700'000, 'n')));
  for (const auto& path : disk_.paths()) EXPECT_FALSE(path.ends_with(".log")) << path;
  disk_.hide(false);
  pass(std::chrono::seconds(2));
  EXPECT_EQ(spool_->health().displaced, "");
  EXPECT_TRUE(commit(96, "again"));
  die_and_open();
  EXPECT_THAT(found_, ElementsAre(16, 32, 48, 96)) << "what was refused is not found";
}

}  // namespace
}  // namespace waypost::spool
