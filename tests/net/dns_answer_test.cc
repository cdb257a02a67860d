// The reader of DNS messages against messages that are cut and damaged.
#include "net/dns_answer.h"

#include "net/test_dns_server.h"

#include <gtest/gtest.h>

#include <random>

namespace waypost::net::testing {
namespace {

std::span<const unsigned char> octets(const std::string& text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

std::string good_message() {
  DnsReply reply{.records = {cname_record("real.example", 60), mx_record(10, "a.example", 300),
                             mx_record(20, "b.example", 30)}};
  return dns_message(dns_query("corp.example", kTypeMx), reply);
}

TEST(MxAnswer, IsReadWithItsLowestTtl) {
  const std::string message = good_message();
  const auto records = read_mx_answer(octets(message));
  ASSERT_TRUE(records);
  EXPECT_EQ(records->ttl_seconds, 30u);
  ASSERT_EQ(records->hosts.size(), 2u);
  EXPECT_EQ(records->hosts[1].name, "b.example");
  EXPECT_EQ(records->hosts[1].preference, 20);
}

TEST(MxAnswer, CutAnywhereIsMalformed) {
  const std::string message = good_message();
  for (std::size_t size = 0; size < message.size(); ++size) {
    const std::string cut = message.substr(0, size);
    EXPECT_FALSE(read_mx_answer(octets(cut))) << size;
  }
}

TEST(MxAnswer, DamagedOctetsNeverReadOutside) {
  std::mt19937 random(20251201);
  const std::string message = good_message();
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = message;
    for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
    const std::string exact(damaged.begin(), damaged.end());  // so that ASan sees its very end
    if (!read_mx_answer(octets(exact))) ++refused;
    if (!read_address_answer(octets(exact), i % 2 == 0)) ++refused;
  }
  EXPECT_GT(refused, 2000);
  EXPECT_LT(refused, 38'000);
}

TEST(MxAnswer, ExtraAnswersThatAreNotThereAreMalformed) {
  std::string message = good_message();
  message[6] = '\xFF';
  EXPECT_FALSE(read_mx_answer(octets(message)));
}

TEST(AddressAnswer, OfAThousandRecordsSomeAreEnough) {
  DnsReply reply{.records = std::vector<DnsRecord>(1000, address_record("192.0.2.1"))};
  const std::string message = dns_message(dns_query("a.example", kTypeA), reply);
  const auto records = read_address_answer(octets(message), false);
  ASSERT_TRUE(records);
  EXPECT_EQ(records->addresses.size(), 64u);
}

TEST(AddressAnswer, HasAddressesAndLowestTtl) {
  DnsReply reply{.records = {address_record("192.0.2.1", 90), address_record("192.0.2.2", 40)}};
  const std::string message = dns_message(dns_query("a.example", kTypeA), reply);
  const auto records = read_address_answer(octets(message), false);
  ASSERT_TRUE(records);
  EXPECT_EQ(records->ttl_seconds, 40u);
  EXPECT_EQ(records->addresses, (std::vector<std::string>{"192.0.2.1", "192.0.2.2"}));
  const auto other = read_address_answer(octets(message), true);
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->addresses.empty());
}

}  // namespace
}  // namespace waypost::net::testing
