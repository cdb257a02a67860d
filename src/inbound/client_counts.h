// What each client address has of us now: sessions, and memory for recipients.
//
// enter() and leave(): at the begin and the end of a session, any thread. In between the session
// keeps its ClientAccount.
#pragma once

#include "waypost/base/block_chain.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace waypost::inbound {

struct ClientAccount {
  std::uint32_t sessions = 0;
  std::atomic<std::size_t> recipient_octets{0};
};

class ClientCounts {
 public:
  struct Entered {
    ClientAccount* account;  // good until leave()
    std::uint32_t sessions;  // how many this client has now, this one included
  };
  Entered enter(const std::string& address) {
    const std::lock_guard lock(mutex_);
    ClientAccount& account = accounts_[address];
    return {&account, ++account.sessions};
  }
  void leave(const std::string& address) {
    const std::lock_guard lock(mutex_);
    const auto found = accounts_.find(address);
    if (found != accounts_.end() && --found->second.sessions == 0) accounts_.erase(found);
  }
  /// Of all clients.
  std::atomic<std::size_t>& recipient_octets() { return recipient_octets_; }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, ClientAccount> accounts_;
  std::atomic<std::size_t> recipient_octets_{0};
};

/// The memory that one transaction's recipients take. It counts in the budget for content; all
/// recipients may have half of that, those of one client a quarter. So content always finds room,
/// and one client can't take the room of the others.
class RecipientMemory {
 public:
  RecipientMemory(MemoryBudget& budget, std::atomic<std::size_t>& all,
                  std::atomic<std::size_t>& of_client)
      : budget_(budget), all_(all), of_client_(of_client) {}
  RecipientMemory(const RecipientMemory&) = delete;
  RecipientMemory& operator=(const RecipientMemory&) = delete;
  ~RecipientMemory() {
    budget_.give_back(taken_);
    all_.fetch_sub(taken_, std::memory_order_relaxed);
    of_client_.fetch_sub(taken_, std::memory_order_relaxed);
  }
  /// Never for the first recipient: each message may have one.
  bool exhausted() const {
    return taken_ > 0 && (all_.load(std::memory_order_relaxed) >= budget_.limit() / 2 ||
                          of_client_.load(std::memory_order_relaxed) >= budget_.limit() / 4);
  }
  void take(std::size_t octets) {
    taken_ += octets;
    budget_.take(octets);
    all_.fetch_add(octets, std::memory_order_relaxed);
    of_client_.fetch_add(octets, std::memory_order_relaxed);
  }

 private:
  MemoryBudget& budget_;
  std::atomic<std::size_t>& all_;
  std::atomic<std::size_t>& of_client_;
  std::size_t taken_ = 0;
};

}  // namespace waypost::inbound
