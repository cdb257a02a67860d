#include "load/content.h"

#include "load/files.h"
#include "load/identity.h"
#include "load/units.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace waypost::load {
namespace {

ContentOptions of_size(const std::string& size) {
  ContentOptions options;
  options.size = size;
  options.sender = "s@corp.example";
  options.recipient = "rehearsal: ;";
  return options;
}

TEST(Contents, HaveTheSizeThatWasAskedForAndCleanLines) {
  for (const std::uint64_t size : {600u, 1024u, 1025u, 1026u, 1027u, 10'240u, 1'048'576u}) {
    const auto contents = Contents::make(of_size(std::to_string(size)));
    ASSERT_TRUE(contents) << contents.error().message;
    const Content& one = contents->all().front();
    EXPECT_EQ(one.text.size() + kIdentityLine + kMessageIdLine, size);
    EXPECT_TRUE(one.text.ends_with("\r\n"));
    EXPECT_EQ(one.digest, BodyDigest::of(one.text));
    std::size_t line = 0;
    for (std::size_t i = 0; i < one.text.size(); ++i) {
      if (one.text[i] == '\r') {
        ASSERT_EQ(one.text[i + 1], '\n') << i;
      }
      if (one.text[i] == '\n') {
        ASSERT_EQ(one.text[i - 1], '\r') << i;
      }
      line = one.text[i] == '\n' ? 0 : line + 1;
      ASSERT_LT(line, 998u);
    }
  }
}

TEST(Contents, WeightsAreKept) {
  const auto contents = Contents::make(of_size("1KiB*70,10KiB*25,100KiB*5"));
  ASSERT_TRUE(contents) << contents.error().message;
  std::map<std::string, int> drawn;
  Random random(3);
  for (int i = 0; i < 100'000; ++i) ++drawn[contents->draw(random.next()).name];
  EXPECT_NEAR(drawn["1.0 KiB"], 70'000, 1'000);
  EXPECT_NEAR(drawn["10.0 KiB"], 25'000, 1'000);
  EXPECT_NEAR(drawn["100.0 KiB"], 5'000, 500);
}

TEST(SizeDistribution, LogNormalHasItsMedianAndSpread) {
  const auto sizes = SizeDistribution::parse("lognormal:median=20KiB,sigma=1,max=100MiB");
  ASSERT_TRUE(sizes) << sizes.error().message;
  std::vector<std::uint64_t> all;
  for (const auto& share : sizes->shares()) all.push_back(share.octets);
  std::sort(all.begin(), all.end());
  const auto part = [&](double p) {
    return static_cast<double>(all[static_cast<std::size_t>(p * static_cast<double>(all.size()))]);
  };
  EXPECT_NEAR(part(0.5), 20 * 1024, 300);
  EXPECT_NEAR(part(0.8413) / (20 * 1024), std::exp(1.0), 0.1);
  EXPECT_NEAR(part(0.1587) / (20 * 1024), std::exp(-1.0), 0.1);
}

TEST(SizeDistribution, StaysWithinItsBounds) {
  const auto sizes = SizeDistribution::parse("lognormal:median=20KiB,sigma=3,min=1KiB,max=1MiB");
  ASSERT_TRUE(sizes);
  for (const auto& share : sizes->shares()) {
    EXPECT_GE(share.octets, 1024u);
    EXPECT_LE(share.octets, 1'048'576u);
  }
}

TEST(SizeDistribution, NamesWhatItDoesNotUnderstand) {
  for (const char* text : {"", "x", "10KiB*0", "10KiB*x", "10Q", "lognormal:sigma=1",
                           "lognormal:median=1k,what=2", "lognormal:median=1k,min=9k,max=1k"}) {
    EXPECT_FALSE(SizeDistribution::parse(text)) << text;
  }
}

TEST(Contents, ComeFromAFolder) {
  const Folder folder;
  folder.write("a.eml", "Message-Id: <1@x>\nSubject: a\n\n.dot\n..two\nend");
  folder.write("b.eml", "Subject: b\r\n\r\nb\xc3\xbc\r\n");
  folder.write("ignored.txt", "x");
  ContentOptions options;
  options.folder = folder.path("");
  const auto contents = Contents::make(options);
  ASSERT_TRUE(contents) << contents.error().message;
  ASSERT_EQ(contents->all().size(), 2u);
  const Content& a = contents->all()[0];
  EXPECT_EQ(a.text, "Message-Id: <1@x>\r\nSubject: a\r\n\r\n.dot\r\n..two\r\nend\r\n");
  EXPECT_EQ(a.for_data(), "Message-Id: <1@x>\r\nSubject: a\r\n\r\n..dot\r\n...two\r\nend\r\n");
  EXPECT_TRUE(a.own_message_id);
  EXPECT_FALSE(a.eight_bit);
  const Content& b = contents->all()[1];
  EXPECT_FALSE(b.own_message_id);
  EXPECT_TRUE(b.eight_bit);
  EXPECT_EQ(b.for_data(), b.text);
}

TEST(Contents, AFolderWithoutMessagesIsAnError) {
  const Folder folder;
  ContentOptions options;
  options.folder = folder.path("");
  EXPECT_FALSE(Contents::make(options));
  options.folder = folder.path("missing");
  EXPECT_FALSE(Contents::make(options));
}

}  // namespace
}  // namespace waypost::load
