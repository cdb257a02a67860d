// The watch: intervals, back-off, being told, and stopping in the middle.
#include "waypost/routing/directory_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace waypost::routing {
namespace {

using std::chrono::minutes, std::chrono::seconds;

TEST(DirectoryWaits, DoubleUpToTheInterval) {
  EXPECT_EQ(directory_wait(minutes(5), 0, false, 0.5), minutes(5));
  EXPECT_EQ(directory_wait(minutes(5), 1, false, 0.5), seconds(15));
  EXPECT_EQ(directory_wait(minutes(5), 2, false, 0.5), seconds(30));
  EXPECT_EQ(directory_wait(minutes(5), 6, false, 0.5), minutes(5));
  EXPECT_EQ(directory_wait(minutes(5), 4'000'000'000u, false, 0.5), minutes(5));
  EXPECT_EQ(directory_wait(seconds(10), 100, false, 0.5), minutes(5));
  EXPECT_EQ(directory_wait(minutes(5), 1, true, 0.5), minutes(30));
  EXPECT_EQ(directory_wait(seconds(100), 0, false, 0), seconds(80));
  EXPECT_EQ(directory_wait(seconds(100), 0, false, 1), seconds(120));
}

/// What the threads and the test tell each other.
struct Shared {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::vector<DirectorySyncRequest> requests;
  std::vector<DirectoryOutcome> reports;
  bool fails = false, hangs = false;

  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, seconds(20), condition);
  }
};

class ScriptedDirectory final : public Directory {
 public:
  ScriptedDirectory(Shared& shared, const std::string& name) : shared_(shared) {
    options_.name = name;
  }
  const DirectoryOptions& options() const override { return options_; }
  DirectoryOutcome synchronise(DirectorySyncRequest request, std::stop_token stop) override {
    std::unique_lock lock(shared_.mutex);
    shared_.requests.push_back(request);
    shared_.changed.notify_all();
    DirectoryOutcome outcome;
    outcome.directory = options_.name;
    if (shared_.fails) outcome.error = Error{ErrorKind::network, "down"};
    // As the real one: a wait ends when a stop is wanted.
    if (shared_.hangs) shared_.changed.wait(lock, stop, [] { return false; });
    return outcome;
  }
  DirectoryCheck check(std::stop_token) override { return {}; }

 private:
  Shared& shared_;
  DirectoryOptions options_;
};

class WatchTest : public ::testing::Test {
 protected:
  std::unique_ptr<DirectoryWatch> watch(std::vector<std::string> names = {"ad"}) {
    std::vector<std::unique_ptr<Directory>> directories;
    for (const auto& name : names)
      directories.push_back(std::make_unique<ScriptedDirectory>(shared, name));
    return std::make_unique<DirectoryWatch>(
        std::move(directories),
        [this](const DirectoryOutcome& outcome) {
          const std::lock_guard lock(shared.mutex);
          shared.reports.push_back(outcome);
          shared.changed.notify_all();
        },
        clock);
  }
  std::size_t count_of(const std::string& name) const {  // REQUIRES: the lock is held
    return static_cast<std::size_t>(
        std::ranges::count(shared.reports, name, &DirectoryOutcome::directory));
  }
  std::size_t reports_of(const std::string& name) {
    const std::lock_guard lock(shared.mutex);
    return count_of(name);
  }
  bool reported(std::size_t count) {
    return shared.wait([&] { return shared.reports.size() >= count; });
  }

  ManualClock clock;
  Shared shared;
};

TEST_F(WatchTest, BeginsAtOnceAndGoesOnAtItsInterval) {
  const auto watching = watch({"ad", "other"});
  ASSERT_TRUE(reported(2));
  // Before its time nobody is read: what comes next is what was asked for, and nothing else.
  clock.advance(minutes(3));
  ASSERT_TRUE(watching->synchronise_now("ad"));
  ASSERT_TRUE(reported(3));
  EXPECT_EQ(reports_of("ad"), 2u);
  EXPECT_EQ(reports_of("other"), 1u);
  clock.advance(minutes(3));
  ASSERT_TRUE(shared.wait([&] { return count_of("other") == 2; }));
  EXPECT_EQ(reports_of("ad"), 2u) << "its interval began anew";
  clock.advance(minutes(3));
  ASSERT_TRUE(shared.wait([&] { return count_of("ad") == 3; }));
}

TEST_F(WatchTest, TriesAgainSoonerAfterAFailure) {
  shared.fails = true;
  const auto watching = watch();
  ASSERT_TRUE(reported(1));
  EXPECT_TRUE(shared.reports[0].error);
  clock.advance(seconds(18));
  ASSERT_TRUE(reported(2));
}

TEST_F(WatchTest, DoesAsItIsTold) {
  const auto watching = watch();
  ASSERT_TRUE(reported(1));
  EXPECT_TRUE(watching->synchronise_now("ad", {.full = true, .confirm_shrink = true}));
  ASSERT_TRUE(reported(2));
  EXPECT_TRUE(shared.requests[1].full);
  EXPECT_TRUE(shared.requests[1].confirm_shrink);
  EXPECT_TRUE(watching->synchronise_now("ad"));
  ASSERT_TRUE(reported(3));
  EXPECT_FALSE(shared.requests[2].confirm_shrink) << "a confirmation is good for once";
  EXPECT_FALSE(watching->synchronise_now("nobody"));
}

TEST_F(WatchTest, StopsInTheMiddleAndReportsNoMore) {
  shared.hangs = true;
  const auto watching = watch();
  ASSERT_TRUE(shared.wait([&] { return shared.requests.size() == 1; }));
  watching->stop();
  EXPECT_TRUE(shared.reports.empty());
}

}  // namespace
}  // namespace waypost::routing
