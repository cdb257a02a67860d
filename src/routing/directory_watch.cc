#include "waypost/routing/directory_watch.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

namespace waypost::routing {
namespace {

using std::chrono::milliseconds, std::chrono::minutes, std::chrono::seconds;

/// So often a waiting thread looks at the clock, which is not always that of the machine.
constexpr milliseconds kLook{200};

}  // namespace

Duration directory_wait(Duration interval, unsigned failures, bool credentials_refused,
                        double random) {
  Duration wait = interval;
  if (failures > 0) {
    const auto longest = std::max<Duration>(interval, minutes(5));
    wait = std::min<Duration>(seconds(15) * (1u << std::min(failures - 1, 10u)), longest);
    if (credentials_refused) wait = std::max<Duration>(wait, minutes(30));
  }
  const auto spread = static_cast<double>(wait.count()) * (random - 0.5) * 0.4;
  return wait + Duration(static_cast<Duration::rep>(spread));
}

struct DirectoryWatch::Impl {
  struct Lane {
    std::unique_ptr<Directory> directory;
    bool wanted = true;  // at once
    DirectorySyncRequest request;
    SteadyTime due{};
    unsigned failures = 0;
    std::jthread thread;
  };

  Impl(Report called, const Clock& time) : report(std::move(called)), clock(time) {}

  /// True: it is time for `lane`; `request` is what was asked for.
  bool wait_for_turn(Lane& lane, DirectorySyncRequest& request, const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      if (std::exchange(lane.wanted, false) || clock.steady_now() >= lane.due) {
        request = std::exchange(lane.request, {});
        return true;
      }
      changed.wait_for(lock, stop, kLook, [&] { return lane.wanted; });
    }
    return false;
  }

  void run(Lane& lane, const std::stop_token& stop) {
    std::mt19937_64 random{std::random_device{}()};
    DirectorySyncRequest request;
    while (wait_for_turn(lane, request, stop)) {
      const auto outcome = lane.directory->synchronise(request, stop);
      if (stop.stop_requested()) return;
      {
        const std::lock_guard lock(mutex);
        lane.failures = outcome.error ? lane.failures + 1 : 0;
        lane.due = clock.steady_now() +
                   directory_wait(lane.directory->options().interval, lane.failures,
                                  outcome.credentials_refused,
                                  std::uniform_real_distribution<double>(0, 1)(random));
      }
      const std::lock_guard lock(reporting);
      if (!stop.stop_requested()) report(outcome);
    }
  }

  Report report;
  const Clock& clock;
  std::mutex mutex;      // of the lanes
  std::mutex reporting;  // one report at a time
  std::condition_variable_any changed;
  std::vector<std::unique_ptr<Lane>> lanes;
};

DirectoryWatch::DirectoryWatch(std::vector<std::unique_ptr<Directory>> directories, Report report,
                               const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(report), clock)) {
  for (auto& directory : directories) {
    auto& lane = impl_->lanes.emplace_back(std::make_unique<Impl::Lane>());
    lane->directory = std::move(directory);
  }
  for (auto& lane : impl_->lanes)
    lane->thread = std::jthread(
        [impl = impl_.get(), one = lane.get()](std::stop_token stop) { impl->run(*one, stop); });
}

DirectoryWatch::~DirectoryWatch() { stop(); }

bool DirectoryWatch::synchronise_now(std::string_view name, DirectorySyncRequest request) {
  const std::lock_guard lock(impl_->mutex);
  for (auto& lane : impl_->lanes) {
    if (lane->directory->options().name != name) continue;
    lane->wanted = true;
    lane->request.full = lane->request.full || request.full;
    lane->request.confirm_shrink = lane->request.confirm_shrink || request.confirm_shrink;
    impl_->changed.notify_all();
    return true;
  }
  return false;
}

void DirectoryWatch::stop() {
  for (auto& lane : impl_->lanes) lane->thread.request_stop();
  for (auto& lane : impl_->lanes)
    if (lane->thread.joinable()) lane->thread.join();
}

}  // namespace waypost::routing
