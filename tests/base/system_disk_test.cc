// What only the machine's own file system can say.
#include "waypost/base/disk.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace waypost {
namespace {

namespace fs = std::filesystem;

class SystemDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("waypost-disk-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_ / "spool");
    auto opened = Disk::system().open(path(), true);
    ASSERT_TRUE(opened) << opened.error().message;
    file_ = std::move(*opened);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path() const { return (folder_ / "spool" / "one.log").string(); }
  Result<> write(std::string_view text) {
    const iovec piece{const_cast<char*>(text.data()), text.size()};
    return file_->write_at(0, {&piece, 1});
  }

  fs::path folder_;
  std::unique_ptr<File> file_;
};

TEST_F(SystemDiskTest, AFileKnowsWhetherItsPathStillLeadsToIt) {
  EXPECT_EQ(file_->place(), File::Place::its_own);
  fs::rename(folder_ / "spool", folder_ / "old");
  EXPECT_EQ(file_->place(), File::Place::elsewhere) << "the folder was moved";
  fs::create_directories(folder_ / "spool");
  std::ofstream(path()) << "another";
  EXPECT_EQ(file_->place(), File::Place::elsewhere) << "another file has its name";
  fs::remove_all(folder_ / "spool");
  fs::rename(folder_ / "old", folder_ / "spool");
  EXPECT_EQ(file_->place(), File::Place::its_own) << "it was put back";
  fs::copy_file(path(), path() + ".copy");
  fs::rename(path() + ".copy", path());
  EXPECT_EQ(file_->place(), File::Place::removed) << "a copy has its name, it has none";
  fs::remove(path());
  EXPECT_EQ(file_->place(), File::Place::removed);
}

TEST_F(SystemDiskTest, ALimitOnTheSizeOfFilesIsAFullDisk) {
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit now{4096, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &now);
  const auto written = write(std::string(5000, 'x'));
  const auto allocated = file_->preallocate(100'000);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, before);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::exhausted);
  EXPECT_NE(written.error().message.find("LimitFSIZE="), std::string::npos)
      << written.error().message;
  ASSERT_FALSE(allocated);
  EXPECT_EQ(allocated.error().kind, ErrorKind::exhausted);
}

}  // namespace
}  // namespace waypost
