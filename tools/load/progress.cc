#include "load/progress.h"

#include "load/units.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>

namespace waypost::load {
namespace {

std::atomic<int> signals_seen{0};

void on_signal(int) {
  if (signals_seen.fetch_add(1) > 0) ::_exit(130);
}

}  // namespace

Progress::Progress(bool shown, std::function<std::string()> extra)
    : shown_(shown), extra_(std::move(extra)) {}

void Progress::show(const Totals& totals, double seconds) {
  if (!shown_) return;
  const std::uint64_t accepted = totals.accepted.load(std::memory_order_relaxed);
  const double since = std::max(seconds - last_seconds_, 1e-6);
  const double rate = static_cast<double>(accepted - last_accepted_) / since;
  last_accepted_ = accepted;
  last_seconds_ = seconds;
  std::string line = "\r" + show_seconds(seconds) + "  " + with_commas(accepted) + " accepted  " +
                     show_fixed(rate, 0) + "/s  " +
                     with_commas(totals.failed.load(std::memory_order_relaxed)) + " failed  " +
                     with_commas(totals.open_connections.load(std::memory_order_relaxed)) + " open";
  if (extra_) line += "  " + extra_();
  std::cerr << line << "\x1b[K" << std::flush;
}

void Progress::clear() {
  if (shown_) std::cerr << "\r\x1b[K" << std::flush;
}

void watch(Sender& sender, Progress& progress) {
  struct sigaction action{};
  action.sa_handler = &on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  constexpr useconds_t kLook = 20'000, kShow = 500'000;
  const SteadyTime began = Clock::system().steady_now();
  for (useconds_t since_shown = 0; sender.running(); since_shown += kLook) {
    ::usleep(kLook);
    const SteadyTime now = Clock::system().steady_now();
    if (signals_seen.load() > 0) sender.stop();
    if (since_shown < kShow) continue;
    since_shown = 0;
    progress.show(sender.totals(), std::chrono::duration<double>(now - began).count());
  }
  sender.join();
  progress.clear();
  if (sender.totals().gave_up.load()) {
    std::cerr << "waypost-load: gave up: no connection could be opened for "
              << show_seconds(std::chrono::duration<double>(sender.options().give_up).count())
              << "; the report says why\n";
  }
}

}  // namespace waypost::load
