// One line on stderr that is written over, and the watch over the run: signals, and giving up.
#pragma once

#include "load/sender.h"

#include <functional>
#include <string>

namespace waypost::load {

class Progress {
 public:
  /// `extra`: more words for the line, e.g. what has arrived; may be empty.
  Progress(bool shown, std::function<std::string()> extra);
  void show(const Totals& totals, double seconds);
  void clear();

 private:
  bool shown_;
  std::function<std::string()> extra_;
  std::uint64_t last_accepted_ = 0;
  double last_seconds_ = 0;
};

/// Blocks until the sender has ended. SIGINT or SIGTERM: no new messages; a second one: at once.
void watch(Sender& sender, Progress& progress);

}  // namespace waypost::load
