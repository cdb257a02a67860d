#include "inbound/password_queue.h"

#include <arpa/inet.h>

#include <algorithm>
#include <tuple>

namespace waypost::inbound {

void RecentKeys::add(const std::string& key, SteadyTime now) {
  if (seen_.size() >= most_ && !seen_.contains(key)) {
    const auto by_age = [](const auto& one, const auto& other) {
      return one.second < other.second;
    };
    seen_.erase(std::min_element(seen_.begin(), seen_.end(), by_age));
  }
  seen_[key] = now;
}

bool RecentKeys::contains(const std::string& key, SteadyTime now) const {
  const auto found = seen_.find(key);
  return found != seen_.end() && now - found->second < how_long_;
}

std::string client_key(std::string_view address) {
  unsigned char octets[16];
  if (::inet_pton(AF_INET6, std::string(address).c_str(), octets) != 1) return std::string(address);
  std::fill(octets + 8, octets + 16, 0);
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET6, octets, text, sizeof text);
  return std::string(text) + "/64";
}

namespace {

std::string pair_of(const PasswordQueue::Job& job) { return job.client + ' ' + job.user; }

}  // namespace

/// Who logged in before with this name stays known, whatever others at its address do: they may be
/// behind the same translator.
PasswordQueue::Standing PasswordQueue::standing_of(const Job& job, SteadyTime now) const {
  if (good_.contains(pair_of(job), now)) return Standing::known;
  return failed_.contains(job.client, now) ? Standing::failed : Standing::unknown;
}

std::size_t PasswordQueue::waiting_of(const std::string& client) const {
  return static_cast<std::size_t>(
      std::count_if(waiting_.begin(), waiting_.end(),
                    [&](const Waiting& one) { return one.job.client == client; }));
}

std::optional<PasswordQueue::Job> PasswordQueue::push(Job job, SteadyTime now) {
  std::uint64_t turn = turn_;
  for (const Waiting& one : waiting_)
    if (one.job.client == job.client) turn = std::max(turn, one.turn);
  const Standing standing = standing_of(job, now);
  waiting_.push_back({standing, turn + 1, numbers_++, std::move(job)});
  if (waiting_.size() <= kMostWaiting) return std::nullopt;
  // The lowest standing, of those the client with the most, of its jobs the newest.
  const auto rank = [this](const Waiting& one) {
    return std::tuple(one.standing, waiting_of(one.job.client), one.number);
  };
  const auto last =
      std::max_element(waiting_.begin(), waiting_.end(),
                       [&](const Waiting& a, const Waiting& b) { return rank(a) < rank(b); });
  Job turned_away = std::move(last->job);
  waiting_.erase(last);
  return turned_away;
}

PasswordQueue::Job PasswordQueue::pop() {
  const auto rank = [](const Waiting& one) {
    return std::tuple(one.standing, one.turn, one.number);
  };
  const auto next =
      std::min_element(waiting_.begin(), waiting_.end(),
                       [&](const Waiting& a, const Waiting& b) { return rank(a) < rank(b); });
  turn_ = std::max(turn_, next->turn);
  Job job = std::move(next->job);
  waiting_.erase(next);
  return job;
}

void PasswordQueue::judged(const Job& job, bool good, SteadyTime now) {
  if (good) {
    good_.add(pair_of(job), now);
  } else {
    failed_.add(job.client, now);
  }
}

}  // namespace waypost::inbound
