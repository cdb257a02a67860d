#include "waypost/base/standard_descriptors.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace waypost {
namespace {

bool is_null_device(int fd) {
  struct stat there{};
  struct stat null{};
  return ::fstat(fd, &there) == 0 && ::stat("/dev/null", &null) == 0 && S_ISCHR(there.st_mode) &&
         there.st_rdev == null.st_rdev;
}

/// Closes some in a child, which then opens a file; its exit status says what it got.
int child_with_closed(unsigned which) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (int fd = 0; fd < 3; ++fd) {
      if ((which >> fd & 1) != 0) ::close(fd);
    }
    const auto start = hold_standard_descriptors();
    if (start.output_was_open != ((which >> 1 & 1) == 0)) ::_exit(30);
    for (int fd = 0; fd < 3; ++fd) {
      if ((which >> fd & 1) != 0 && !is_null_device(fd)) ::_exit(10 + fd);
    }
    ::_exit(::open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 3 ? 20 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StandardDescriptors, NothingElseTakesTheirPlaceWhicheverAreClosed) {
  for (unsigned which = 0; which < 8; ++which) EXPECT_EQ(child_with_closed(which), 0) << which;
}

TEST(StandardDescriptors, WhatIsOpenStays) {
  struct stat before{};
  struct stat after{};
  ASSERT_EQ(::fstat(1, &before), 0);
  hold_standard_descriptors();
  ASSERT_EQ(::fstat(1, &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

}  // namespace
}  // namespace waypost
