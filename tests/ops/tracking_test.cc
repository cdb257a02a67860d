#include "waypost/ops/tracking.h"

#include "file_limit.h"
#include "stalled_stderr.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

namespace waypost::ops {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TrackingFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("waypost-tracking-" + std::to_string(::getpid()) + "-" +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
    path_ = directory_ / "tracking.log";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  static std::vector<std::string> lines_of(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  std::filesystem::path directory_, path_;
};

TEST_F(TrackingFileTest, ALineThatAFullDiskHasCutIsNotContinued) {
  auto log = TrackingLog::open({path_});
  ASSERT_TRUE(log);
  TrackingEvent event;
  event.queue_id = QueueId{32};
  const std::size_t length = to_json_line(event).size() + 1;
  {
    const FileLimit full(2 * length + length / 2);
    for (int i = 0; i < 4; ++i) (*log)->write(event);
    EXPECT_TRUE((*log)->flush(seconds(10)));
    (*log)->write(event);  // nothing of this one
    EXPECT_TRUE((*log)->flush(seconds(10)));
  }
  EXPECT_EQ((*log)->lines_lost(), 3u);
  for (int i = 0; i < 2; ++i) (*log)->write(event);
  EXPECT_TRUE((*log)->flush(seconds(10)));
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), 5u);
  for (const std::size_t whole : {0, 1, 3, 4})
    EXPECT_EQ(lines[whole], to_json_line(event)) << whole;
}

TEST(TrackingEvent, OnlyWhatIsSetIsWritten) {
  TrackingEvent event;
  event.at = WallTime(std::chrono::microseconds(1'764'547'200'000'123));
  event.queue_id = QueueId{32};
  event.sender = "<>";
  EXPECT_EQ(
      to_json_line(event),
      R"({"time":"2025-12-01T00:00:00.000123Z","event":"received","queue_id":"000000000010","sender":"<>"})");
}

TEST(TrackingEvent, HostileTextStaysValidJson) {
  TrackingEvent event;
  event.kind = TrackingKind::deferred;
  event.reply = "451 \"quoted\\\" \x01\n \xFF\xC3\xA9 \xED\xA0\x80 \xF0\x9F\x98\x80 \xC3";
  const auto value = boost::json::parse(to_json_line(event));
  const std::string reply(value.at("reply").as_string());
  EXPECT_EQ(reply,
            "451 \"quoted\\\" \x01\n \xEF\xBF\xBD\xC3\xA9 \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD "
            "\xF0\x9F\x98\x80 \xEF\xBF\xBD");
}

TEST(TrackingEvent, EveryOctetAtEveryPlaceIsWrittenAsItShould) {
  for (unsigned octet = 0; octet < 256; ++octet) {
    for (std::size_t place = 0; place < 40; ++place) {
      TrackingEvent event;
      std::string reply(40, 'x');
      reply[place] = static_cast<char>(octet);
      event.reply = reply;
      const auto value = boost::json::parse(to_json_line(event));
      std::string wanted = reply;
      if (octet >= 0x80) wanted.replace(place, 1, "\xEF\xBF\xBD");
      EXPECT_EQ(std::string(value.at("reply").as_string()), wanted) << octet << " at " << place;
    }
  }
}

TEST(TrackingEvent, TextThatGrowsSixfoldHasRoom) {
  TrackingEvent event;
  const std::string all_control(5'000, '\x01'), all_broken(5'000, '\xFF');
  event.message_id = event.sender = event.rewritten_sender = event.recipient = event.target =
      event.next_hop = event.remote_host = event.client = event.tls = all_control;
  event.reply = event.status = event.why = event.wave = event.by = event.action =
      event.original_queue_id = all_broken;
  event.next_attempt = WallTime::max();
  event.size = event.recipients = event.attempt = ~0u;
  event.delay_us = event.took_us = std::numeric_limits<std::int64_t>::max();
  const auto value = boost::json::parse(to_json_line(event));
  EXPECT_EQ(value.at("sender").as_string().size(), 5'000u);
  EXPECT_EQ(value.at("by").as_string().size(), 15'000u);
}

TEST(TrackingEvent, TimesAreRightOnBothSidesOfASecond) {
  const auto text = [](std::int64_t us) {
    TrackingEvent event;
    event.at = WallTime(std::chrono::microseconds(us));
    return to_json_line(event).substr(9, 27);
  };
  EXPECT_EQ(text(1'764'547'199'999'999), "2025-11-30T23:59:59.999999Z");
  EXPECT_EQ(text(1'764'547'200'000'000), "2025-12-01T00:00:00.000000Z");
  EXPECT_EQ(text(1'764'547'199'999'999), "2025-11-30T23:59:59.999999Z");
  EXPECT_EQ(text(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(text(951'782'400'000'007), "2000-02-29T00:00:00.000007Z");
}

TEST_F(TrackingFileTest, LinesOfAllThreadsArriveWholeAndInOrder) {
  auto log = TrackingLog::open({path_.string()});
  ASSERT_TRUE(log) << log.error().message;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 4; ++t) {
    threads.emplace_back([&log, t] {
      for (std::uint32_t i = 1; i <= 500; ++i) {
        TrackingEvent event;
        event.queue_id = QueueId{t};
        event.attempt = i;
        (*log)->write(event);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE((*log)->flush(seconds(20)));
  std::map<std::string, std::int64_t> last;
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), 2000u);
  for (const auto& line : lines) {
    const auto value = boost::json::parse(line);
    auto& previous = last[std::string(value.at("queue_id").as_string())];
    EXPECT_EQ(value.at("attempt").as_int64(), previous + 1);
    previous = value.at("attempt").as_int64();
  }
}

TEST_F(TrackingFileTest, AfterRotationItGoesOnInANewFile) {
  auto log = TrackingLog::open({path_.string()});
  ASSERT_TRUE(log);
  (*log)->write({});
  ASSERT_TRUE((*log)->flush(seconds(20)));
  std::filesystem::rename(path_, directory_ / "tracking.log.1");
  auto fresh = TrackingLog::open_file({path_.string()});
  ASSERT_TRUE(fresh);
  (*log)->use(*fresh);
  ASSERT_TRUE((*log)->flush(seconds(20)));
  (*log)->write({});
  ASSERT_TRUE((*log)->flush(seconds(20)));
  EXPECT_EQ(lines_of(directory_ / "tracking.log.1").size(), 1u);
  EXPECT_EQ(lines_of(path_).size(), 1u);
}

TEST_F(TrackingFileTest, AnotherFileAndNoneAtAll) {
  auto log = TrackingLog::open({});
  ASSERT_TRUE(log);
  (*log)->write({});
  (*log)->use(*TrackingLog::open_file({path_.string()}));
  ASSERT_TRUE((*log)->flush(seconds(20)));
  (*log)->write({});
  (*log)->use(*TrackingLog::open_file({(directory_ / "other").string()}));
  ASSERT_TRUE((*log)->flush(seconds(20)));
  (*log)->write({});
  (*log)->write({});
  (*log)->use(*TrackingLog::open_file({}));
  ASSERT_TRUE((*log)->flush(seconds(20)));
  (*log)->write({});
  ASSERT_TRUE((*log)->flush(seconds(20)));
  EXPECT_EQ(lines_of(path_).size(), 1u);
  EXPECT_EQ(lines_of(directory_ / "other").size(), 2u);
}

TEST_F(TrackingFileTest, FlushingWaitsForAHungDiskOnlySoLong) {
  StalledStderr stalled;
  auto log = TrackingLog::open({"/dev/stderr"});
  ASSERT_TRUE(log);
  for (int i = 0; i < 4000; ++i) (*log)->write({});  // more than the pipe holds
  EXPECT_FALSE((*log)->flush(milliseconds(100)));
  while (!(*log)->flush(milliseconds(1))) stalled.read_some();
}

TEST_F(TrackingFileTest, SpecialFilesAreRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  for (const auto& path : {path_, directory_}) {
    const auto log = TrackingLog::open({path.string()});
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().kind, ErrorKind::invalid);
    EXPECT_NE(log.error().message.find("tracking.file: " + path.string() + " is a "),
              std::string::npos)
        << log.error().message;
    EXPECT_FALSE(LineFile::examine(path.string(), "tracking.file"));
  }
  // With a reader, too: it may stop reading.
  const int reader = ::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  EXPECT_FALSE(TrackingLog::open({path_.string()}));
  ::close(reader);
  std::filesystem::create_symlink(path_, directory_ / "link");
  EXPECT_FALSE(TrackingLog::open({(directory_ / "link").string()}));
}

TEST_F(TrackingFileTest, NullAndStandardStreamsAreTakenWhateverTheyAre) {
  const StalledStderr pipe;
  std::filesystem::create_symlink("/dev/stderr", directory_ / "link");
  for (const std::string& path :
       {std::string("/dev/null"), std::string("/dev/full"), std::string("/dev/stderr"),
        std::string("/proc/self/fd/2"), (directory_ / "link").string()}) {
    EXPECT_TRUE(LineFile::examine(path, "tracking.file")) << path;
    EXPECT_TRUE(TrackingLog::open({path})) << path;
  }
}

TEST_F(TrackingFileTest, LinesThatAreLostAreCounted) {
  auto log = TrackingLog::open({"/dev/full"});
  ASSERT_TRUE(log);
  for (int i = 0; i < 3; ++i) (*log)->write({});
  ASSERT_TRUE((*log)->flush(seconds(20)));
  EXPECT_EQ((*log)->lines_lost(), 3u);
}

TEST_F(TrackingFileTest, AMissingDirectoryIsAnErrorThatNamesThePath) {
  const auto log = TrackingLog::open({(directory_ / "missing" / "t.log").string()});
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message.find("missing/t.log"), std::string::npos);
}

}  // namespace
}  // namespace waypost::ops
