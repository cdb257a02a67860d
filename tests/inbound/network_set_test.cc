#include "inbound/network_set.h"

#include <gtest/gtest.h>

namespace waypost::inbound {
namespace {

bool contains(const std::vector<std::string>& networks, std::string_view address) {
  const auto set = NetworkSet::parse(networks);
  EXPECT_TRUE(set) << (set ? "" : set.error().message);
  return set && set->contains(address);
}

TEST(NetworkSet, MatchesAtEachPrefixLength) {
  // 10.170.170.170, one bit turned at a time.
  const std::uint32_t base = 0x0AAAAAAA;
  const auto text = [](std::uint32_t value) {
    return std::to_string(value >> 24) + "." + std::to_string(value >> 16 & 255) + "." +
           std::to_string(value >> 8 & 255) + "." + std::to_string(value & 255);
  };
  for (unsigned prefix = 0; prefix <= 32; ++prefix) {
    const std::string network = text(base) + "/" + std::to_string(prefix);
    for (unsigned bit = 0; bit < 32; ++bit) {
      const bool inside = bit >= prefix;
      EXPECT_EQ(contains({network}, text(base ^ (0x80000000u >> bit))), inside)
          << network << " bit " << bit;
    }
    EXPECT_TRUE(contains({network}, text(base)));
  }
}

TEST(NetworkSet, MatchesIpv6) {
  EXPECT_TRUE(contains({"2001:db8::/32"}, "2001:db8:ffff::1"));
  EXPECT_FALSE(contains({"2001:db8::/32"}, "2001:db9::1"));
  EXPECT_TRUE(contains({"2001:db8::/33"}, "2001:db8:7fff::1"));
  EXPECT_FALSE(contains({"2001:db8::/33"}, "2001:db8:8000::1"));
  EXPECT_TRUE(contains({"2001:db8::1"}, "2001:0db8:0::1"));
  EXPECT_FALSE(contains({"2001:db8::1"}, "2001:db8::2"));
}

TEST(NetworkSet, MappedAddressesAreIpv4) {
  EXPECT_TRUE(contains({"10.0.0.0/8"}, "::ffff:10.1.2.3"));
  EXPECT_FALSE(contains({"10.0.0.0/8"}, "::ffff:11.1.2.3"));
  EXPECT_TRUE(contains({"::ffff:10.0.0.0/104"}, "10.1.2.3"));
  EXPECT_FALSE(contains({"::ffff:10.0.0.0/104"}, "11.1.2.3"));
  EXPECT_TRUE(contains({"::ffff:10.0.0.1"}, "10.0.0.1"));
}

TEST(NetworkSet, FamiliesAreApart) {
  EXPECT_FALSE(contains({"::/0"}, "192.0.2.1"));
  EXPECT_FALSE(contains({"::/0"}, "::ffff:192.0.2.1"));
  EXPECT_TRUE(contains({"::/0"}, "2001:db8::1"));
  EXPECT_FALSE(contains({"0.0.0.0/0"}, "2001:db8::1"));
  EXPECT_TRUE(contains({"0.0.0.0/0"}, "192.0.2.1"));
}

TEST(NetworkSet, NothingIsInAnEmptySetAndNoTextIsAnAddress) {
  EXPECT_FALSE(contains({}, "127.0.0.1"));
  EXPECT_TRUE(NetworkSet::parse({})->empty());
  EXPECT_FALSE(contains({"0.0.0.0/0", "::/0"}, ""));
  EXPECT_FALSE(contains({"0.0.0.0/0", "::/0"}, "localhost"));
  EXPECT_FALSE(contains({"0.0.0.0/0"}, std::string_view("10.0.0.1\0x", 10)));
}

TEST(NetworkSet, RefusesWhatIsNoNetwork) {
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8", "::/129",
        "::ffff:10.0.0.0/24", "corp.example", "10.0.0.0/ 8"}) {
    const auto set = NetworkSet::parse({"192.0.2.1", text});
    ASSERT_FALSE(set) << text;
    EXPECT_EQ(set.error().kind, ErrorKind::invalid);
    EXPECT_NE(set.error().message.find("'" + std::string(text) + "'"), std::string::npos);
  }
}

}  // namespace
}  // namespace waypost::inbound
