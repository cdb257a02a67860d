// Whose password is judged next, and who is turned away when too many wait.
//
// Judging takes tens of milliseconds by design, so strangers who guess could keep everybody else
// waiting. Those who logged in before come first, then those of whom nothing is known, last those
// who failed lately; within each the clients take turns, however many connections one has. Bounded:
// in jobs that wait and in clients that are remembered. No threads, no clock: its owner has both.
#pragma once

#include "waypost/base/clock.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace waypost::inbound {

/// The last so many keys, each for a while.
class RecentKeys {
 public:
  RecentKeys(std::size_t most, Duration how_long) : most_(most), how_long_(how_long) {}
  void add(const std::string& key, SteadyTime now);
  bool contains(const std::string& key, SteadyTime now) const;
  std::size_t size() const { return seen_.size(); }

 private:
  std::size_t most_;
  Duration how_long_;
  std::unordered_map<std::string, SteadyTime> seen_;
};

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address, of which one machine
/// has as many as it likes.
std::string client_key(std::string_view address);

class PasswordQueue {
 public:
  /// Judgements that may wait: some seconds' worth of hashing.
  static constexpr std::size_t kMostWaiting = 64;

  struct Job {
    std::string client;  // client_key()
    std::string user;
    std::function<bool()> judge;      // true: the password is right
    std::function<void()> turn_away;  // instead
  };
  /// The job that finds no place any more, perhaps this one.
  std::optional<Job> push(Job job, SteadyTime now);
  /// REQUIRES: !empty().
  Job pop();
  /// Remembers what became of a job.
  void judged(const Job& job, bool good, SteadyTime now);
  bool empty() const { return waiting_.empty(); }

 private:
  enum class Standing : std::uint8_t { known, unknown, failed };
  struct Waiting {
    Standing standing;
    std::uint64_t turn;  // in the n-th turn of the clients
    std::uint64_t number;
    Job job;
  };
  Standing standing_of(const Job& job, SteadyTime now) const;
  std::size_t waiting_of(const std::string& client) const;

  std::vector<Waiting> waiting_;
  std::uint64_t turn_ = 0;  // of the job popped last
  std::uint64_t numbers_ = 0;
  RecentKeys good_{1024, std::chrono::hours(7 * 24)};  // "client user"
  RecentKeys failed_{4096, std::chrono::minutes(10)};  // clients
};

}  // namespace waypost::inbound
