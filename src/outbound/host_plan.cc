#include "outbound/host_plan.h"

#include <algorithm>

namespace waypost::outbound {
namespace {

constexpr std::chrono::seconds kLookUpTime{30};
constexpr std::size_t kMostAddresses = 8;  // of one host

}  // namespace

void HostMemory::failed(const std::string& what, SteadyTime at) {
  if (failures_.size() >= kMost && !failures_.contains(what)) {
    std::erase_if(failures_, [&](const auto& known) { return at - known.second >= kept_; });
    if (failures_.size() >= kMost) {
      failures_.erase(
          std::min_element(failures_.begin(), failures_.end(),
                           [](const auto& a, const auto& b) { return a.second < b.second; }));
    }
  }
  failures_[what] = at;
}

bool HostMemory::failed_lately(const std::string& what, SteadyTime present) const {
  const auto found = failures_.find(what);
  return found != failures_.end() && present - found->second < kept_;
}

net::Task<void> HostPlan::begin() {
  begun_ = true;
  std::vector<HostPort> in_order;
  const bool by_mx = options_.mx_of_recipient || !options_.mx_domain.empty();
  if (!by_mx) {
    in_order.assign(options_.hosts.begin(), options_.hosts.end());
  } else {
    std::string domain = options_.mx_of_recipient ? domain_ : options_.mx_domain;
    const std::string shown = domain;
    const auto answer = co_await resolver_.mx(std::move(domain), timers_.in(kLookUpTime));
    if (!answer) {
      trouble_ = answer.error();
      any_may_exist_ = true;
      if (trouble_.kind == ErrorKind::not_found && options_.mx_of_recipient) permanent_ = {5, 1, 2};
      co_return;
    }
    if (answer->null_mx) {  // RFC 7505 §3
      trouble_ = {ErrorKind::not_found, "the domain " + shown + " takes no mail (null MX)"};
      permanent_ = mail::status::null_mx;
      co_return;
    }
    for (const auto& host : answer->hosts) in_order.push_back({host.name, options_.mx_port});
  }
  for (std::size_t rank = 0; rank < in_order.size(); ++rank)
    hosts_.push_back({std::move(in_order[rank]), rank});
  const SteadyTime present = timers_.now();
  std::stable_partition(hosts_.begin(), hosts_.end(), [&](const Ranked& one) {
    return !memory_.failed_lately(one.host.host, present);
  });
}

net::Task<std::optional<std::vector<Candidate>>> HostPlan::next() {
  if (!begun_) co_await begin();
  while (!hosts_.empty()) {
    const auto [host, rank] = hosts_.front();
    hosts_.pop_front();
    best_rank_ = std::min(best_rank_, rank);
    rank_ = rank;
    std::string name = host.host;
    const auto addresses = co_await resolver_.addresses(std::move(name), timers_.in(kLookUpTime));
    if (!addresses) {
      trouble_ = addresses.error();
      any_may_exist_ = any_may_exist_ || trouble_.kind != ErrorKind::not_found;
      continue;
    }
    any_may_exist_ = true;
    std::vector<Candidate> candidates;
    for (const std::string& address : *addresses)
      candidates.push_back({host.host, {address, host.port}});
    const SteadyTime present = timers_.now();
    std::stable_partition(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
      return !memory_.failed_lately(HostMemory::key(candidate.endpoint), present);
    });
    if (candidates.size() > kMostAddresses) candidates.resize(kMostAddresses);
    if (!candidates.empty()) co_return candidates;
  }
  // RFC 5321 §5.1: MX records none of which is usable MUST be reported as an error. The sender can
  // do something about a domain; a next hop of our configuration is for us to correct.
  if (!any_may_exist_ && options_.mx_of_recipient && !permanent_) {
    permanent_ = {5, 4, 4};
    trouble_.message =
        "no mail server of the domain " + domain_ + " has an address: " + trouble_.message;
  }
  co_return std::nullopt;
}

void HostPlan::drop_behind() {
  std::erase_if(hosts_, [this](const Ranked& one) { return one.rank > rank_; });
}

}  // namespace waypost::outbound
