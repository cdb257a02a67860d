// Disks that flip, cut, lose and refuse: what was acknowledged is kept or told of, and nothing
// else.
#include "waypost/spool/spool.h"

#include "base/fault_disk.h"
#include "spool/scan.h"
#include "spool/segment_index.h"
#include "spool/segment_list.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>

namespace waypost::spool {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::uint64_t kSegment = 1024 * 1024;

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

/// A spool without threads, so that every octet on its disk is known.
class Damage : public testing::Test {
 protected:
  void open(std::uint64_t minimum_free = 64 * 1024 * 1024) {
    options_.directory = "/spool";
    options_.segment_octets = kSegment;
    options_.stream_threshold = 64 * 1024;
    options_.minimum_free_octets = minimum_free;
    options_.own_threads = false;
    options_.salt = 4711;
    report_ = {};
    found_.clear();
    disk_.keep_changes();
    auto opened = Spool::open(
        options_, disk_, clock_, budget_, metrics_,
        [this](StoredMessage m) { found_.push_back(std::move(m)); }, report_);
    ASSERT_TRUE(opened) << opened.error().message;
    spool_ = std::move(*opened);
    spool_->step();
    clock_.advance(std::chrono::seconds(2));  // the list is written once in a while
  }
  /// kill -9: what was written stays.
  void die() {
    disk_.stop_at(1);
    spool_.reset();
    disk_.restart_counting();
  }
  void pass(Duration time) {
    for (const SteadyTime end = clock_.steady_now() + time; clock_.steady_now() < end;) {
      clock_.advance(std::chrono::milliseconds(500));
      spool_->step();
    }
  }
  Result<MessageRef> commit(std::uint64_t id, const std::string& content) {
    std::optional<Result<MessageRef>> out;
    io_.restart();
    boost::asio::co_spawn(io_.get_executor(),
                          store(spool_.get(), io_.get_executor(), id, content, &out),
                          boost::asio::detached);
    for (int turns = 0; turns < 1000 && !out; ++turns) {
      io_.poll();
      io_.restart();
      if (!out) spool_->step();
    }
    return out ? std::move(*out) : fail(ErrorKind::timeout, "no answer");
  }
  /// All in one batch.
  void commit_together(std::initializer_list<std::uint64_t> ids) {
    std::vector<std::optional<Result<MessageRef>>> out(ids.size());
    std::size_t next = 0;
    for (const std::uint64_t id : ids) {
      boost::asio::co_spawn(io_.get_executor(),
                            store(spool_.get(), io_.get_executor(), id, content(id), &out[next++]),
                            boost::asio::detached);
    }
    io_.restart();
    io_.poll();
    spool_->step();
    io_.restart();
    io_.poll();
    for (const auto& one : out) ASSERT_TRUE(one && *one);
  }
  static std::string content(std::uint64_t id) {
    return "content of " + std::to_string(id) + " " + std::string(3000, 'x');
  }
  /// Five messages, each in a batch of its own, none of them delivered; then kill -9.
  void five_and_die(bool rest) {
    disk_.forget();
    open();
    for (std::uint64_t id = 16; id <= 80; id += 16) ASSERT_TRUE(commit(id, content(id)));
    if (rest) pass(std::chrono::seconds(3));
    die();
  }
  Result<std::string> read_back(const MessageRef& ref) {
    auto reader = spool_->read(ref);
    if (!reader) return fail(reader.error());
    std::string all;
    while (true) {
      const auto piece = (*reader)->next();
      if (!piece) return fail(piece.error());
      if (piece->empty()) return all;
      all.append(*piece);
    }
  }
  std::vector<std::uint64_t> ids() const {
    std::vector<std::uint64_t> all;
    for (const auto& one : found_) all.push_back(one.ref.id.value);
    return all;
  }
  std::string told() const {
    std::string all;
    for (const auto& line : report_.set_aside) all += line + "\n";
    return all;
  }
  /// What verify says; empty: sound.
  std::string complaints() {
    std::string all;
    const auto sound =
        verify("/spool", disk_, [&](const std::string& line) { all += line + "\n"; });
    EXPECT_TRUE(sound);
    return sound && *sound ? std::string() : all;
  }
  std::string& bytes(const std::string& path) { return *disk_.bytes(path); }
  /// The oldest segment that holds mail.
  std::string used() {
    const auto list = decode_segment_list(bytes("/spool/segments"));
    if (list && !list->segments.empty())
      return "/spool/" + segment_name(list->segments.front().number);
    ADD_FAILURE() << "no segment holds mail";
    std::abort();
  }

  Options options_;
  FaultDisk disk_;
  ManualClock clock_;
  MemoryBudget budget_{0};
  ops::Metrics metrics_;
  RecoveryReport report_;
  std::vector<StoredMessage> found_;
  boost::asio::io_context io_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(Damage, OfTheContentKeepsTheMessageAsOneThatCanNotBeRead) {
  for (std::uint64_t id = 16; id <= 80; id += 16) {
    for (const int flips : {1, 2, 7}) {
      five_and_die(true);
      auto& segment = bytes(used());
      const auto at = segment.find(content(id).substr(0, 14));
      for (int i = 0; i < flips; ++i) segment[at + 20 + static_cast<std::size_t>(i) * 300] ^= 4;
      EXPECT_THAT(complaints(), HasSubstr("the content of message " + QueueId{id}.to_string()));
      open();
      EXPECT_EQ(ids(), (std::vector<std::uint64_t>{16, 32, 48, 64, 80})) << id;
      EXPECT_THAT(told(), HasSubstr("the content of message " + QueueId{id}.to_string() +
                                    " does not match its checksum"));
      EXPECT_THAT(told(), HasSubstr("this is damage"));
      for (const auto& one : found_) {
        const auto back = read_back(one.ref);
        EXPECT_EQ(back.has_value(), one.ref.id.value != id);
        if (back) {
          EXPECT_EQ(*back, content(one.ref.id.value));
        }
      }
      die();
      EXPECT_THAT(complaints(), Not(IsEmpty())) << "a start does not make it sound";
    }
  }
}

TEST_F(Damage, OfAHeadIsToldOfWithTheNameOfItsMessageAndStays) {
  for (std::uint64_t id = 16; id <= 80; id += 16) {
    // In the envelope; in the record's header: its magic, its id, its checksum.
    for (const int at : {9, -64, -64 + 17, -3}) {
      five_and_die(true);
      auto& segment = bytes(used());
      segment[segment.find("envelope of " + std::to_string(id)) + static_cast<std::size_t>(at)] ^=
          1;
      const std::string before = segment;
      EXPECT_THAT(complaints(), Not(IsEmpty())) << id << " " << at;
      open();
      EXPECT_THAT(found_, SizeIs(4)) << id << " " << at;
      EXPECT_THAT(told(), HasSubstr("it looks like message"));
      EXPECT_THAT(told(), HasSubstr("this is damage"));
      EXPECT_TRUE(bytes(used()) == before) << "nothing is blotted out";
      die();
    }
  }
}

TEST_F(Damage, OfASettlementIsToldOfAndTheMessageComesAgain) {
  disk_.forget();
  open();
  const auto ref = commit(16, content(16));
  ASSERT_TRUE(ref);
  spool_->settle(*ref, 0, Settlement::delivered);
  pass(std::chrono::seconds(3));
  ASSERT_TRUE(commit(32, content(32)));
  pass(std::chrono::seconds(3));
  die();
  auto& segment = bytes(used());
  // The batch behind the message's own: 64 octets of header, then the entry.
  const auto at = (segment.find("content of 16") + 3000) / kPage * kPage + kPage;
  ASSERT_EQ(segment.substr(at, 4), "WYPR");
  segment[at + 64 + 2] ^= 1;
  EXPECT_THAT(complaints(), HasSubstr("it looks like ends of recipients"));
  open();
  EXPECT_EQ(ids(), (std::vector<std::uint64_t>{16, 32}));
  EXPECT_THAT(told(), HasSubstr("it looks like ends of recipients"));
}

TEST_F(Damage, ZerosOverAWholeBatchAreToldOf) {
  for (std::uint64_t id = 16; id <= 80; id += 16) {
    five_and_die(true);  // a proof lies behind the last
    auto& segment = bytes(used());
    segment.replace(segment.find("content of " + std::to_string(id)) / kPage * kPage, kPage, kPage,
                    '\0');
    EXPECT_THAT(complaints(), HasSubstr("nothing but zeros where something was written")) << id;
    open();
    EXPECT_THAT(found_, SizeIs(4)) << id;
    EXPECT_THAT(told(), HasSubstr("nothing but zeros where something was written; it was safe"));
    die();
    EXPECT_THAT(complaints(), HasSubstr("nothing but zeros")) << "a start does not make it sound";
  }
}

TEST_F(Damage, ABatchInThePlaceOfAnotherIsToldOf) {
  for (std::uint64_t id = 16; id <= 80; id += 16) {
    five_and_die(true);
    auto& segment = bytes(used());
    const auto page = [&](std::uint64_t of) {
      return segment.find("content of " + std::to_string(of)) / kPage * kPage;
    };
    const std::uint64_t neighbour = id == 16 ? 32 : id - 16;
    segment.replace(page(id), kPage, segment.substr(page(neighbour), kPage));
    EXPECT_THAT(complaints(), HasSubstr("stands here again")) << id;
    open();
    EXPECT_THAT(found_, SizeIs(4)) << id;
    EXPECT_THAT(told(), HasSubstr("what was written at one of the two places is gone"));
    die();
  }
}

TEST_F(Damage, ZerosBehindTheHeaderAreToldOfWhereTheListKnowsBetter) {
  for (const bool listed : {true, false}) {
    five_and_die(true);
    if (!listed) {
      ASSERT_TRUE(disk_.remove("/spool/segments"));
    }
    auto& segment = bytes(listed ? used() : "/spool/" + segment_name(1));
    std::fill(segment.begin() + static_cast<std::ptrdiff_t>(kPage), segment.end(), '\0');
    EXPECT_EQ(complaints().empty(), !listed) << complaints();
    open();
    EXPECT_THAT(found_, IsEmpty());
    EXPECT_EQ(told().empty(), !listed) << told();
    die();
  }
}

TEST_F(Damage, ZerosAtTheEndOfASealedSegmentAreToldOf) {
  five_and_die(true);
  open();  // what the last life wrote is sealed, and the list knows how much that was
  ASSERT_TRUE(commit(160, "new mail"));
  pass(std::chrono::seconds(3));
  die();
  auto& segment = bytes(used());
  const auto at = segment.find("content of 64") / kPage * kPage;
  std::fill(segment.begin() + static_cast<std::ptrdiff_t>(at), segment.end(), '\0');
  EXPECT_THAT(complaints(), HasSubstr("nothing but zeros where something was written"));
}

TEST_F(Damage, OfTheLastBatchMayBeAWriteThatWasNotFinished) {
  five_and_die(false);  // nothing was written behind the last message
  auto& segment = bytes(used());
  segment[segment.find("content of 80") + 100] ^= 1;
  EXPECT_THAT(complaints(), HasSubstr("perhaps only a write that was not finished"));
  open();
  EXPECT_EQ(ids(), (std::vector<std::uint64_t>{16, 32, 48, 64}));
  EXPECT_THAT(told(), HasSubstr("nobody was told that it is safe"));
  die();
  EXPECT_THAT(complaints(), IsEmpty());
}

/// Of one batch any pages may be missing after a power cut: what is sound behind a torn record was
/// no reason to take it for damage later, when the segment is not the last any more.
TEST_F(Damage, ATornBatchIsNoDamageAtLaterStarts) {
  const auto header_of = [&](std::string& segment, std::uint64_t id) {
    return segment.find("envelope of " + std::to_string(id)) - sizeof(RecordHeader);
  };
  const auto tear = [&](const std::vector<std::uint64_t>& torn, bool heads) {
    for (const std::uint64_t id : torn) {
      auto& segment = bytes(used());
      const auto at =
          heads ? header_of(segment, id) : segment.find("content of " + std::to_string(id)) + 1000;
      std::fill_n(segment.begin() + static_cast<std::ptrdiff_t>(at), 64, '\0');
    }
  };
  for (const bool heads : {true, false}) {
    for (const auto& torn : std::vector<std::vector<std::uint64_t>>{
             {32}, {48}, {64}, {32, 48}, {32, 64}, {48, 64}, {32, 48, 64}}) {
      disk_.forget();
      open();
      ASSERT_TRUE(commit(16, content(16)));
      commit_together({32, 48, 64});
      die();
      tear(torn, heads);
      open();
      EXPECT_THAT(found_, SizeIs(4 - torn.size()));
      ASSERT_TRUE(commit(80, content(80)));
      die();
      EXPECT_EQ(complaints(), "");
      for (const bool with_index : {true, false}) {
        if (!with_index) (void)disk_.remove("/spool/" + index_name(1));
        open();
        EXPECT_EQ(told(), "");
        EXPECT_THAT(found_, SizeIs(5 - torn.size()));
        die();
      }
    }
  }
}

TEST_F(Damage, AKilledDaemonLeavesASoundSpool) {
  for (const bool rest : {false, true}) {
    five_and_die(rest);
    EXPECT_EQ(complaints(), "");
    open();
    EXPECT_THAT(found_, SizeIs(5));
    EXPECT_EQ(told(), "");
    die();
  }
}

TEST_F(Damage, OfAHeaderBlockIsNoSpareAndToldOf) {
  const auto fill = [](std::string& segment, std::size_t octets, std::string_view with) {
    for (std::size_t i = 0; i < octets; ++i) segment[i] = with[i % with.size()];
  };
  for (const std::size_t octets : {kPage, std::uint64_t{2100}, 5 * kPage / 4}) {
    for (const std::string_view with : {std::string_view("\0", 1), std::string_view("a log\n")}) {
      for (const bool listed : {true, false}) {
        five_and_die(true);
        const std::string path = used();
        fill(bytes(path), octets, with);
        if (!listed) {
          ASSERT_TRUE(disk_.remove("/spool/segments"));
        }
        EXPECT_THAT(complaints(), HasSubstr("no sound header, and behind it"));
        open();
        EXPECT_THAT(found_, IsEmpty());
        EXPECT_THAT(told(), HasSubstr("its header can't be read"));
        EXPECT_THAT(told(), HasSubstr("mail that it held is not delivered"));
        EXPECT_THAT(told(), HasSubstr("messages"));
        EXPECT_EQ(disk_.bytes(path), nullptr);
        EXPECT_NE(disk_.bytes("/spool/set-aside/" + path.substr(7)), nullptr);
        ASSERT_TRUE(commit(160, "new mail goes on"));
        die();
      }
    }
  }
}

/// The evidence of a loss: a power cut right after does not take it, and an older one of the same
/// name stands.
TEST_F(Damage, WhatIsSetAsideStaysThere) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    five_and_die(true);
    const std::string segment = used();
    const std::string aside = "/spool/set-aside/" + segment.substr(7);
    std::mt19937_64 random(seed);
    ASSERT_TRUE(disk_.open(aside, true));
    ASSERT_TRUE(disk_.sync_directory("/spool/set-aside"));
    bytes(aside) = "older";
    std::fill_n(bytes(segment).begin(), kPage, '\0');
    open();
    EXPECT_THAT(told(), HasSubstr("the file was moved to set-aside"));
    disk_.stop_at(1);
    spool_.reset();
    disk_.crash(random);
    EXPECT_EQ(disk_.bytes(segment), nullptr);
    EXPECT_EQ(bytes(aside), "older");
    ASSERT_NE(disk_.bytes(aside + "-2"), nullptr);
    EXPECT_THAT(bytes(aside + "-2"), HasSubstr("content of 48"));
  }
}

TEST_F(Damage, OneCopyOfTheHeaderIsEnough) {
  for (const std::size_t at : {std::size_t{9}, std::size_t{2048 + 17}}) {
    five_and_die(true);
    bytes(used())[at] ^= 1;
    open();
    EXPECT_THAT(found_, SizeIs(5));
    die();
  }
}

TEST_F(Damage, AMissingACutAndAnEmptyFileAreToldOf) {
  for (const char* what : {"missing", "empty", "cut to its header", "cut in the middle", "zeros"}) {
    five_and_die(true);
    const std::string path = used();
    const std::string name = path.substr(7);
    if (what == std::string("missing")) {
      ASSERT_TRUE(disk_.remove(path));
    }
    if (what == std::string("empty")) bytes(path).clear();
    if (what == std::string("cut to its header")) bytes(path).resize(kPage);
    if (what == std::string("cut in the middle")) bytes(path).resize(3 * kPage);
    if (what == std::string("zeros")) bytes(path).assign(kSegment, '\0');
    EXPECT_THAT(complaints(), HasSubstr(name + ": ")) << what;
    open();
    EXPECT_THAT(told(), HasSubstr("segment " + name + ": ")) << what;
    EXPECT_THAT(told(), HasSubstr("not delivered")) << what;
    EXPECT_LT(found_.size(), 5u);
    ASSERT_TRUE(commit(160, "new mail goes on"));
    die();
    open();
    EXPECT_FALSE(found_.empty());
    die();
  }
}

TEST_F(Damage, AMissingFileAmongSeveralIsToldOfAndWhatWasFreedIsNot) {
  disk_.forget();
  open();
  std::vector<MessageRef> refs;
  for (std::uint64_t id = 16; id < 16 * 60; id += 16) {
    auto ref = commit(id, content(id) + std::string(50'000, 'y'));
    ASSERT_TRUE(ref);
    refs.push_back(*ref);
  }
  for (std::size_t i = 0; i < 30; ++i) spool_->settle(refs[i], 0, Settlement::delivered);
  pass(std::chrono::seconds(20));
  die();
  EXPECT_EQ(complaints(), "");
  open();
  EXPECT_EQ(told(), "") << "freed, used again and removed files are no gap";
  pass(std::chrono::seconds(5));
  die();
  const std::string path = used();
  ASSERT_TRUE(disk_.remove(path));
  EXPECT_THAT(complaints(), HasSubstr(path.substr(7) + ": the file is missing"));
  open();
  EXPECT_THAT(told(), HasSubstr("the file is missing; mail that it held is not delivered"));
}

TEST_F(Damage, ADamagedListIsToldOfAndWrittenAnew) {
  five_and_die(true);
  bytes("/spool/segments")[70] ^= 1;
  EXPECT_THAT(complaints(), HasSubstr("/spool/segments: its checksum is wrong"));
  open();
  EXPECT_THAT(found_, SizeIs(5));
  EXPECT_THAT(told(), HasSubstr("/spool/segments: its checksum is wrong"));
  die();
  EXPECT_EQ(complaints(), "");
}

TEST_F(Damage, AMessageWhoseSyncFailedDoesNotComeBackWithARestart) {
  for (const bool first : {true, false}) {
    disk_.forget();
    disk_.restart_counting();
    open();
    if (!first) {
      ASSERT_TRUE(commit(16, content(16)));
    }
    pass(std::chrono::seconds(5));
    disk_.fail_operation(disk_.operations() + 2, FaultDisk::Fault::io);  // write, sync
    const auto refused = commit(32, content(32));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::read_only);
    die();
    open();
    EXPECT_THAT(found_, SizeIs(first ? 0 : 1));
    EXPECT_EQ(told(), "");
    die();
  }
}

TEST_F(Damage, AFullDiskIsNotAskedForSparesWithoutEnd) {
  open();
  disk_.set_full(true);
  pass(std::chrono::seconds(1));
  const auto before = disk_.operations();
  pass(std::chrono::minutes(10));
  EXPECT_LT(disk_.operations() - before, 400u);
  disk_.set_full(false);
  pass(std::chrono::minutes(2));
  EXPECT_EQ(spool_->health().segments_spare, options_.spare_segments);
}

/// Else whatever needs another segment is refused while the gateway says that it is ready, and
/// what was delivered can't be written down.
TEST_F(Damage, WithoutRoomForTheNextSegmentNoMailIsTakenWhateverTheLimit) {
  open();
  ASSERT_TRUE(commit(16, content(16)));
  die();
  open(0);
  disk_.set_free(kSegment / 2);
  std::uint64_t id = 32;
  for (; spool_->health().segments_spare > 0 && id < 4000; id += 16) {
    EXPECT_TRUE(spool_->has_room());
    ASSERT_TRUE(commit(id, std::string(50'000, 'a')));
    pass(std::chrono::seconds(1));
  }
  EXPECT_FALSE(spool_->has_room());
  EXPECT_TRUE(commit(id, content(id))) << "what comes all the same has its place";
  disk_.set_free(2 * kSegment);
  pass(std::chrono::seconds(40));
  EXPECT_TRUE(spool_->has_room());
}

TEST_F(Damage, ADiskThatTakesNoWriteIsToldOfAfterTenSecondsAndPasses) {
  open();
  ASSERT_TRUE(commit(16, content(16)));
  disk_.set_dead(true, false);
  EXPECT_FALSE(commit(32, content(32)));
  pass(std::chrono::seconds(5));
  EXPECT_EQ(spool_->health().failing, "") << "one bad moment";
  pass(std::chrono::seconds(7));  // without any mail
  EXPECT_THAT(spool_->health().failing, HasSubstr("nothing can be written: the disk is dead"));
  pass(std::chrono::minutes(5));
  EXPECT_NE(spool_->health().failing, "");
  disk_.set_dead(false, false);
  pass(std::chrono::seconds(2));
  EXPECT_EQ(spool_->health().failing, "");
  EXPECT_TRUE(commit(48, content(48)));
}

TEST_F(Damage, AFullDiskIsNoDeadDisk) {
  open();
  ASSERT_TRUE(commit(16, content(16)));
  disk_.set_full(true);
  disk_.set_free(0);
  EXPECT_FALSE(commit(32, content(32)));
  pass(std::chrono::minutes(1));
  EXPECT_EQ(spool_->health().failing, "") << "its free space tells it";
  EXPECT_FALSE(spool_->has_room());
}

TEST_F(Damage, ADiskThatTakesNothingThoughItHasSpaceIsToldOf) {
  open();
  ASSERT_TRUE(commit(16, content(16)));
  disk_.set_full(true);  // a quota, no more inodes, a limit on the size of files
  EXPECT_FALSE(commit(32, content(32)));
  pass(std::chrono::seconds(13));
  EXPECT_THAT(spool_->health().failing, HasSubstr("nothing can be written: no space left"));
  disk_.set_full(false);
  pass(std::chrono::seconds(2));
  EXPECT_EQ(spool_->health().failing, "");
  EXPECT_TRUE(commit(48, content(48)));
}

TEST_F(Damage, ADiskThatNothingCanBeReadFromIsToldOfAndABadSectorIsNot) {
  for (const bool dead : {true, false}) {
    disk_.forget();
    open();
    const auto ref = commit(16, content(16));
    ASSERT_TRUE(ref);
    const std::string path = used();
    if (dead) {
      disk_.set_dead(false, true);
    } else {
      disk_.fail_reads(path, kPage, kPage);
    }
    EXPECT_FALSE(read_back(*ref));
    pass(std::chrono::seconds(13));
    EXPECT_EQ(spool_->health().failing != "", dead);
    disk_.set_dead(false, false);
    pass(std::chrono::seconds(2));
    EXPECT_EQ(spool_->health().failing, "");
    die();
  }
}

TEST_F(Damage, WhatCanNotBeCopiedToSetAsideKeepsItsSegment) {
  five_and_die(true);
  const std::string segment = used();
  const auto envelope = bytes(segment).find("envelope of 48");
  ASSERT_NE(envelope, std::string::npos);
  bytes(segment)[envelope] = 'E';
  const auto copies = [this] {
    auto all = disk_.paths();
    std::erase_if(all, [](const auto& path) { return !path.starts_with("/spool/set-aside/"); });
    return all;
  };
  disk_.set_full(true);
  open();
  disk_.set_full(false);
  EXPECT_THAT(told(), HasSubstr("it looks like message"));
  EXPECT_THAT(told(), HasSubstr("it can't be copied to set-aside (no space left)"));
  EXPECT_THAT(copies(), IsEmpty()) << "half a copy looks like a whole one";
  for (const auto& one : found_) spool_->settle(one.ref, 0, Settlement::delivered);
  ASSERT_TRUE(commit(96, content(96)));
  pass(std::chrono::seconds(5));
  const auto oldest = [this] {
    return decode_segment_list(bytes("/spool/segments"))->segments.front().sequence;
  };
  const std::uint64_t damaged = oldest();
  EXPECT_EQ(used(), segment) << "it is the only copy";
  EXPECT_THAT(bytes(segment), HasSubstr("Envelope of 48"));
  die();
  open();
  EXPECT_THAT(told(), HasSubstr("it looks like message"));
  EXPECT_THAT(told(), Not(HasSubstr("can't be copied")));
  ASSERT_THAT(copies(), SizeIs(1));
  EXPECT_THAT(bytes(copies()[0]), HasSubstr("Envelope of 48"));
  for (const auto& one : found_) spool_->settle(one.ref, 0, Settlement::delivered);
  ASSERT_TRUE(commit(112, content(112)));
  pass(std::chrono::seconds(5));
  EXPECT_GT(oldest(), damaged) << "there is a copy now";
}

TEST_F(Damage, ContentThatStreamsInKeepsTheFreeSpaceLimit) {
  open();
  pass(std::chrono::seconds(5));
  disk_.set_free(options_.minimum_free_octets + 10 * kSegment);
  pass(std::chrono::seconds(2));
  ASSERT_TRUE(spool_->has_room());
  EXPECT_TRUE(commit(16, std::string(200'000, 'a')));
  disk_.set_free(options_.minimum_free_octets - 1);
  pass(std::chrono::seconds(2));
  const auto before = spool_->health().used_octets;
  const auto refused = commit(32, std::string(900'000, 'b'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::exhausted);
  EXPECT_EQ(spool_->health().used_octets, before) << "not a piece of it was written";
  disk_.set_free(options_.minimum_free_octets + kSegment / 2);  // no room for one file more
  pass(std::chrono::seconds(2));
  std::uint64_t segments = spool_->health().segments_live + spool_->health().segments_spare;
  for (std::uint64_t id = 48; id < 400; id += 16) (void)commit(id, std::string(400'000, 'c'));
  EXPECT_LE(spool_->health().segments_live + spool_->health().segments_spare, segments);
}

}  // namespace
}  // namespace waypost::spool
