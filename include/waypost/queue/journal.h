// What operators said of the queue, kept over a restart: holds, suspensions, other next hops.
//
// Journal: one per process, main thread. A file of JSON lines beside the spool; append() returns
// when the lines are on stable storage. A torn last line (a crash) is left out.
#pragma once

#include "waypost/queue/control.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace waypost::queue {

/// What holds now, as the journal's lines add up to.
struct ControlState {
  std::vector<Selector> suspensions;
  std::unordered_map<std::uint64_t, std::set<std::uint32_t>> held;  // by queue id: recipients
  std::unordered_map<std::uint64_t, std::unordered_map<std::uint32_t, std::string>> rerouted;

  void apply(const Command& command, const std::vector<Touched>& touched);
};

class Journal {
 public:
  /// ErrorKind::io names the file. A line that makes no sense is skipped and told to `complain`.
  static Result<std::unique_ptr<Journal>> open(
      const std::string& path, const std::function<void(const std::string&)>& complain);
  virtual ~Journal() = default;
  virtual const ControlState& state() const = 0;
  /// Only verbs that must survive are written: hold, release, suspend, resume, reroute.
  virtual Result<> append(const Command& command, const std::vector<Touched>& touched) = 0;
  /// Forgets messages that are no more, and writes the file anew.
  virtual Result<> compact(const std::function<bool(std::uint64_t id)>& exists) = 0;
};

}  // namespace waypost::queue
