#include "outbound/host_plan.h"

namespace waypost::outbound {
namespace {

constexpr std::chrono::seconds kLookUpTime{30};

}  // namespace

net::Task<void> HostPlan::begin() {
  begun_ = true;
  const bool by_mx = options_.mx_of_recipient || !options_.mx_domain.empty();
  if (!by_mx) {
    hosts_.assign(options_.hosts.begin(), options_.hosts.end());
  } else {
    std::string domain = options_.mx_of_recipient ? domain_ : options_.mx_domain;
    const std::string shown = domain;
    const auto answer = co_await resolver_.mx(std::move(domain), timers_.in(kLookUpTime));
    if (!answer) {
      trouble_ = answer.error();
      if (trouble_.kind == ErrorKind::not_found && options_.mx_of_recipient) permanent_ = {5, 1, 2};
      co_return;
    }
    if (answer->null_mx) {  // RFC 7505 §3
      trouble_ = {ErrorKind::not_found, "the domain " + shown + " takes no mail (null MX)"};
      permanent_ = mail::status::null_mx;
      co_return;
    }
    for (const auto& host : answer->hosts) hosts_.push_back({host.name, options_.mx_port});
  }
  const SteadyTime present = timers_.now();
  std::stable_partition(hosts_.begin(), hosts_.end(), [&](const HostPort& host) {
    return !memory_.failed_lately(host.host, present);
  });
}

net::Task<std::optional<Candidate>> HostPlan::next() {
  if (!begun_) co_await begin();
  while (candidates_.empty()) {
    if (hosts_.empty()) co_return std::nullopt;
    const HostPort host = hosts_.front();
    hosts_.pop_front();
    std::string name = host.host;
    const auto addresses = co_await resolver_.addresses(std::move(name), timers_.in(kLookUpTime));
    if (!addresses) {
      trouble_ = addresses.error();
      continue;
    }
    for (const std::string& address : *addresses)
      candidates_.push_back({host.host, {address, host.port}});
  }
  Candidate candidate = std::move(candidates_.front());
  candidates_.pop_front();
  co_return candidate;
}

}  // namespace waypost::outbound
