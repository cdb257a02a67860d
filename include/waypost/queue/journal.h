// What operators said of the queue, kept over a restart: holds, suspensions, other next hops.
//
// Journal: one per process, main thread. A file of JSON lines beside the spool, kept as a
// SealedJournal: append() returns when the line is on stable storage; after a failed sync nothing
// that must survive can be promised, and usable() says so. Where something of it is missing it is
// not known what was stopped: every next hop is suspended then, until an operator resumes it.
#pragma once

#include "waypost/base/disk.h"
#include "waypost/queue/control.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace waypost::queue {

/// Another next hop that an operator ordered, and the route that the order is about ("hop address",
/// as routing decided then): it stands as long as that is what routing decides. Empty: not known.
struct Reroute {
  std::string next_hop, of;
  bool operator==(const Reroute&) const = default;
};
/// By queue id and recipient.
using Reroutes = std::unordered_map<std::uint64_t, std::unordered_map<std::uint32_t, Reroute>>;

/// What holds now, as the journal's lines add up to.
struct ControlState {
  std::vector<Selector> suspensions;
  std::unordered_map<std::uint64_t, std::set<std::uint32_t>> held;  // by queue id: recipients
  Reroutes rerouted;

  void apply(const Command& command, const std::vector<Touched>& touched);
};

/// hold, release, suspend, resume and reroute; the others leave nothing but settled recipients.
bool must_survive(Verb verb);

class Journal {
 public:
  /// `complain` is told of a last line that was never acknowledged. `next_hops`: all that there
  /// are. REQUIRES: `disk` outlives the journal; `path` has a directory.
  static std::unique_ptr<Journal> open(Disk& disk, const std::string& path,
                                       const std::vector<std::string>& next_hops,
                                       const std::function<void(const std::string&)>& complain);
  virtual ~Journal() = default;
  virtual const ControlState& state() const = 0;
  /// What open() found wrong, each with its place; the damaged file is kept beside it. Empty: all
  /// that was acknowledged is there.
  virtual const std::vector<std::string>& damage() const = 0;
  /// An Error says why a command that must survive can't be promised; ask before it is carried out.
  virtual Result<> usable() const = 0;
  /// Only verbs that must survive are written. On an Error state() is as before.
  virtual Result<> append(const Command& command, const std::vector<Touched>& touched) = 0;
  /// Forgets messages that are no more, and writes the file anew; on an Error the old one stays in
  /// use.
  virtual Result<> compact(const std::function<bool(std::uint64_t id)>& exists) = 0;
};

}  // namespace waypost::queue
