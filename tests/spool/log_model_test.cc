// The log against a model, driven by one seed on one thread: crash at any operation, lose any
// unsynced octets, recover, compare. WAYPOST_SPOOL_ROUNDS makes it longer; a failing seed replays.
#include "waypost/base/crc32c.h"

#include "base/fault_disk.h"
#include "spool/content_reader.h"
#include "spool/log.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace waypost::spool {
namespace {

Options small_options() {
  Options options;
  options.directory = "/spool";
  options.segment_octets = 64 * 1024;
  options.batch_messages = 8;
  options.spare_segments = 2;
  return options;
}

struct Known {
  std::string envelope, content;
  std::vector<std::uint8_t> states;   // as told to the log
  std::vector<std::uint8_t> durable;  // as certainly on disk
  bool acknowledged = false;
  MessageRef ref;
};

class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed) {}

  std::mt19937_64& random() { return random_; }
  FaultDisk& disk() { return disk_; }
  std::map<std::uint64_t, Known>& known() { return known_; }
  Log& log() { return *log_; }
  std::uint64_t indexed() const { return indexed_; }

  void open(bool after_crash) {
    log_.reset();
    if (after_crash) disk_.crash(random_);
    log_ = std::make_unique<Log>(small_options(), disk_, budget_);
    found_.clear();
    RecoveryReport report;
    const auto result = log_->recover(report);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_THAT(
        log_->hand_over({[this](StoredMessage m) { found_[m.ref.id.value] = std::move(m); }}),
        testing::IsEmpty());
    indexed_ += report.segments_indexed;
    compare();
  }

  /// kill -9: what was written stays with the system, on the disk or not.
  void open_after_kill() {
    disk_.restart_counting();
    open(false);
  }

  /// Every `nth` message stays for long.
  void keep(std::uint64_t nth) { straggler_ = nth; }

  /// How many steps the log takes until it has no space left to reclaim.
  int reclaim_until_rest() {
    constexpr int kTooMany = 2000;
    int steps = 0;
    while (steps < kTooMany && log_->reclaim()) ++steps;
    return steps;
  }

  std::uint64_t segments() {
    const auto paths = disk_.paths();
    return static_cast<std::uint64_t>(
        std::count_if(paths.begin(), paths.end(),
                      [](const std::string& path) { return path.ends_with(".log"); }));
  }

  /// Settles every recipient; the highest id that was acknowledged.
  std::uint64_t finish_all() {
    std::deque<Request*> requests;
    std::uint64_t highest = 0;
    for (auto& [id, known] : known_) {
      if (!known.acknowledged) continue;
      highest = id;
      for (std::uint32_t i = 0; i < known.states.size(); ++i) {
        if (known.states[i] == 0) requests.push_back(settle(known, i));
      }
    }
    run(requests);
    return highest;
  }

  void step() {
    if (const auto order = log_->take_index_order(random_() % 4 == 0)) {
      (void)write_index(disk_, *order, random_() % 2 == 0);
    }
    if (const auto order = log_->take_list_order(); order && !log_->carry_out(*order))
      log_->keep_for_later(*order);
    if (random_() % 8 == 0) log_->prove_last_batch();
    switch (random_() % 4) {
      case 0:
      case 1:
        commit_some();
        break;
      case 2:
        settle_some();
        break;
      default:
        log_->reclaim();
        break;
    }
  }

 private:
  void compare() {
    for (auto& [id, known] : known_) {
      const auto found = found_.find(id);
      const bool gone =
          std::find(known.durable.begin(), known.durable.end(), 0) == known.durable.end();
      const bool maybe_gone =
          std::find(known.states.begin(), known.states.end(), 0) == known.states.end();
      if (found == found_.end()) {
        EXPECT_TRUE(!known.acknowledged || maybe_gone) << "lost " << id;
        continue;
      }
      EXPECT_FALSE(gone) << "a finished message came back: " << id;
      check(known, found->second);
    }
    for (const auto& [id, stored] : found_) EXPECT_TRUE(known_.contains(id)) << "invented " << id;
    std::erase_if(known_, [this](const auto& k) { return !found_.contains(k.first); });
    finished_ids_ok();
  }
  void finished_ids_ok() {
    for (auto& [id, known] : known_) {
      known.acknowledged = true;
      known.ref = found_[id].ref;
      for (std::size_t i = 0; i < known.states.size(); ++i) {
        known.states[i] = known.durable[i] = static_cast<std::uint8_t>(found_[id].settled[i]);
      }
    }
  }
  void check(const Known& known, const StoredMessage& stored) {
    EXPECT_EQ(stored.envelope, known.envelope);
    ASSERT_EQ(stored.settled.size(), known.states.size());
    for (std::size_t i = 0; i < known.states.size(); ++i) {
      const auto state = static_cast<std::uint8_t>(stored.settled[i]);
      EXPECT_TRUE(state == known.states[i] || (state == 0 && known.durable[i] == 0));
    }
    auto reader = make_content_reader(*log_, stored.ref);
    ASSERT_TRUE(reader);
    std::string all;
    while (true) {
      auto piece = (*reader)->next();
      ASSERT_TRUE(piece) << piece.error().message;
      if (piece->empty()) break;
      all.append(*piece);
    }
    EXPECT_TRUE(all == known.content);
  }

  std::string noise(std::size_t octets) {
    std::string bytes(octets, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }

  void run(std::deque<Request*>& requests) {
    while (!requests.empty() || (log_->has_unwritten_settlements() && requests.empty())) {
      const bool only_settlements = requests.empty();
      log_->run_batch(requests);
      if (only_settlements) break;
    }
    for (auto& [id, known] : known_) {
      if (!log_->read_only() && !log_->has_unwritten_settlements()) known.durable = known.states;
    }
  }

  void commit_some() {
    std::vector<std::unique_ptr<WaitingRequest>> owned;
    std::deque<Request*> requests;
    for (std::uint64_t n = 1 + random_() % 10; n > 0; --n) {
      auto request = std::make_unique<MessageRequest>(io_.get_executor());
      request->id = QueueId{next_id_++};
      request->envelope = noise(random_() % 200);
      request->recipients = static_cast<std::uint32_t>(1 + random_() % 3);
      Known known;
      known.envelope = request->envelope;
      for (std::uint64_t pieces = random_() % 8 == 0 ? 1 + random_() % 5 : 0; pieces > 0;
           --pieces) {
        stream_piece(*request, known.content);
      }
      const std::string rest = noise(random_() % 6000);
      request->content.append(rest);
      known.content += rest;
      known.states.assign(request->recipients, 0);
      known.durable = known.states;
      known_[request->id.value] = known;
      requests.push_back(request.get());
      owned.push_back(std::move(request));
    }
    run(requests);
    for (const auto& request : owned) {
      auto& message = static_cast<MessageRequest&>(*request);
      Known& known = known_[message.id.value];
      known.acknowledged = !message.error;
      known.ref = message.ref;
    }
    log_->done().clear();
  }

  void stream_piece(MessageRequest& message, std::string& content) {
    ChunkRequest chunk(io_.get_executor());
    const std::string bytes = noise(1 + random_() % 9000);
    chunk.content.append(bytes);
    std::deque<Request*> requests{&chunk};
    run(requests);
    log_->done().clear();
    if (chunk.error) return;
    message.extents.push_back(chunk.extent);
    content += bytes;
  }

  void settle_some() {
    std::deque<Request*> requests;
    for (auto& [id, known] : known_) {
      if (!known.acknowledged || random_() % 3 == 0) continue;
      if (id % straggler_ == 0 && random_() % 40 != 0) continue;
      for (std::uint32_t i = 0; i < known.states.size(); ++i) {
        if (known.states[i] != 0 || random_() % 2 == 0) continue;
        requests.push_back(settle(known, i));
      }
    }
    run(requests);
  }
  SettleRequest* settle(Known& known, std::uint32_t recipient) {
    known.states[recipient] = static_cast<std::uint8_t>(1 + random_() % 3);
    auto* request = new SettleRequest;
    const std::lock_guard lock(log_->slots().mutex(known.ref.slot));
    Slot& slot = *log_->slots().find(known.ref.slot);
    slot.set_state(recipient, known.states[recipient]);
    --slot.open;
    ++slot.pending;
    request->slot = known.ref.slot;
    request->entry = {known.ref.id.value, 0, log_->next_stamp(), recipient,
                      known.states[recipient]};
    return request;
  }

  std::mt19937_64 random_;
  std::uint64_t straggler_ = 17;
  FaultDisk disk_;
  MemoryBudget budget_{0};  // nothing stays in memory: every read goes to the log
  boost::asio::io_context io_;
  std::unique_ptr<Log> log_;
  std::map<std::uint64_t, Known> known_;
  std::map<std::uint64_t, StoredMessage> found_;
  std::uint64_t next_id_ = 16;
  std::uint64_t indexed_ = 0;
};

std::uint64_t rounds(std::uint64_t usual) {
  const char* text = std::getenv("WAYPOST_SPOOL_ROUNDS");
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

TEST(LogModel, KeepsWhatItAcknowledgedOverCrashesAtAnyOperation) {
  for (std::uint64_t seed = 1; seed <= rounds(8); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    model.open(false);
    for (int life = 0; life < 6; ++life) {
      model.disk().stop_at(1 + model.random()() % 200);
      for (int i = 0; i < 80; ++i) model.step();
      if (model.random()() % 3 == 0) model.open_after_kill();
      model.open(true);
      if (model.random()() % 2 == 0) model.open(true);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(LogModel, SurvivesTheFailureOfEachSingleOperation) {
  for (std::uint64_t nth = 1; nth <= rounds(60); ++nth) {
    SCOPED_TRACE("operation " + std::to_string(nth));
    Model model(1000 + nth % 7);
    model.open(false);
    model.disk().fail_operation(nth, nth % 2 == 0 ? FaultDisk::Fault::io : FaultDisk::Fault::full);
    for (int i = 0; i < 60; ++i) model.step();
    model.open(true);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LogModel, SpaceOfFinishedMessagesIsUsedAgain) {
  Model model(7);
  model.open(false);
  std::uint64_t most = 0;
  for (int i = 0; i < 500; ++i) {
    model.step();
    if (i > 100) most = std::max<std::uint64_t>(most, model.segments());
  }
  EXPECT_GT(model.disk().operations(), 250u);
  EXPECT_LT(most, 100u);
  model.open(false);
}

TEST(LogModel, ReclaimingSpaceComesToAnEnd) {
  for (std::uint64_t seed = 1; seed <= rounds(10); ++seed) {
    Model model(seed);
    model.open(false);
    model.keep(2 + seed % 5);
    for (int i = 0; i < 150; ++i) {
      model.step();
      ASSERT_LT(model.reclaim_until_rest(), 2000) << "seed " << seed << ", step " << i;
    }
  }
}

TEST(LogModel, AFullDiskHoldsUpReclaimingNoLongerThanItLasts) {
  for (std::uint64_t seed = 1; seed <= rounds(10); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    model.open(false);
    model.keep(2 + seed % 5);
    for (int i = 0; i < 60; ++i) model.step();
    model.disk().set_full(true);
    for (int i = 0; i < 40; ++i) model.step();  // stragglers can't be moved, segments not marked
    model.reclaim_until_rest();
    model.disk().set_full(false);
    model.finish_all();
    model.log().try_again();
    ASSERT_LT(model.reclaim_until_rest(), 2000);
    // Settlements may speak of each other's segments in turn; what was pinned for good is more.
    EXPECT_LE(model.log().segments_live(), 4u);
    model.open(false);
  }
}

TEST(LogModel, TheHighestIdOutlivesItsMessage) {
  for (std::uint64_t seed = 1; seed <= rounds(5); ++seed) {
    Model model(seed);
    model.open(false);
    for (int i = 0; i < 40; ++i) model.step();
    const std::uint64_t highest = model.finish_all();
    for (int restart = 0; restart < 3; ++restart) {
      MemoryBudget budget(0);
      Log log(small_options(), model.disk(), budget);
      RecoveryReport report;
      ASSERT_TRUE(log.recover(report));
      EXPECT_GE(report.highest_id.value, highest) << "seed " << seed << ", restart " << restart;
    }
  }
}

TEST(LogModel, FlippedBitsLoseOnlyTheRecordsTheyHit) {
  for (std::uint64_t seed = 1; seed <= rounds(20); ++seed) {
    Model model(seed);
    model.open(false);
    for (int i = 0; i < 30; ++i) model.step();
    const auto paths = model.disk().paths();
    for (int flips = 0; flips < 3 && !paths.empty(); ++flips) {
      std::string& bytes = *model.disk().bytes(paths[model.random()() % paths.size()]);
      if (!bytes.empty()) bytes[model.random()() % bytes.size()] ^= 4;
    }
    model.disk().keep_changes();
    std::size_t before = 0;
    for (const auto& [id, known] : model.known()) {
      before += std::find(known.states.begin(), known.states.end(), 0) != known.states.end();
    }
    MemoryBudget budget(0);
    Log log(small_options(), model.disk(), budget);
    RecoveryReport report;
    ASSERT_TRUE(log.recover(report));
    EXPECT_GE(report.messages + 3, before) << "seed " << seed;
  }
}

TEST(Crc32c, AgreesWithThePublishedCheckValueInBothForms) {
  EXPECT_EQ(crc32c(0, "123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c_portable(0, "123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(crc32c(0, "1234"), "56789"), 0xE3069283u);
}

}  // namespace
}  // namespace waypost::spool
