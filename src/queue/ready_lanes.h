// The jobs of one next hop that may go now: one lane for each sender, served in turn.
//
// A sender with 50,000 messages, or one message in a thousand recipients' jobs, has one turn like
// everybody else: a single message of another sender waits for nothing but what is on the wire.
#pragma once

#include "queue/entries.h"

#include <deque>
#include <unordered_map>

namespace waypost::queue {

class ReadyLanes {
 public:
  explicit ReadyLanes(Slab<Job>& jobs) : jobs_(jobs) {}

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  void push_back(std::uint32_t sender, std::uint32_t job) {
    auto [lane, fresh] = lanes_.try_emplace(sender);
    if (fresh) turns_.push_back(sender);
    jobs_[job].lane_previous = lane->second.last;
    jobs_[job].lane_next = kNone;
    (lane->second.last == kNone ? lane->second.first : jobs_[lane->second.last].lane_next) = job;
    lane->second.last = job;
    ++size_;
  }
  /// Takes the first job of the lane whose turn it is. REQUIRES: !empty().
  std::uint32_t pop() {
    for (;;) {
      const std::uint32_t sender = turns_.front();
      turns_.pop_front();
      const auto lane = lanes_.find(sender);
      const std::uint32_t job = lane->second.first;
      if (job != kNone) unlink(lane->second, job);
      if (lane->second.first == kNone) {
        lanes_.erase(lane);
      } else {
        turns_.push_back(sender);
      }
      if (job != kNone) return job;
    }
  }
  void remove(std::uint32_t sender, std::uint32_t job) {
    // An emptied lane goes when its turn comes.
    unlink(lanes_.find(sender)->second, job);
  }

 private:
  static constexpr std::uint32_t kNone = Slab<Job>::kNone;
  struct Lane {
    std::uint32_t first = kNone, last = kNone;
  };

  void unlink(Lane& lane, std::uint32_t job) {
    const Job& gone = jobs_[job];
    (gone.lane_previous == kNone ? lane.first : jobs_[gone.lane_previous].lane_next) =
        gone.lane_next;
    (gone.lane_next == kNone ? lane.last : jobs_[gone.lane_next].lane_previous) =
        gone.lane_previous;
    --size_;
  }

  Slab<Job>& jobs_;
  std::unordered_map<std::uint32_t, Lane> lanes_;
  std::deque<std::uint32_t> turns_;  // each lane once
  std::size_t size_ = 0;
};

}  // namespace waypost::queue
