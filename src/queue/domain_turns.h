// mx_of_recipient: each recipient's domain is a site of its own behind one next hop. How many
// deliveries to each run, and which jobs wait because too many do.
//
// The jobs that wait are ordinary waiting jobs with a due time of their own; what is kept here only
// brings them forward when a place gets free, each sender in turn. So whatever else becomes of a
// job (it is held, deleted, flushed, it expires) needs no word here.
#pragma once

#include "waypost/base/clock.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

namespace waypost::queue {

class DomainTurns {
 public:
  struct Waiting {
    std::uint32_t job = 0, generation = 0;
    SteadyTime due{};
  };

  /// True: a place is taken; end() must follow.
  bool begin(const std::string& domain, std::uint32_t most) {
    Domain& one = domains_[domain];
    if (one.running >= most) return false;
    ++one.running;
    return true;
  }
  /// `still_waits(Waiting)`: false for entries that have lost their meaning; they are swept out.
  template <class StillWaits>
  void wait(const std::string& domain, std::uint32_t sender, Waiting job, StillWaits still_waits) {
    Domain& one = domains_[domain];
    Lane& lane = one.lanes[sender];
    if (lane.jobs.empty()) one.turns.push_back(sender);
    if (lane.jobs.size() > 2 * lane.swept_at + 64) {
      std::erase_if(lane.jobs, [&](const Waiting& known) { return !still_waits(known); });
      lane.swept_at = lane.jobs.size();
    }
    lane.jobs.push_back(job);
  }
  void end(const std::string& domain) {
    const auto found = domains_.find(domain);
    if (found == domains_.end()) return;
    if (--found->second.running == 0 && found->second.turns.empty()) domains_.erase(found);
  }
  /// The next job that has waited for this domain; it may be gone or elsewhere by now.
  std::optional<Waiting> next(const std::string& domain) {
    const auto found = domains_.find(domain);
    if (found == domains_.end() || found->second.turns.empty()) return std::nullopt;
    Domain& one = found->second;
    const std::uint32_t sender = one.turns.front();
    one.turns.pop_front();
    std::deque<Waiting>& jobs = one.lanes[sender].jobs;
    const Waiting job = jobs.front();
    jobs.pop_front();
    if (jobs.empty()) {
      one.lanes.erase(sender);
    } else {
      one.turns.push_back(sender);
    }
    if (one.running == 0 && one.turns.empty()) domains_.erase(found);
    return job;
  }

 private:
  struct Lane {
    std::deque<Waiting> jobs;
    std::size_t swept_at = 0;  // how many the last sweep left
  };
  struct Domain {
    std::uint32_t running = 0;
    std::unordered_map<std::uint32_t, Lane> lanes;  // by sender
    std::deque<std::uint32_t> turns;                // each lane once
  };
  std::unordered_map<std::string, Domain> domains_;
};

}  // namespace waypost::queue
