#include "load/recipient_mix.h"

#include "load/files.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace waypost::load {
namespace {

const char* const kTable =
    "address,target,state,wave\n"
    "ann@corp.example,ann@org.example,active,pilot\n"
    "bob@corp.example,bob@org.example,active,wave-2\n"
    "robert@corp.example,bob@org.example,active,wave-2\n"
    "cy@corp.example,cy@org.example,pending,wave-2\n"
    "dan@corp.example,dan@org.example,active,\n";

struct RecipientMixTest : ::testing::Test {
  Folder folder;
  RecipientOptions options;
  void SetUp() override { options.table_file = folder.write("table.csv", kTable); }

  /// Shares of what a test asks of each first recipient.
  template <class Ask>
  std::map<std::string, double> shares(const RecipientMix& mix, Ask ask) {
    std::map<std::string, double> out;
    std::vector<Recipient> drawn;
    std::uint16_t wave = 0;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      mix.draw(i, drawn, wave);
      out[ask(drawn.front(), mix.waves()[wave])] += 1.0 / 20'000;
    }
    return out;
  }
};

TEST_F(RecipientMixTest, DrawsActiveEntriesEvenlyAndKnowsTheirTargets) {
  const auto mix = RecipientMix::make(options);
  ASSERT_TRUE(mix) << mix.error().message;
  const auto got = shares(*mix, [](const Recipient& one, const std::string&) {
    EXPECT_EQ(one.kind, RecipientKind::known);
    return one.address + ">" + one.expected;
  });
  ASSERT_EQ(got.size(), 4u) << "cy is pending";
  for (const auto& [who, share] : got) EXPECT_NEAR(share, 0.25, 0.02) << who;
  EXPECT_TRUE(got.contains("robert@corp.example>bob@org.example"));
}

TEST_F(RecipientMixTest, WeighsWaves) {
  options.waves = {{"pilot", 3}, {"wave-2", 1}};
  const auto mix = RecipientMix::make(options);
  ASSERT_TRUE(mix) << mix.error().message;
  const auto got = shares(*mix, [](const Recipient&, const std::string& wave) { return wave; });
  ASSERT_EQ(got.size(), 2u);
  EXPECT_NEAR(got.at("pilot"), 0.75, 0.02);
  EXPECT_NEAR(got.at("wave-2"), 0.25, 0.02);
}

TEST_F(RecipientMixTest, TakesOtherStatesWhenTold) {
  options.states = {"pending"};
  const auto mix = RecipientMix::make(options);
  ASSERT_TRUE(mix) << mix.error().message;
  const auto got =
      shares(*mix, [](const Recipient& one, const std::string&) { return one.address; });
  EXPECT_EQ(got.size(), 1u);
  EXPECT_TRUE(got.contains("cy@corp.example"));
}

TEST_F(RecipientMixTest, MixesInUnknownAndForeignOnesByShare) {
  options.unknown_share = 0.1;
  options.foreign_share = 0.2;
  const auto mix = RecipientMix::make(options);
  ASSERT_TRUE(mix) << mix.error().message;
  const auto got = shares(*mix, [](const Recipient& one, const std::string&) {
    if (one.kind == RecipientKind::unknown) {
      EXPECT_TRUE(one.address.ends_with("@corp.example")) << one.address;
      EXPECT_TRUE(one.expected.empty());
    }
    if (one.kind == RecipientKind::foreign) {
      EXPECT_TRUE(one.address.ends_with("@elsewhere.example")) << one.address;
      EXPECT_EQ(one.expected, one.address);
    }
    return std::string(1, letter(one.kind));
  });
  EXPECT_NEAR(got.at("u"), 0.1, 0.02);
  EXPECT_NEAR(got.at("f"), 0.2, 0.02);
  EXPECT_NEAR(got.at("k"), 0.7, 0.02);
}

TEST_F(RecipientMixTest, TheSameSeedDrawsTheSamePeople) {
  const auto one = RecipientMix::make(options), same = RecipientMix::make(options);
  options.seed = 2;
  const auto other = RecipientMix::make(options);
  int differs = 0;
  std::vector<Recipient> a, b, c;
  std::uint16_t wave = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    one->draw(i, a, wave);
    same->draw(i, b, wave);
    other->draw(i, c, wave);
    EXPECT_EQ(a.front().address, b.front().address);
    differs += a.front().address != c.front().address ? 1 : 0;
  }
  EXPECT_GT(differs, 30);
}

TEST_F(RecipientMixTest, ABurstGoesToManyAndToEachPersonOnce) {
  std::string table = "address,target\n";
  for (int i = 0; i < 5'000; ++i) {
    const auto n = std::to_string(i);
    table += "u" + n + "@corp.example,u" + std::to_string(i / 2) + "@org.example\n";
  }
  options.table_file = folder.write("big.csv", table);
  options.burst_every = 10;
  options.burst_recipients = 1'000;
  const auto mix = RecipientMix::make(options);
  ASSERT_TRUE(mix) << mix.error().message;
  std::vector<Recipient> drawn;
  std::uint16_t wave = 0;
  for (std::uint64_t i = 0; i < 30; ++i) {
    mix->draw(i, drawn, wave);
    if (i % 10 != 9) {
      EXPECT_EQ(drawn.size(), 1u);
      continue;
    }
    EXPECT_EQ(drawn.size(), 1'000u);
    std::set<std::string> targets;
    for (const auto& one : drawn) targets.insert(one.expected);
    EXPECT_EQ(targets.size(), drawn.size());
  }
}

TEST_F(RecipientMixTest, SaysWhatIsWrong) {
  const auto error = [this] {
    const auto mix = RecipientMix::make(options);
    return mix ? std::string() : mix.error().message;
  };
  options.waves = {{"wave-9", 1}};
  EXPECT_NE(error().find("wave-9"), std::string::npos);
  options.waves.clear();
  options.states = {"rolled_back"};
  EXPECT_NE(error().find("--state"), std::string::npos);
  options.states.clear();
  options.unknown_share = options.foreign_share = 0.6;
  EXPECT_NE(error().find("above 1"), std::string::npos);
  options = {};
  EXPECT_NE(error().find("--table"), std::string::npos);
  options.table_file = folder.path("missing.csv");
  EXPECT_NE(error().find("missing.csv"), std::string::npos);
  options.table_file = folder.write("bad.csv", "address,target\nann@corp.example,nonsense\n");
  EXPECT_NE(error().find("bad.csv:2"), std::string::npos) << error();
}

TEST(WaveWeight, IsNameAndNumber) {
  EXPECT_EQ(parse_wave("pilot")->weight, 1);
  EXPECT_EQ(parse_wave("pilot=2.5")->weight, 2.5);
  EXPECT_EQ(parse_wave("pilot=2.5")->wave, "pilot");
  EXPECT_FALSE(parse_wave("pilot=0"));
  EXPECT_FALSE(parse_wave("pilot=x"));
}

}  // namespace
}  // namespace waypost::load
