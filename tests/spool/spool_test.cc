#include "waypost/spool/spool.h"

#include "base/fault_disk.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <thread>

namespace waypost::spool {
namespace {

net::Task<> commit_one(Spool* spool, net::Executor executor, std::uint64_t id, std::string content,
                       std::uint32_t recipients, std::optional<Result<MessageRef>>* out) {
  auto message = spool->begin(executor);
  for (std::size_t at = 0; at < content.size(); at += 5000) {
    message->append(std::string_view(content).substr(at, 5000));
    if (message->wants_flush()) {
      auto flushed = co_await message->flush();
      if (!flushed) {
        *out = fail(flushed.error());
        co_return;
      }
    }
  }
  std::string envelope = "envelope";
  *out = co_await message->commit(QueueId{id}, std::move(envelope), recipients);
}

class SpoolTest : public testing::Test {
 protected:
  void open() {
    options_.directory = "/spool";
    options_.segment_octets = 1024 * 1024;
    options_.stream_threshold = 64 * 1024;
    report_ = {};
    found_.clear();
    auto opened = Spool::open(
        options_, disk_, *clock_, budget_, metrics_,
        [this](StoredMessage m) { found_.push_back(std::move(m)); }, report_);
    ASSERT_TRUE(opened) << opened.error().message;
    spool_ = std::move(*opened);
  }
  Result<MessageRef> commit(std::uint64_t id, const std::string& content,
                            std::uint32_t recipients = 2) {
    std::optional<Result<MessageRef>> out;
    io_.restart();
    boost::asio::co_spawn(
        io_.get_executor(),
        commit_one(spool_.get(), io_.get_executor(), id, content, recipients, &out),
        boost::asio::detached);
    io_.run_for(std::chrono::seconds(20));
    if (!out) return fail(ErrorKind::timeout, "no answer from the spool");
    return *out;
  }
  std::string content_of(const MessageRef& ref) {
    auto reader = spool_->read(ref);
    if (!reader) return reader.error().message;
    std::string all;
    for (auto piece = (*reader)->next(); piece && !piece->empty(); piece = (*reader)->next()) {
      all.append(*piece);
    }
    return all;
  }

  /// The page of the first segment that holds `text`.
  std::uint64_t page_of(const std::string& text) {
    return disk_.bytes(kFirst)->find(text) / kPage * kPage;
  }
  bool is_set_aside(const std::string& what) const {
    return std::any_of(report_.set_aside.begin(), report_.set_aside.end(),
                       [&](const std::string& line) { return line.find(what) != line.npos; });
  }
  static constexpr const char* kFirst = "/spool/00000001.log";
  static constexpr std::uint64_t kPage = 4096;

  Options options_;
  FaultDisk disk_;
  Clock* clock_ = &Clock::system();
  MemoryBudget budget_{64 * 1024 * 1024};
  ops::Metrics metrics_;
  RecoveryReport report_;
  std::vector<StoredMessage> found_;
  boost::asio::io_context io_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolTest, GivesBackWhatItTookFromMemoryFromTheLogAndAfterRestart) {
  open();
  const std::string content(10'000, 'x');
  const auto ref = commit(16, content);
  ASSERT_TRUE(ref) << ref.error().message;
  EXPECT_EQ(content_of(*ref), content);
  spool_->forget_content(*ref);
  EXPECT_EQ(content_of(*ref), content);
  spool_->settle(*ref, 0, Settlement::delivered);
  spool_->set_held(*ref, true);
  spool_.reset();
  open();
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(found_[0].envelope, "envelope");
  EXPECT_TRUE(found_[0].held);
  EXPECT_EQ(found_[0].settled[0], Settlement::delivered);
  EXPECT_EQ(found_[0].settled[1], Settlement::open);
  EXPECT_EQ(content_of(found_[0].ref), content);
  spool_->settle(found_[0].ref, 1, Settlement::failed);
  spool_.reset();
  open();
  EXPECT_TRUE(found_.empty());
}

TEST_F(SpoolTest, StreamsLargeContentAndFreesItsBlocks) {
  open();
  std::string content(3'000'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 + i / 977);
  const auto ref = commit(32, content);
  ASSERT_TRUE(ref) << ref.error().message;
  EXPECT_LT(budget_.used(), 1024u * 1024);
  EXPECT_EQ(content_of(*ref), content);
  spool_.reset();
  open();
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(content_of(found_[0].ref), content);
}

TEST_F(SpoolTest, TurnsReadOnlyAfterAFailedSyncAndStillServesWhatItHolds) {
  open();
  const auto held = commit(16, "kept");
  ASSERT_TRUE(held);
  options_.spare_segments = 0;
  // A commit is a write and a sync; the worker that makes spares may take a turn between them.
  for (std::uint64_t turn = 2; !spool_->read_only(); ++turn) {
    disk_.fail_operation(disk_.operations() + 2, FaultDisk::Fault::io);
    (void)commit(turn * 16, "lost");
    ASSERT_LT(turn, 1000u);
  }
  const auto refused = commit(1'600'000, "refused");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::read_only);
  EXPECT_FALSE(spool_->has_room());
  EXPECT_EQ(content_of(*held), "kept");
  EXPECT_TRUE(spool_->load(*held));
}

TEST_F(SpoolTest, CloseWritesMoreSettlementsThanOneBatchTakes) {
  options_.settle_delay = std::chrono::hours(1);
  open();
  constexpr std::uint32_t kRecipients = 9'000;
  const auto ref = commit(16, "to many", kRecipients);
  ASSERT_TRUE(ref) << ref.error().message;
  for (std::uint32_t i = 0; i < kRecipients; ++i) spool_->settle(*ref, i, Settlement::delivered);
  spool_->close();
  spool_.reset();
  open();
  EXPECT_TRUE(found_.empty());
}

TEST_F(SpoolTest, CloseTriesSettlementsAgainAfterAFailedWrite) {
  options_.settle_delay = std::chrono::hours(1);
  options_.spare_segments = 0;
  open();
  const auto ref = commit(16, "body", 1);
  ASSERT_TRUE(ref) << ref.error().message;
  spool_->settle(*ref, 0, Settlement::delivered);
  disk_.fail_operation(disk_.operations() + 1, FaultDisk::Fault::full);
  spool_->close();
  spool_.reset();
  open();
  EXPECT_TRUE(found_.empty());
}

TEST_F(SpoolTest, EndsThatCantBeWrittenAreTold) {
  options_.settle_delay = std::chrono::milliseconds(1);
  options_.spare_segments = 0;
  open();
  const auto ref = commit(16, "body", 3);
  ASSERT_TRUE(ref) << ref.error().message;
  disk_.set_full(true);
  spool_->set_held(*ref, true);  // none of them
  for (const std::uint32_t i : {0u, 2u}) spool_->settle(*ref, i, Settlement::delivered);
  const auto told = [&](std::uint64_t count) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (spool_->health().unwritten_ends != count && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
    return spool_->health().unwritten_ends == count;
  };
  EXPECT_TRUE(told(2));
  EXPECT_NE(spool_->health().ends_trouble, "");
  disk_.set_full(false);
  EXPECT_TRUE(told(0));
  EXPECT_EQ(spool_->health().ends_trouble, "");
  disk_.set_full(true);
  spool_->settle(*ref, 1, Settlement::delivered);
  spool_->close();
  EXPECT_EQ(spool_->health().unwritten_ends, 1u) << "said at the stop";
  disk_.set_full(false);
  spool_.reset();
  open();
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(found_[0].settled[1], Settlement::open);
}

TEST_F(SpoolTest, AMessageWhoseWriteFailedDoesNotComeBack) {
  options_.spare_segments = 0;
  open();
  ASSERT_TRUE(commit(16, "kept"));
  disk_.set_full(true);  // not the next operation: that may be the proof that the first was safe
  const auto refused = commit(32, std::string(20'000, 'y'));
  disk_.set_full(false);
  ASSERT_FALSE(refused);
  EXPECT_FALSE(spool_->read_only());
  spool_.reset();
  open();
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(found_[0].ref.id.value, 16u);
  EXPECT_TRUE(report_.set_aside.empty());
}

TEST_F(SpoolTest, RecoveryReportsTheHighestIdOfFinishedMessagesToo) {
  open();
  ASSERT_TRUE(commit(16, "open"));
  const auto ref = commit(4'800, "finished", 1);
  ASSERT_TRUE(ref) << ref.error().message;
  spool_->settle(*ref, 0, Settlement::delivered);
  spool_.reset();
  open();
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(report_.highest_id.value, 4'800u);
}

TEST_F(SpoolTest, RefusesAfterClose) {
  open();
  spool_->close();
  const auto refused = commit(16, "late");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::cancelled);
}

TEST_F(SpoolTest, HasNoRoomBelowTheFreeSpaceLimit) {
  disk_.set_free(1000);
  open();
  EXPECT_FALSE(spool_->has_room());
}

TEST_F(SpoolTest, WhatIsBehindAnUnreadablePageIsFound) {
  for (const bool indexed : {false, true}) {
    disk_.forget();
    options_.spare_segments = 0;
    open();
    ASSERT_TRUE(commit(16, "first " + std::string(20'000, 'a')));
    ASSERT_TRUE(commit(32, "second " + std::string(20'000, 'b')));
    ASSERT_TRUE(commit(48, "third " + std::string(20'000, 'c')));
    spool_.reset();
    if (!indexed) {
      ASSERT_TRUE(disk_.remove("/spool/00000001.idx"));
    }
    disk_.fail_reads(kFirst, page_of("second "), kPage);
    open();
    ASSERT_EQ(found_.size(), indexed ? 3u : 2u);
    EXPECT_EQ(found_.front().ref.id.value, 16u);
    EXPECT_EQ(found_.back().ref.id.value, 48u);
    EXPECT_EQ(content_of(found_.back().ref), "third " + std::string(20'000, 'c'));
    EXPECT_EQ(is_set_aside("00000001.log offset " + std::to_string(page_of("second "))), !indexed);
    ASSERT_TRUE(commit(64, "fourth"));
    if (indexed) {
      const auto reader = spool_->read(found_[1].ref);
      ASSERT_TRUE(reader);
      const auto piece = (*reader)->next();
      ASSERT_FALSE(piece);
      EXPECT_NE(piece.error().message.find("bad sector"), std::string::npos);
    }
    const auto sound = verify("/spool", disk_, [](std::string) {});
    ASSERT_TRUE(sound) << sound.error().message;
    EXPECT_FALSE(*sound);
    spool_.reset();
  }
}

TEST_F(SpoolTest, AMessageWhoseContentCannotBeReadStaysUntilItIsSettled) {
  options_.spare_segments = 0;
  open();
  ASSERT_TRUE(
      commit(16, std::string(20'000, 'a') + "the page in the middle" + std::string(9'000, 'b')));
  spool_.reset();
  ASSERT_TRUE(disk_.remove("/spool/00000001.idx"));
  disk_.fail_reads(kFirst, page_of("the page in the middle"), kPage);
  for (int start = 0; start < 3; ++start) {  // the last segment, then one before it
    open();
    ASSERT_EQ(found_.size(), 1u) << start;
    EXPECT_EQ(found_[0].envelope, "envelope");
    EXPECT_TRUE(is_set_aside("can't be read: bad sector") || start > 0);
    const auto reader = spool_->read(found_[0].ref);
    ASSERT_TRUE(reader);
    Result<std::string_view> piece = (*reader)->next();
    while (piece && !piece->empty()) piece = (*reader)->next();
    EXPECT_FALSE(piece) << start;
    const auto other = commit(static_cast<std::uint64_t>(start + 2) * 16, "other", 1);
    ASSERT_TRUE(other);
    spool_->settle(*other, 0, Settlement::delivered);
    spool_.reset();
  }
  open();
  spool_->settle(found_.at(0).ref, 0, Settlement::reported);
  spool_->settle(found_.at(0).ref, 1, Settlement::reported);
  spool_.reset();
  open();
  EXPECT_TRUE(found_.empty());
}

TEST_F(SpoolTest, ASegmentWhoseHeaderCannotBeReadIsSetAsideAndTheRestIsServed) {
  options_.spare_segments = 0;
  open();
  ASSERT_TRUE(commit(16, std::string(50'000, 'a')));
  for (std::uint64_t id = 32; id < 32 + 16 * 40; id += 16) {
    ASSERT_TRUE(commit(id, std::string(50'000, 'b')));
  }
  spool_.reset();
  disk_.fail_reads(kFirst, 0, kPage);
  const auto sound = verify("/spool", disk_, [](std::string) {});
  ASSERT_TRUE(sound) << sound.error().message;
  EXPECT_FALSE(*sound);
  open();
  EXPECT_TRUE(is_set_aside("segment 00000001.log: its header can't be read (bad sector)"));
  ASSERT_FALSE(found_.empty());
  EXPECT_GT(found_.front().ref.id.value, 16u);
  EXPECT_EQ(found_.back().ref.id.value, 32u + 16 * 39);
  for (const auto& message : found_) EXPECT_EQ(content_of(message.ref), std::string(50'000, 'b'));
  EXPECT_EQ(disk_.bytes(kFirst), nullptr);
  EXPECT_NE(disk_.bytes("/spool/set-aside/00000001.log"), nullptr);
  ASSERT_TRUE(commit(16'000, "new"));
}

TEST_F(SpoolTest, ASyncThatHangsIsSeenAndPasses) {
  ManualClock clock;
  clock_ = &clock;
  options_.spare_segments = 0;
  open();
  ASSERT_TRUE(commit(16, "before"));
  disk_.hang_syncs(true);
  std::optional<Result<MessageRef>> out;
  io_.restart();
  boost::asio::co_spawn(io_.get_executor(),
                        commit_one(spool_.get(), io_.get_executor(), 32, "waits", 1, &out),
                        boost::asio::detached);
  io_.poll();
  disk_.wait_for_hanging_sync("/spool/00000001.log");
  clock.advance(std::chrono::seconds(30));
  EXPECT_FALSE(spool_->stuck());
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(spool_->stuck());
  EXPECT_TRUE(spool_->health().stuck);
  EXPECT_FALSE(spool_->read_only());
  EXPECT_FALSE(out);
  disk_.hang_syncs(false);
  io_.run_for(std::chrono::seconds(20));
  ASSERT_TRUE(out);
  EXPECT_TRUE(*out);  // it was slow, and it is safe
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (spool_->stuck() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(spool_->stuck());
  EXPECT_TRUE(commit(48, "after"));
  spool_.reset();  // before its clock
}

TEST_F(SpoolTest, VerifyAndDumpReadARunningSpool) {
  open();
  ASSERT_TRUE(commit(16, "body"));
  const auto sound = verify("/spool", disk_, [](std::string) {});
  ASSERT_TRUE(sound);
  EXPECT_TRUE(*sound);
  std::string all;
  ASSERT_TRUE(dump(
      "/spool", disk_, [](std::string_view blob) { return std::string(blob); },
      [&all](std::string line) { all += line; }));
  EXPECT_NE(all.find("envelope"), std::string::npos);
}

}  // namespace
}  // namespace waypost::spool
