// What a new table takes away: entries, and words about waves and states.
#include "waypost/routing/table_facts.h"

#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
constexpr WallTime kNow{std::chrono::hours(24 * 365 * 56)};

/// `many` people from `first` on, in a wave ("": none).
void add_people(std::vector<Entry>& people, int first, int many, const std::string& wave,
                std::optional<EntryState> state = {}) {
  for (int n = first; n < first + many; ++n) {
    const auto name = "u" + std::to_string(n);
    auto one = entry(name + "@corp.example", name + "@orgname.awsapps.com",
                     state.value_or(EntryState::active), wave, static_cast<std::uint32_t>(n + 1));
    one.has_state = state.has_value();
    people.push_back(std::move(one));
  }
}

std::vector<Entry> people(int many, const std::string& wave, std::optional<EntryState> state = {}) {
  std::vector<Entry> out;
  add_people(out, 0, many, wave, state);
  return out;
}

std::vector<Entry> with(std::vector<Entry> one, int many, const std::string& wave,
                        std::optional<EntryState> state = {}) {
  add_people(one, static_cast<int>(one.size()), many, wave, state);
  return one;
}

Options options_of(std::vector<Entry> entries, std::vector<WaveOptions> waves = {}) {
  auto options = migration(std::move(entries));
  options.waves = std::move(waves);
  return options;
}

WaveOptions wave(std::string name, std::optional<EntryState> state = {}) {
  WaveOptions out;
  out.name = std::move(name);
  out.state = state;
  return out;
}

/// What the guard says of a reload, and of a restart, which knows numbers only.
struct Verdicts {
  std::string reload, restart;
};

Verdicts judge(const Options& before, const Options& after, const TableExcuse& excuse = {}) {
  const auto was = router_of(before), now = router_of(after);
  const auto size = size_of(*was, kNow), fresh = size_of(*now, kNow);
  const auto losses = compare(*was, *now, kNow, 0, excuse).losses;
  const auto kept = TableSize::from_json(size.to_json());
  EXPECT_TRUE(kept);
  return {suspicious_shrink(size, fresh, losses, after).value_or(""),
          suspicious_shrink(*kept, fresh, losses_by_number(*kept, fresh, *now, kNow), after)
              .value_or("")};
}

TEST(TableSize, SurvivesItsFile) {
  TableSize size;
  size.entries = 12;
  size.by_source = {{"a.csv", 10}, {"b.csv", 2}};
  size.said = {{{"w=1", ""}, {7, EntryState::migrating}},
               {{"", "pending"}, {2, EntryState::pending}},
               {{"", ""}, {3, EntryState::active}}};
  size.said_known = true;
  const auto back = TableSize::from_json(size.to_json());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->entries, 12u);
  EXPECT_EQ(back->by_source, size.by_source);
  EXPECT_EQ(back->silent(), 3u);
  EXPECT_EQ(back->said.at({"w=1", ""}).entries, 7u);
  EXPECT_EQ(back->said.at({"w=1", ""}).state, EntryState::migrating);
  for (const char* nonsense :
       {"", "[]", "{}", R"({"entries":-1,"sources":{}})", R"({"entries":1,"sources":{"a":"b"}})",
        R"({"entries":1,"sources":{},"said":{}})",
        R"({"entries":1,"sources":{},"said":[{"wave":"w","state":"","then":"x","entries":1}]})",
        R"({"entries":1,"sources":{},"said":[{"wave":"w","state":"","then":"pending"}]})"})
    EXPECT_FALSE(TableSize::from_json(nonsense)) << nonsense;
}

TEST(TableSize, ThatWasChangedOrCutIsNone) {
  TableSize size;
  size.entries = 60;
  size.by_source = {{"a.csv", 60}};
  size.said_known = true;
  const auto text = size.to_json();
  ASSERT_TRUE(TableSize::from_json(text));
  for (std::size_t cut = 1; cut <= text.size(); ++cut)
    EXPECT_FALSE(TableSize::from_json(std::string_view(text).substr(0, text.size() - cut))) << cut;
  for (std::size_t at = text.find("60"); at != std::string::npos; at = text.find("60", at + 1)) {
    auto other = text;
    other[at] = '5';
    EXPECT_FALSE(TableSize::from_json(other)) << other;
  }
  EXPECT_FALSE(TableSize::from_json(std::string(text.size(), '\0')));
}

TEST(TableSize, OfAnEarlierVersionKnowsEntriesOnly) {
  const auto old = TableSize::from_json(R"({"entries":100,"sources":{"table.csv":100}})");
  ASSERT_TRUE(old);
  EXPECT_FALSE(old->said_known);
  const auto now = router_of(options_of(people(100, "")));
  const auto fresh = size_of(*now, kNow);
  EXPECT_FALSE(
      suspicious_shrink(*old, fresh, losses_by_number(*old, fresh, *now, kNow), now->options()));
}

TEST(TableLosses, AShrinkIsSuspiciousFromTheLimitOn) {
  auto before = options_of(people(200, ""));
  const auto complaint = [&](int removed, double most) {
    before.most_removed = most;
    auto after = options_of(people(200 - removed, ""));
    after.most_removed = most;
    const auto found = judge(before, after);
    EXPECT_EQ(found.reload, found.restart);
    return found.reload;
  };
  EXPECT_EQ(complaint(0, 0.1), "");
  EXPECT_EQ(complaint(20, 0.1), "");
  EXPECT_THAT(complaint(21, 0.1), HasSubstr("21 of 200 entries are gone (10.5 %"));
  EXPECT_EQ(complaint(10, 0), "") << "ten may always go";
  EXPECT_NE(complaint(11, 0), "");
}

TEST(TableLosses, ASourceThatIsSuddenlyEmptyIsNamedAndOneThatIsGoneIsNot) {
  Options options;
  options.sources.emplace_back().paths = {"a.csv"};
  options.sources.emplace_back().paths = {"b.csv"};
  TableSize before, after;
  before.entries = 1001;
  before.by_source = {{"a.csv", 1000}, {"b.csv", 1}};
  after.entries = 1000;
  after.by_source = {{"a.csv", 1000}};
  TableLosses losses;
  losses.removed = 1;
  EXPECT_THAT(suspicious_shrink(before, after, losses, options).value_or(""),
              HasSubstr("'b.csv' is suddenly empty: 1 entry"));
  losses.excused = "b.csv";  // a directory whose shrink was confirmed
  EXPECT_FALSE(suspicious_shrink(before, after, losses, options));
  losses.excused.clear();
  options.sources.pop_back();  // taken out of the configuration on purpose
  EXPECT_FALSE(suspicious_shrink(before, after, losses, options));
}

TEST(TableLosses, NobodyBecomesActiveForWantOfAWord) {
  const std::vector<WaveOptions> waves = {wave("w", EntryState::pending)};
  for (const int fallen : {1, 8, 50}) {
    const auto found = judge(options_of(people(100, "w"), waves),
                             options_of(with(people(100 - fallen, "w"), fallen, ""), waves));
    EXPECT_THAT(found.reload, HasSubstr("active because nothing says any more")) << fallen;
    EXPECT_THAT(found.reload, HasSubstr("u" + std::to_string(100 - fallen) +
                                        "@corp.example, pending until now (table.csv:"))
        << fallen;
    EXPECT_THAT(found.restart, HasSubstr(std::to_string(fallen) + " entr")) << fallen;
  }
}

TEST(TableLosses, NorWhoHadAStateOfTheirOwn) {
  for (const auto state : {EntryState::pending, EntryState::migrating, EntryState::rolled_back}) {
    const auto found =
        judge(options_of(people(100, "", state)), options_of(with(people(99, "", state), 1, "")));
    EXPECT_THAT(found.reload, HasSubstr("1 entry would be active"));
    EXPECT_THAT(found.restart, HasSubstr("1 entry would be active"));
  }
}

/// An earlier source says who is an exception to a later one.
TEST(TableLosses, NorWhomALostLineUncoversInALaterSource) {
  const auto options = [](int exceptions, EntryState otherwise) {
    auto all = people(20, "", otherwise);
    for (int n = 0; n < exceptions; ++n) {
      Entry& one = all[static_cast<std::size_t>(n)];
      one.state = EntryState::pending;
      one.has_state = true;
      one.place.source = "exceptions.csv";
      one.place.line = static_cast<std::uint32_t>(n + 2);
    }
    return options_of(std::move(all));
  };
  EXPECT_THAT(judge(options(5, EntryState::active), options(4, EntryState::active)).reload,
              AllOf(HasSubstr("1 entry would be active because its source has lost it"),
                    HasSubstr("u4@corp.example, pending until now (exceptions.csv:6")));
  EXPECT_EQ(judge(options(5, EntryState::rolled_back), options(4, EntryState::rolled_back)).reload,
            "")
      << "goes to the old system as before";
  EXPECT_EQ(judge(options(4, EntryState::active), options(5, EntryState::active)).reload, "");
}

TEST(TableLosses, NorWhomTheWholeSourceNoLongerGivesAWave) {
  const auto found = judge(options_of(people(5, "w")), options_of(people(5, "")));
  EXPECT_THAT(found.reload, HasSubstr("5 entries would be active"));
  EXPECT_THAT(found.restart, HasSubstr("5 entries would be active"));
}

TEST(TableLosses, WhoIsActiveByTheirWaveMayLoseItInSmallNumbers) {
  const std::vector<WaveOptions> waves = {wave("w", EntryState::active)};
  const auto few =
      judge(options_of(people(100, "w"), waves), options_of(with(people(92, "w"), 8, ""), waves));
  EXPECT_EQ(few.reload, "");
  EXPECT_EQ(few.restart, "");
  const auto many =
      judge(options_of(people(100, "w"), waves), options_of(with(people(50, "w"), 50, ""), waves));
  EXPECT_THAT(many.reload, HasSubstr("50 of 100 entries have another wave or state (50 %;"));
  EXPECT_THAT(many.restart, HasSubstr("50 of 100 entries have another wave or state"));
}

TEST(TableLosses, AnotherWaveOrStateCountsAsARemovalDoes) {
  const auto found =
      judge(options_of(people(100, "w")), options_of(with(people(50, "w"), 50, "v")));
  EXPECT_THAT(found.reload, HasSubstr("50 of 100 entries have another wave or state"));
  EXPECT_THAT(found.restart, HasSubstr("50 of 100 entries have another wave or state"));
  const auto both = judge(options_of(people(100, "w")), options_of(with(people(89, "w"), 6, "v")));
  EXPECT_THAT(both.reload,
              HasSubstr("5 of 100 entries are gone and 6 have another wave or state (11 %"));
  EXPECT_THAT(both.restart, HasSubstr("(11 %"));
  const auto few = judge(options_of(people(100, "w")), options_of(with(people(90, "w"), 10, "v")));
  EXPECT_EQ(few.reload, "");
  EXPECT_EQ(few.restart, "");
}

TEST(TableLosses, AWordWhereThereWasNoneCountsIfItChangesTheState) {
  EXPECT_THAT(judge(options_of(people(100, "")), options_of(people(100, "w"))).reload,
              HasSubstr("100 of 100 entries have another wave or state"));
  const std::vector<WaveOptions> waves = {wave("w", EntryState::active)};
  const auto harmless = judge(options_of(people(100, "")), options_of(people(100, "w"), waves));
  EXPECT_EQ(harmless.reload, "");
  EXPECT_EQ(harmless.restart, "");
}

TEST(TableLosses, AWaveOfWhichTheConfigurationSaysNothingAnyMoreCounts) {
  const auto found = judge(options_of(people(100, "w"), {wave("w", EntryState::active)}),
                           options_of(people(100, "w")));
  EXPECT_THAT(found.reload, HasSubstr("100 of 100 entries have another wave or state"));
  EXPECT_THAT(found.restart, HasSubstr("100 of 100 entries have another wave or state"));
  const auto said = judge(options_of(people(100, "w"), {wave("w", EntryState::pending)}),
                          options_of(people(100, "w"), {wave("w", EntryState::active)}));
  EXPECT_EQ(said.reload, "") << "what is said anew is meant";
  EXPECT_EQ(said.restart, "");
}

TEST(TableLosses, AWaveWithAMembersFileThatHasNobodyAnyMoreIsNamed) {
  auto members = wave("w", EntryState::active);
  members.members_file = "w.txt";
  auto before = options_of(with(people(3, "w"), 200, "v"));
  auto after = options_of(with(people(0, "w"), 203, "v"));
  const auto was = router_of(before), now = router_of(after);
  after.waves = {members};
  const auto size = size_of(*was, kNow), fresh = size_of(*now, kNow);
  EXPECT_THAT(
      suspicious_shrink(size, fresh, compare(*was, *now, kNow, 0).losses, after).value_or(""),
      HasSubstr("wave 'w' is suddenly empty: 3 entries were of it before, and nobody in 'w.txt'"));
}

TEST(TableLosses, WhatADirectoryHasBeenAllowedIsNotAskedAgain) {
  const auto before = options_of(people(100, "w")), after = options_of(people(50, "w"));
  EXPECT_NE(judge(before, after).reload, "");
  EXPECT_EQ(judge(before, after, {"table.csv", false}).reload, "");
  EXPECT_NE(judge(before, after, {"other.csv", true}).reload, "");
  const auto silent = options_of(people(100, ""));
  EXPECT_NE(judge(before, silent, {"table.csv", false}).reload, "") << "only who leaves";
  EXPECT_EQ(judge(before, silent, {"table.csv", true}).reload, "");
}

TEST(TableFacts, StatesAreSummedUp) {
  const auto router = router_of(options_of(with(people(180, "w1"), 1, "w2", EntryState::active)));
  EXPECT_EQ(summary_of(table_stats(*router, kNow)), "181 entries: 1 active, 180 pending (2 waves)");
  EXPECT_EQ(summary_of(table_stats(*router_of(options_of(people(1, ""))), kNow)),
            "1 entry: 1 active");
  EXPECT_EQ(summary_of(table_stats(*router_of(options_of({})), kNow)), "0 entries");
}

}  // namespace
}  // namespace waypost::routing
