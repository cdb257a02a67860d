#include "waypost/base/process_signals.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace waypost {
namespace {

bool is_blocked(int signal) {
  sigset_t now;
  ::sigprocmask(SIG_BLOCK, nullptr, &now);
  return ::sigismember(&now, signal) == 1;
}

/// The exit status of what runs in a child that its parent has started with everything blocked.
int in_a_child(int (*what)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    ::_exit(what());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(ProcessSignals, WhatTheParentBlockedIsNoLongerBlocked) {
  EXPECT_EQ(in_a_child([] {
              if (!is_blocked(SIGTERM)) return 1;
              begin_signals(signals_of({}));
              return is_blocked(SIGTERM) || is_blocked(SIGHUP) || is_blocked(SIGPIPE) ? 2 : 0;
            }),
            0);
}

TEST(ProcessSignals, OnlyWhatIsHeldWaits) {
  EXPECT_EQ(in_a_child([] {
              begin_signals(signals_of({SIGTERM, SIGHUP}));
              ::raise(SIGTERM);
              ::raise(SIGHUP);
              if (!is_blocked(SIGTERM) || !is_blocked(SIGHUP) || is_blocked(SIGINT)) return 1;
              sigset_t waiting;
              ::sigpending(&waiting);
              return ::sigismember(&waiting, SIGTERM) == 1 ? 0 : 2;
            }),
            0);
}

TEST(ProcessSignals, ALimitOnTheSizeOfFilesIsAnErrorOfTheWrite) {
  EXPECT_EQ(in_a_child([] {
              begin_signals(signals_of({}));
              char name[] = "/tmp/waypost-limit-XXXXXX";
              const int fd = ::mkstemp(name);
              ::unlink(name);
              const rlimit limit{4, 4};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              if (::write(fd, "four", 4) != 4) return 1;
              return ::write(fd, "more", 4) < 0 && errno == EFBIG ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace waypost
