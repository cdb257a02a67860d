#include "app/descriptor_limit.h"

#include "waypost/ops/log.h"

#include <sys/resource.h>

#include <algorithm>
#include <optional>

namespace waypost::app {
namespace {

constexpr rlim_t kForOthers = 4096;  // deliveries, files of the spool, health and commands

std::optional<rlimit> descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return limit;
}

}  // namespace

void raise_descriptor_limit() {
  auto limit = descriptor_limit();
  if (!limit || limit->rlim_cur == limit->rlim_max) return;
  limit->rlim_cur = limit->rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &*limit);
}

inbound::Options within_descriptors(inbound::Options options) {
  const auto limit = descriptor_limit();
  if (!limit || limit->rlim_cur == RLIM_INFINITY) return options;
  const rlim_t for_others = std::min<rlim_t>(limit->rlim_cur / 2, kForOthers);
  const auto most = std::max<rlim_t>(1, limit->rlim_cur - for_others);
  if (options.limits.sessions <= most) return options;
  ops::log().warn(
      "limits.sessions is {}, but the process may open {} files and connections (LimitNOFILE=, "
      "ulimit -n): {} sessions are taken at once, the rest is for deliveries and the spool",
      options.limits.sessions, limit->rlim_cur, most);
  options.limits.sessions = static_cast<std::uint32_t>(most);
  return options;
}

}  // namespace waypost::app
