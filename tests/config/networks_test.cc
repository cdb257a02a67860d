#include "config/networks.h"

#include <gtest/gtest.h>

namespace waypost::config {
namespace {

PublicSpace space_of(std::initializer_list<std::string_view> texts) {
  std::vector<Network> networks;
  for (const auto text : texts) networks.push_back(parse_network(text).value());
  return public_space(networks);
}

TEST(Networks, ReadAndWrite) {
  EXPECT_EQ(parse_network("10.1.2.0/24")->to_string(), "10.1.2.0/24");
  EXPECT_EQ(parse_network("10.1.2.3")->to_string(), "10.1.2.3/32");
  EXPECT_EQ(parse_network("2001:DB8::/32")->to_string(), "2001:db8::/32");
  EXPECT_EQ(parse_network("::")->to_string(), "::/128");
  EXPECT_EQ(parse_network("0.0.0.0/0")->to_string(), "0.0.0.0/0");
}

TEST(Networks, RefuseWhatIsNone) {
  for (const std::string_view bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "10.0.0.1/8",
                                     "::1/64", "::/129", "10.0.0.0/-1", "host", "10.0.0.0/8/8"})
    EXPECT_FALSE(parse_network(bad)) << bad;
  EXPECT_NE(parse_network("10.1.2.3/8").error().message.find("10.0.0.0/8"), std::string::npos);
}

TEST(PublicSpace, LeavesPrivateNetworksOut) {
  const auto space = space_of({"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8",
                               "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1"});
  EXPECT_EQ(space.v4_addresses, 0);
  EXPECT_EQ(space.v6_slash_48s, 0);
  EXPECT_FALSE(space.wide());
}

TEST(PublicSpace, CountsOverlapsOnce) {
  EXPECT_EQ(space_of({"52.0.0.0/24", "52.0.0.0/25", "52.0.0.7", "52.0.0.0/24"}).v4_addresses, 256);
  EXPECT_EQ(space_of({"2600::/32", "2600::/48"}).v6_slash_48s, 65'536);
}

TEST(PublicSpace, SeesEverybodyHoweverWritten) {
  EXPECT_TRUE(space_of({"0.0.0.0/0"}).nearly_everybody());
  EXPECT_TRUE(space_of({"::/0"}).nearly_everybody());
  EXPECT_TRUE(space_of({"0.0.0.0/1", "128.0.0.0/1"}).nearly_everybody());
  EXPECT_TRUE(space_of({"::ffff:0:0/96"}).nearly_everybody());
  EXPECT_TRUE(space_of({"2000::/3"}).nearly_everybody());
  EXPECT_TRUE(space_of({"52.0.0.0/8"}).nearly_everybody());
  EXPECT_FALSE(space_of({"52.0.0.0/9"}).nearly_everybody());
  EXPECT_TRUE(space_of({"52.0.0.0/9"}).wide());
  EXPECT_FALSE(space_of({"52.1.0.0/16"}).wide());
  EXPECT_FALSE(space_of({"2001:4860::/32"}).wide());
  EXPECT_TRUE(space_of({"2001:4860::/31"}).wide());
  EXPECT_TRUE(space_of({"11.0.0.0/8"}).nearly_everybody());
}

}  // namespace
}  // namespace waypost::config
