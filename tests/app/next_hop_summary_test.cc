#include "app/next_hop_summary.h"

#include <gtest/gtest.h>

namespace waypost::app {
namespace {

TEST(NextHopSummary, SaysHostsAndPolicy) {
  outbound::NextHopOptions mx;
  mx.name = "workmail";
  mx.mx_domain = "orgname.awsapps.com";
  outbound::NextHopOptions hosts;
  hosts.name = "lab";
  hosts.hosts = {{"10.0.0.1", 25}, {"10.0.0.2", 2525}};
  hosts.tls.policy = net::TlsPolicy::none;
  outbound::NextHopOptions world;
  world.name = "world";
  world.mx_of_recipient = true;
  world.tls.policy = net::TlsPolicy::opportunistic;
  const std::vector<outbound::NextHopOptions> all = {mx, hosts, world};
  EXPECT_EQ(summarise_next_hop(all, "workmail"), "MX of orgname.awsapps.com, TLS verify");
  EXPECT_EQ(summarise_next_hop(all, "lab"), "10.0.0.1:25, 10.0.0.2:2525, TLS none");
  EXPECT_EQ(summarise_next_hop(all, "world"), "MX of the recipient's domain, TLS opportunistic");
  EXPECT_EQ(summarise_next_hop(all, "gone"), "");
}

}  // namespace
}  // namespace waypost::app
