#include "inbound/proxy_header.h"

#include <gtest/gtest.h>

namespace waypost::inbound {
namespace {

using namespace std::string_literals;
const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

struct Reading {
  Result<> result;
  bool complete = false;
  std::string left;  // what stays in the socket
  net::Endpoint source;
};

Reading read(std::string bytes, std::size_t piece = 4096) {
  ProxyHeader header;
  Reading reading;
  while (!header.complete() && !bytes.empty() && reading.result) {
    const std::string waiting = bytes.substr(0, piece);
    const std::size_t own = header.claim(waiting);
    EXPECT_GT(own, 0u);
    reading.result = header.feed(waiting.substr(0, own));
    bytes.erase(0, own);
  }
  reading.complete = header.complete();
  reading.left = bytes;
  reading.source = header.source();
  return reading;
}

std::string version2(char command, char family, const std::string& addresses) {
  return kSignature + command + family + static_cast<char>(addresses.size() >> 8) +
         static_cast<char>(addresses.size() & 255) + addresses;
}

const std::string kFour = "\xC0\0\2\7\xC0\0\2\1\x12\x67\0\x19"s;  // 192.0.2.7:4711, 192.0.2.1:25
const std::string kSix = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\7" +
                         std::string(15, '\0') + "\1\x12\x67\0\x19"s;

TEST(ProxyHeader, ReadsVersion1WhateverTheCutAndLeavesWhatFollows) {
  const std::string hello = "\x16\x03\x01\x02\x00\n\r\n"s;
  for (std::size_t piece = 1; piece < 70; ++piece) {
    const auto four = read("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n" + hello, piece);
    ASSERT_TRUE(four.result) << four.result.error().message;
    ASSERT_TRUE(four.complete);
    EXPECT_EQ(four.source, (net::Endpoint{"192.0.2.7", 4711}));
    EXPECT_EQ(four.left, hello);
  }
}

TEST(ProxyHeader, ReadsVersion2WhateverTheCutAndLeavesWhatFollows) {
  const std::string hello = "\x16\x03\x01"s;
  const std::string tlv = "\x03\0\2ab"s;
  for (std::size_t piece = 1; piece < 70; ++piece) {
    const auto four = read(version2(0x21, 0x11, kFour) + hello, piece);
    ASSERT_TRUE(four.result && four.complete);
    EXPECT_EQ(four.source, (net::Endpoint{"192.0.2.7", 4711}));
    EXPECT_EQ(four.left, hello);
    const auto six = read(version2(0x21, 0x21, kSix + tlv) + hello, piece);
    ASSERT_TRUE(six.result && six.complete);
    EXPECT_EQ(six.source, (net::Endpoint{"2001:db8::7", 4711}));
    EXPECT_EQ(six.left, hello);
  }
}

TEST(ProxyHeader, AddressesAreNormalised) {
  EXPECT_EQ(read("PROXY TCP6 2001:0DB8:0::7 ::1 1 25\r\n").source.address, "2001:db8::7");
  EXPECT_EQ(read("PROXY TCP6 ::ffff:10.0.0.5 ::1 1 25\r\n").source.address, "10.0.0.5");
  const std::string mapped =
      std::string(10, '\0') + "\xFF\xFF\x0a\0\0\5"s + std::string(16, '\0') + "\0\1\0\x19"s;
  EXPECT_EQ(read(version2(0x21, 0x21, mapped)).source.address, "10.0.0.5");
}

TEST(ProxyHeader, ConnectionsOfTheProxyItselfHaveNoSource) {
  const std::vector<std::string> own = {
      "PROXY UNKNOWN\r\n", "PROXY UNKNOWN whatever stands here\r\n", version2(0x20, 0x00, ""),
      version2(0x20, 0x11, kFour), version2(0x21, 0x00, ""), version2(0x21, 0x00, "some TLV"),
      // §2.2: what is no TCP over IP falls back to UNSPEC.
      version2(0x21, 0x31, std::string(216, 'u')), version2(0x21, 0x32, std::string(216, 'u')),
      version2(0x21, 0x12, kFour), version2(0x21, 0x22, kSix)};
  for (const std::string& header : own) {
    const auto reading = read(header + "EHLO");
    ASSERT_TRUE(reading.result && reading.complete) << header;
    EXPECT_EQ(reading.source.address, "");
    EXPECT_EQ(reading.left, "EHLO");
  }
}

TEST(ProxyHeader, RefusesWhatIsNone) {
  const std::string long_line = "PROXY UNKNOWN " + std::string(120, 'x') + "\r\n";
  const std::vector<std::string> wrong = {"EHLO ex1.corp.example\r\n",
                                          "proxy TCP4 192.0.2.7 192.0.2.1 4711 25\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25 26\r\n",
                                          "PROXY TCP4 192.0.2.7  192.0.2.1 4711 25\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n",
                                          "PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n",
                                          "PROXY TCP6 192.0.2.7 192.0.2.1 4711 25\r\n",
                                          "PROXY TCP4 192.0.2.777 192.0.2.1 4711 25\r\n",
                                          "PROXY TCP4 192.0.2.7\0evil 192.0.2.1 4711 25\r\n"s,
                                          "PROXY UDP4 192.0.2.7 192.0.2.1 4711 25\r\n",
                                          "PROXY \nEHLO x\r\n",
                                          "PROXY TCP4\r\n",
                                          long_line,
                                          version2(0x11, 0x11, kFour),
                                          version2(0x22, 0x11, kFour),
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 04711 25\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 4711 025\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.1 00 25\r\n",
                                          "PROXY TCP4 192.0.2.7 192.0.2.01 4711 25\r\n",
                                          version2(0x21, 0x41, kFour),
                                          version2(0x21, 0x13, kFour),
                                          version2(0x21, 0x11, kFour.substr(0, 11)),
                                          version2(0x21, 0x21, kFour)};
  for (const std::string& bytes : wrong) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{4096}}) {
      const auto reading = read(bytes, piece);
      ASSERT_FALSE(reading.result) << bytes;
      EXPECT_EQ(reading.result.error().kind, ErrorKind::protocol);
      EXPECT_EQ(reading.source.address, "");
    }
  }
}

TEST(ProxyHeader, RefusesAtTheFirstOctetThatDiffers) {
  ProxyHeader header;
  ASSERT_TRUE(header.feed("P"));
  EXPECT_FALSE(header.feed("U"));
  ProxyHeader other;
  ASSERT_TRUE(other.feed("\r\n\r\n"));
  EXPECT_FALSE(other.feed("\r"));
}

TEST(ProxyHeader, ClientCertificatesFitIn) {
  for (const std::size_t size : {4080u, 4081u, 9000u, 65'535u - 12u}) {
    const auto reading = read(version2(0x21, 0x11, kFour + std::string(size, 't')) + "EHLO", 256);
    ASSERT_TRUE(reading.result && reading.complete) << size;
    EXPECT_EQ(reading.source, (net::Endpoint{"192.0.2.7", 4711}));
    EXPECT_EQ(reading.left, "EHLO");
  }
  const auto six = read(version2(0x21, 0x21, kSix + std::string(65'535 - 36, 't')) + "EHLO", 7);
  ASSERT_TRUE(six.result && six.complete);
  EXPECT_EQ(six.source.address, "2001:db8::7");
  EXPECT_EQ(read("PROXY TCP4 192.0.2.7 192.0.2.1 0 25\r\n").source,
            (net::Endpoint{"192.0.2.7", 0}));
}

TEST(ProxyHeader, LongestVersion1LineIsTaken) {
  const std::string line = "PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n";
  ASSERT_EQ(line.size(), 107u);
  EXPECT_TRUE(read(line).complete);
  EXPECT_FALSE(read("PROXY UNKNOWN " + std::string(107 - 15, 'x') + "\r\n").result);
}

}  // namespace
}  // namespace waypost::inbound
