#include "app/start_signals.h"

#include "waypost/base/process_signals.h"
#include "waypost/ops/log.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace waypost::app {
namespace {

constexpr std::chrono::seconds kLastWords{2};

}  // namespace

sigset_t signals_of_serve() { return signals_of({SIGTERM, SIGINT, SIGHUP}); }

StartSignals::StartSignals() {
  const sigset_t all = signals_of_serve();
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  const sigset_t stops = signals_of({SIGTERM, SIGINT});
  signals_ = ::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
  end_ = ::eventfd(0, EFD_CLOEXEC);
  // Without them signals wait for the end of the start.
  if (signals_ < 0 || end_ < 0) return;
  thread_ = std::thread([this] { watch(); });
  pthread_setname_np(thread_.native_handle(), "start-signals");
}

void StartSignals::no_more() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    (void)!::write(end_, &one, sizeof one);
    thread_.join();
  }
  for (int* fd : {&signals_, &end_}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

void StartSignals::let_in() {
  const sigset_t all = signals_of_serve();
  ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
}

void StartSignals::watch() const {
  for (;;) {
    pollfd both[] = {{signals_, POLLIN, 0}, {end_, POLLIN, 0}};
    if (::poll(both, 2, -1) < 0) continue;
    if (both[1].revents != 0) return;  // a signal that waits now is for the handlers
    signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) != sizeof info) continue;
    ops::log().info("stopped: the signal came during the start; no mail was taken");
    ops::flush_log(kLastWords);
    // The start goes on in other threads until the last moment, and the disk may hang.
    std::_Exit(EXIT_SUCCESS);
  }
}

}  // namespace waypost::app
