// What operators said, on a disk that fails.
#include "waypost/queue/journal.h"

#include "base/fault_disk.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <set>

namespace waypost::queue {
namespace {

constexpr const char* kPath = "/spool/control.journal";

class JournalTest : public ::testing::Test {
 protected:
  FaultDisk disk;
  std::vector<std::string> complaints;

  std::unique_ptr<Journal> open() {
    complaints.clear();
    return Journal::open(disk, kPath, {"exchange", "workmail"},
                         [this](const std::string& line) { complaints.push_back(line); });
  }
  static Command command(Verb verb, const std::string& reason = "") {
    Command made;
    made.verb = verb;
    made.by = "ann";
    made.reason = reason;
    return made;
  }
  static Result<> hold(Journal& journal, std::uint64_t id, const std::string& reason = "") {
    return journal.append(command(Verb::hold, reason), {{QueueId{id}, {0}, {}}});
  }
  static bool everything(std::uint64_t) { return true; }
  std::vector<std::uint64_t> held(const Journal& journal) {
    std::vector<std::uint64_t> ids;
    for (const auto& [id, recipients] : journal.state().held) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  /// The power goes; nothing survives that was not promised.
  void lose_power(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    disk.crash(random);
  }
};

TEST_F(JournalTest, WhatWasPromisedSurvivesEveryPowerCut) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    disk.restart_counting();
    disk.forget();
    auto journal = open();
    ASSERT_TRUE(hold(*journal, 16));
    ASSERT_TRUE(hold(*journal, 32));
    lose_power(seed);
    journal = open();
    EXPECT_EQ(held(*journal), (std::vector<std::uint64_t>{16, 32})) << seed;
    ASSERT_TRUE(journal->compact(everything));
    ASSERT_TRUE(hold(*journal, 48));
    lose_power(seed + 1000);
    EXPECT_EQ(held(*open()), (std::vector<std::uint64_t>{16, 32, 48})) << seed;
  }
}

TEST_F(JournalTest, EachOperationFailsOnceAndNoPromiseIsBroken) {
  for (std::uint64_t nth = 1; nth < 40; ++nth) {
    for (const auto how : {FaultDisk::Fault::io, FaultDisk::Fault::full}) {
      disk.forget();
      disk.restart_counting();
      disk.fail_operation(nth, how);
      std::vector<std::uint64_t> promised;
      auto journal = open();
      for (std::uint64_t id = 16; id <= 48; id += 16) {
        if (hold(*journal, id, std::string(id == 16 ? 300 : 0, 'x'))) promised.push_back(id);
      }
      (void)journal->compact(everything);
      if (hold(*journal, 64)) promised.push_back(64);
      lose_power(nth);
      journal = open();
      for (const std::uint64_t id : promised)
        EXPECT_TRUE(journal->state().held.contains(id)) << id << " after failure " << nth;
    }
  }
}

TEST_F(JournalTest, ATornLineDoesNotSpoilTheNext) {
  auto journal = open();
  ASSERT_TRUE(hold(*journal, 16));
  disk.restart_counting();
  disk.fail_operation(1, FaultDisk::Fault::full);  // half of it is written
  EXPECT_FALSE(hold(*journal, 32, std::string(500, 'x')));
  EXPECT_TRUE(journal->usable());  // room may come back
  ASSERT_TRUE(hold(*journal, 48));
  EXPECT_EQ(held(*open()), (std::vector<std::uint64_t>{16, 48}));
  EXPECT_TRUE(complaints.empty()) << complaints.front();
}

TEST_F(JournalTest, ATornLastLineIsLeftOutAndCoveredByTheNext) {
  auto journal = open();
  ASSERT_TRUE(hold(*journal, 16));
  *disk.bytes(kPath) += "{\"verb\":\"hold\",\"sel";
  journal = open();
  EXPECT_EQ(complaints.size(), 1u);
  ASSERT_TRUE(hold(*journal, 32));
  EXPECT_EQ(held(*open()), (std::vector<std::uint64_t>{16, 32}));
  EXPECT_TRUE(complaints.empty());
}

TEST_F(JournalTest, AfterAFailedSyncNothingMoreIsPromised) {
  auto journal = open();
  ASSERT_TRUE(hold(*journal, 16));
  disk.restart_counting();
  disk.fail_operation(2, FaultDisk::Fault::io);  // write, then sync
  EXPECT_FALSE(hold(*journal, 32));
  ASSERT_FALSE(journal->usable());
  EXPECT_NE(journal->usable().error().message.find("restart"), std::string::npos);
  EXPECT_FALSE(hold(*journal, 48));
  EXPECT_FALSE(journal->append(command(Verb::suspend), {}));
  EXPECT_TRUE(
      journal->append(command(Verb::remove), {{QueueId{16}, {0}, {}}}));  // need not survive
  EXPECT_EQ(held(*journal), std::vector<std::uint64_t>{16});
  // What was told to have failed is not done by the restart that mends it.
  EXPECT_EQ(held(*open()), std::vector<std::uint64_t>{16});
}

TEST_F(JournalTest, ARewriteThatFailsLeavesTheOldOneInUse) {
  auto journal = open();
  ASSERT_TRUE(hold(*journal, 16));
  ASSERT_TRUE(hold(*journal, 32));
  for (std::uint64_t nth = 1; nth <= 5; ++nth) {
    journal = open();
    disk.restart_counting();
    disk.fail_operation(nth, FaultDisk::Fault::full);
    (void)journal->compact(everything);
    disk.restart_counting();
    EXPECT_EQ(hold(*journal, 48).has_value(), journal->usable().has_value()) << nth;
    journal = open();
    EXPECT_TRUE(journal->state().held.contains(16)) << nth;
    EXPECT_TRUE(journal->state().held.contains(32)) << nth;
  }
}

TEST_F(JournalTest, ForgetsMessagesThatAreNoMore) {
  auto journal = open();
  ASSERT_TRUE(hold(*journal, 16));
  ASSERT_TRUE(hold(*journal, 32));
  ASSERT_TRUE(journal->compact([](std::uint64_t id) { return id == 32; }));
  EXPECT_EQ(held(*open()), std::vector<std::uint64_t>{32});
  journal = open();
  ASSERT_TRUE(journal->compact([](std::uint64_t) { return false; }));
  EXPECT_EQ(disk.paths(), std::vector<std::string>{std::string(kPath) + ".mark"});
  for (std::uint64_t seed = 0; seed < 8; ++seed) {  // its name was gone, and must be kept anew
    ASSERT_TRUE(hold(*journal, 48));
    lose_power(seed);
    journal = open();
    EXPECT_EQ(held(*journal), std::vector<std::uint64_t>{48});
    ASSERT_TRUE(journal->compact([](std::uint64_t) { return false; }));
  }
}

/// What was stopped is not known, so nothing goes until somebody says so.
TEST_F(JournalTest, WhereSomethingIsMissingEveryNextHopIsSuspended) {
  const auto changes = std::to_array<std::function<void(std::string&)>>(
      {[](std::string& text) { text.clear(); },
       [](std::string& text) { text.erase(0, text.find('\n') + 1); },
       [](std::string& text) { text.resize(text.size() - 5); },
       [](std::string& text) { text[text.find("workmail")] = 'W'; },
       [](std::string& text) { text.assign(text.size(), '\0'); }});
  for (const auto& change : changes) {
    disk.forget();
    auto journal = open();
    Command suspend = command(Verb::suspend);
    suspend.selector.next_hop = "workmail";
    ASSERT_TRUE(journal->append(suspend, {}));
    ASSERT_TRUE(hold(*journal, 16));
    change(*disk.bytes(kPath));
    disk.keep_changes();
    journal = open();
    EXPECT_FALSE(journal->damage().empty());
    std::set<std::string> suspended;
    for (const Selector& one : journal->state().suspensions) suspended.insert(one.next_hop);
    EXPECT_TRUE(suspended.contains("exchange") && suspended.contains("workmail"));
    EXPECT_FALSE(hold(*journal, 32)) << "until it is written anew";
    ASSERT_TRUE(journal->compact(everything));
    EXPECT_TRUE(hold(*journal, 32));
    journal = open();
    EXPECT_TRUE(journal->damage().empty());
    EXPECT_GE(journal->state().suspensions.size(), 2u) << "it stands until somebody ends it";
    EXPECT_NE(disk.bytes(std::string(kPath) + ".damaged"), nullptr);
  }
}

}  // namespace
}  // namespace waypost::queue
