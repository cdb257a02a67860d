// Answers that are still good: bounded, by name.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"

#include <string>
#include <unordered_map>

namespace waypost::net {

template <class Answer>
class DnsCache {
 public:
  explicit DnsCache(std::size_t most = 10'000) : most_(most) {}

  /// Null if there is none or its time is over. Valid until the next call.
  const Result<Answer>* find(const std::string& name, SteadyTime now) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return nullptr;
    if (found->second.until > now) return &found->second.answer;
    entries_.erase(found);
    return nullptr;
  }
  /// When full, what is over goes first; if nothing is, everything: that costs one round of queries
  /// and no bookkeeping.
  void keep(const std::string& name, SteadyTime now, Duration ttl, const Result<Answer>& answer) {
    if (ttl <= Duration::zero()) return;
    if (entries_.size() >= most_ && !entries_.contains(name)) {
      std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
      if (entries_.size() >= most_) entries_.clear();
    }
    entries_.insert_or_assign(name, Entry{now + ttl, answer});
  }
  void clear() { entries_.clear(); }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    SteadyTime until;
    Result<Answer> answer;
  };
  std::size_t most_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace waypost::net
