// Runs coroutines to their end in tests.
//
// TestLoop: a real io_context and the real clock, for sockets and DNS. SimulatedLoop: a ManualClock
// that moves to the next due moment whenever nothing else can run, so hours pass at once. Both fail
// the test (by an exception, which GoogleTest reports) instead of hanging.
#pragma once

#include "waypost/net/timers.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace waypost::net::testing {

/// Filled by the end of a spawned coroutine.
template <class T>
struct Outcome {
  std::optional<T> value;
  std::exception_ptr thrown;
  bool ended() const { return value || thrown; }
  T take() {
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*value);
  }
};

/// REQUIRES: `outcome` outlives the coroutine or the last run of `io`.
template <class T>
void spawn(boost::asio::io_context& io, Task<T> task, Outcome<T>& outcome) {
  boost::asio::co_spawn(io, std::move(task), [&outcome](std::exception_ptr thrown, T value) {
    outcome.thrown = thrown;
    if (!thrown) outcome.value.emplace(std::move(value));
  });
}

class TestLoop {
 public:
  static constexpr std::chrono::seconds kLimit{30};

  TestLoop() : timers(Clock::system(), io) {
    boost::asio::co_spawn(io, timers.drive(), boost::asio::detached);
  }
  /// Drives everything until the task ends.
  template <class T>
  T run(Task<T> task, std::chrono::milliseconds limit = kLimit) {
    Outcome<T> outcome;
    spawn(io, std::move(task), outcome);
    if (!run_until([&] { return outcome.ended(); }, limit))
      throw std::runtime_error("the coroutine did not end in time");
    return outcome.take();
  }
  template <class Condition>
  bool run_until(Condition condition, std::chrono::milliseconds limit = kLimit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    io.restart();
    while (!condition()) {
      if (io.run_one_until(end) == 0) return condition();
    }
    return true;
  }
  SteadyTime in(Duration duration) const { return timers.in(duration); }

  boost::asio::io_context io{1};
  Timers timers;
};

class SimulatedLoop {
 public:
  static constexpr int kMaxSteps = 100'000;

  SimulatedLoop() : timers(clock, io) {}
  template <class T>
  T run(Task<T> task) {
    Outcome<T> outcome;
    spawn(io, std::move(task), outcome);
    if (!run_until([&] { return outcome.ended(); }))
      throw std::runtime_error("the coroutine waits for something that never comes");
    return outcome.take();
  }
  /// False when nothing is left that could happen.
  template <class Condition>
  bool run_until(Condition condition) {
    for (int step = 0; step < kMaxSteps; ++step) {
      poll();
      if (condition()) return true;
      const SteadyTime next = timers.next_due();
      if (next == SteadyTime::max()) return false;
      // Microseconds, rounded up: the clock must reach the moment.
      if (next > timers.now()) {
        clock.advance(std::chrono::ceil<Duration>(next - timers.now()));
      }
      timers.run_due();
    }
    return false;
  }
  /// What can run without time passing.
  void poll() {
    io.restart();
    io.poll();
  }
  void advance(Duration by) {
    clock.advance(by);
    timers.run_due();
    poll();
  }
  SteadyTime in(Duration duration) const { return timers.in(duration); }

  ManualClock clock;
  boost::asio::io_context io{1};
  Timers timers;
};

}  // namespace waypost::net::testing
