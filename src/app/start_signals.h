// Signals that come while the gateway starts, which with a large spool or table takes its time.
#pragma once

#include <csignal>
#include <thread>

namespace waypost::app {

/// What `serve` handles.
sigset_t signals_of_serve();

/// From its making to no_more() SIGTERM and SIGINT end the process in order, with 0: no mail is
/// taken or delivered yet. SIGHUP waits, and so does what comes later, until let_in() lets all of
/// it in for the one who has handlers by then. Owned by the main thread; threads that are made
/// meanwhile never get these signals.
class StartSignals {
 public:
  StartSignals();
  ~StartSignals() { no_more(); }
  StartSignals(const StartSignals&) = delete;
  StartSignals& operator=(const StartSignals&) = delete;
  /// Before the first thing that must not be cut off without a word. May be called again.
  void no_more();
  /// REQUIRES: handlers are in place.
  static void let_in();

 private:
  void watch() const;
  int signals_ = -1, end_ = -1;
  std::thread thread_;
};

}  // namespace waypost::app
