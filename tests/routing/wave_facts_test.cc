// Waves and their people: how many, who belongs together, and what is said in vain.
#include "waypost/routing/wave_facts.h"

#include "waypost/routing/wave_plan.h"

#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr WallTime kNoon{std::chrono::seconds(1'796'126'400)};  // 2026-12-01T12:00:00Z

class WaveFacts : public ::testing::Test {
 protected:
  Options options = migration({});
  std::vector<WaveCommand> commands;

  WaveFacts() { options.pending_next_hop = "exchange"; }
  Entry& add(std::string_view address, std::string_view target, std::string wave = "w") {
    auto made = entry(address, target, EntryState::active, std::move(wave));
    made.has_state = false;
    return options.sources[0].entries.emplace_back(std::move(made));
  }
  std::shared_ptr<const Router> router() const {
    return router_of(options)->with_waves(Waves::make(options.waves, commands));
  }
  WaveCommand& say(WaveVerb verb, std::vector<std::string> members = {}) {
    auto& command = commands.emplace_back();
    command.verb = verb;
    command.wave = "w";
    command.members = std::move(members);
    command.said_at = kNoon;
    command.by = "root (uid 0)";
    command.configured = configured(options.waves, "w");
    return command;
  }
  WaveCommand& say_of(std::vector<std::string> members, WaveVerb verb) {
    const auto before = router();
    auto& command = say(verb, std::move(members));
    note_targets(*before, command);
    return command;
  }
  EntryState state(std::string_view address) const {
    const auto now = router();
    const auto entry = now->table().find(address);
    EXPECT_EQ(now->decide(entry->address, kNoon).state, now->state_of(*entry, kNoon));
    return now->state_of(*entry, kNoon);
  }
  Decision decided(std::string_view address) const {
    return router()->decide(*mail::parse_mailbox(address), kNoon);
  }
  std::string explained(std::string_view address) const {
    std::vector<TraceStep> trace;
    router()->decide(*mail::parse_mailbox(address), kNoon, &trace);
    std::string out;
    for (const auto& step : trace) out += step.step + ": " + step.detail + "\n";
    return out;
  }
  std::string problems(WallTime now = kNoon, const std::vector<WaveOptions>* before = nullptr) {
    std::string out;
    for (const auto& problem : wave_problems(*router(), now, before)) {
      EXPECT_FALSE(problem.error);
      out += problem.message + "\n";
    }
    return out;
  }
};

TEST_F(WaveFacts, AConfiguredWaveThatNobodyIsInIsTold) {
  WaveOptions wave;
  wave.name = "w2";
  wave.activate_at = kNoon + hours(1);
  options.waves = {wave};
  EXPECT_EQ(problems(),
            "nobody is in wave 'w2': no entry of the table names a wave; what the configuration "
            "says of this wave moves nobody\n");
  add("a@corp.example", "a@orgname.awsapps.com", "w3");
  add("b@corp.example", "b@orgname.awsapps.com", "v");
  EXPECT_THAT(problems(), HasSubstr("nobody is in wave 'w2'; there are: v, w3; what"));
  add("c@corp.example", "c@orgname.awsapps.com", "w2");
  EXPECT_EQ(problems(), "");
}

TEST_F(WaveFacts, PeopleAreNotAddresses) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  add("ann.baker@corp.example", "Ann@ORGNAME.awsapps.com");
  add("bob@corp.example", "bob@orgname.awsapps.com").has_state = true;
  add("abaker@corp.example", "ann@orgname.awsapps.com", "v");
  add("zoe@corp.example", "zoe@orgname.awsapps.com", "");
  const auto counts = count_waves(router()->table());
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.at("w").people, 2u);
  EXPECT_EQ(counts.at("w").addresses, 3u);
  EXPECT_EQ(counts.at("w").with_own_state, 1u);
  EXPECT_EQ(counts.at("v").people, 1u);

  const auto found = entries_of_people(router()->table(), {"ann.baker@corp.example"});
  std::vector<std::string> addresses;
  for (const auto& one : found) addresses.push_back(one.address.to_string());
  EXPECT_THAT(addresses,
              ElementsAre("abaker@corp.example", "ann.baker@corp.example", "ann@corp.example"))
      << "of whatever wave";
  EXPECT_EQ(count_people(found).people, 1u);
  EXPECT_EQ(count_people(found).addresses, 3u);
}

TEST_F(WaveFacts, ACopyIsNoOneOfThePerson) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  add("team@corp.example", "team@orgname.awsapps.com").copies = {
      mailbox("ann@orgname.awsapps.com")};
  EXPECT_EQ(entries_of_people(router()->table(), {"ann@corp.example"}).size(), 1u);
}

TEST_F(WaveFacts, WhoGoesAnotherWayThanTheWaveIsNamed) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  auto& bob = add("bob@corp.example", "bob@orgname.awsapps.com");
  bob.has_state = true;
  bob.state = EntryState::pending;
  add("joe@corp.example", "joe@orgname.awsapps.com");
  say(WaveVerb::activate);
  say(WaveVerb::rollback, {"ann@corp.example"});
  const auto found = unmoved(*router(), "w", EntryState::active, kNoon, 10);
  EXPECT_EQ(found.count, 2u);
  ASSERT_EQ(found.some.size(), 2u);
  EXPECT_EQ(found.some[0].entry.address.to_string(), "ann@corp.example");
  EXPECT_TRUE(found.some[0].by_word);
  EXPECT_EQ(found.some[0].state, EntryState::rolled_back);
  EXPECT_FALSE(found.some[1].by_word);
  EXPECT_EQ(unmoved(*router(), "w", EntryState::active, kNoon, 1).some.size(), 1u);
}

TEST_F(WaveFacts, AScheduleWithoutEffectIsToldWithTheCommandThatUndoesIt) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  WaveOptions wave;
  wave.name = "w";
  wave.activate_at = kNoon + hours(1);
  options.waves = {wave};
  EXPECT_EQ(problems(), "");
  say(WaveVerb::rollback);
  EXPECT_THAT(problems(),
              HasSubstr("wave 'w': its 'at' 2026-12-01T13:00:00Z has no effect: 'rollback', said "
                        "by root (uid 0) at 2026-12-01T12:00:00Z, has replaced it; to have it all "
                        "the same: waypost wave activate w --at 2026-12-01T13:00:00Z"));
  EXPECT_THAT(problems(kNoon + hours(2)), HasSubstr("is over (1 h ago): the wave is rolled_back"));
  options.waves[0].activate_at = kNoon + hours(25);
  EXPECT_EQ(problems(), "") << "it is new";
  commands[0].configured.reset();
  EXPECT_THAT(problems(), HasSubstr("may be older and replaces it")) << "an old line";
}

TEST_F(WaveFacts, ATimeOfAWaveThatIsActiveFromTheBeginningIsTold) {
  add("a@corp.example", "a@orgname.awsapps.com");
  options.waves.resize(1);
  options.waves[0].name = "w";
  options.waves[0].activate_at = kNoon + hours(1);
  EXPECT_EQ(problems(), "");
  options.waves[0].state = EntryState::active;
  EXPECT_THAT(problems(), HasSubstr("wave 'w': its 'at' 2026-12-01T13:00:00Z has no effect: by its "
                                    "'state' it is active from the beginning"));
  options.waves[0].hold_at = kNoon + hours(1);
  options.waves[0].activate_at = kNoon + hours(2);
  EXPECT_EQ(problems(), "") << "it is held between";
}

TEST_F(WaveFacts, ATimeThatIsOverIsToldWhenItIsNew) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  WaveOptions wave;
  wave.name = "w";
  options.waves = {wave};
  const auto before = options.waves;
  options.waves[0].activate_at = kNoon - hours(48);
  EXPECT_THAT(problems(), HasSubstr("its 'at' 2026-11-29T12:00:00Z is over (2 d ago): the wave is "
                                    "active now, said by configuration"));
  EXPECT_NE(problems(kNoon, &before), "");
  EXPECT_EQ(problems(kNoon, &options.waves), "") << "it ran like that before";
}

TEST_F(WaveFacts, AStateThatWasChangedInVainIsTold) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  WaveOptions wave;
  wave.name = "w";
  options.waves = {wave};
  say(WaveVerb::rollback);
  EXPECT_EQ(problems(), "");
  options.waves[0].state = EntryState::active;
  EXPECT_THAT(problems(), HasSubstr("its 'state' was changed in the configuration, without effect: "
                                    "it is rolled_back because root (uid 0)"));
}

TEST_F(WaveFacts, APersonsWordThatStandsAloneIsTold) {
  auto& ann = add("ann@corp.example", "ann@orgname.awsapps.com");
  say(WaveVerb::rollback, {"ann@corp.example"});
  EXPECT_EQ(problems(), "");
  ann.wave = "w2";
  EXPECT_THAT(problems(),
              HasSubstr("'ann@corp.example' (table.csv:1) is of wave 'w2' now and stays "
                        "rolled_back: root (uid 0) has said so of this person"));
  EXPECT_THAT(problems(), HasSubstr("waypost wave reset w --member ann@corp.example"));
  ann.wave = "w";
  say(WaveVerb::activate);
  add("ab@corp.example", "ann@orgname.awsapps.com");
  EXPECT_THAT(problems(), HasSubstr("'ab@corp.example' (table.csv:1) is the same person as "
                                    "'ann@corp.example', who is rolled_back"));
  commands[0].address_only = true;
  EXPECT_EQ(problems(), "");
}

/// What is said of people who are in the table, as the gateway writes it down.
TEST_F(WaveFacts, AWordGoesWithThePersonNotWithTheAddress) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  add("ab@corp.example", "Ann@OrgName.awsapps.com");
  say(WaveVerb::activate);
  say_of({"ann@corp.example", "ab@corp.example"}, WaveVerb::rollback);
  EXPECT_EQ(problems(), "");
  // A further address, in another wave, with a state in its source.
  auto& later = add("alias@corp.example", "ann@orgname.awsapps.com", "v");
  later.has_state = true;
  EXPECT_EQ(state("alias@corp.example"), EntryState::rolled_back);
  EXPECT_EQ(decided("alias@corp.example").next_hop, "exchange");
  EXPECT_THAT(problems(),
              ::testing::AllOf(
                  HasSubstr("'alias@corp.example' (table.csv:1) is rolled_back: it has the same "
                            "target as 'ab@corp.example', of which root (uid 0) has said so"),
                  HasSubstr("waypost wave rollback v --member alias@corp.example"),
                  HasSubstr("waypost wave reset w --member ab@corp.example")));
  EXPECT_THAT(explained("alias@corp.example"), HasSubstr("said of the same person (ab@corp"));
  // Another name: none of the addresses of then is left.
  options.sources[0].entries.clear();
  add("miller@corp.example", "ann@orgname.awsapps.com");
  EXPECT_EQ(state("miller@corp.example"), EntryState::rolled_back);
  EXPECT_THAT(problems(), HasSubstr("'miller@corp.example'"));
  // Said once more it is a word of its own.
  say_of({"miller@corp.example"}, WaveVerb::rollback);
  EXPECT_EQ(problems(), "");
}

TEST_F(WaveFacts, AWordIsNotInheritedByWhoGetsTheAddress) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  add("sales@corp.example", "ann@orgname.awsapps.com");
  add("bob@corp.example", "bob@orgname.awsapps.com");
  say(WaveVerb::activate);
  say_of({"ann@corp.example", "sales@corp.example"}, WaveVerb::rollback);
  options.sources[0].entries[1].target = *mail::parse_mailbox("bob@orgname.awsapps.com");
  EXPECT_THAT(
      problems(),
      ::testing::AllOf(
          HasSubstr("'sales@corp.example' (table.csv:1) has the target 'bob@orgname.awsapps.com' "
                    "now and stays rolled_back: root (uid 0) has said so at "),
          HasSubstr("when its target was 'ann@orgname.awsapps.com'"),
          HasSubstr("waypost wave reset w --member sales@corp.example --address-only"),
          HasSubstr("waypost wave rollback w --member sales@corp.example")));
  EXPECT_EQ(state("bob@corp.example"), EntryState::active) << "nobody has said anything of bob";
  EXPECT_EQ(state("ann@corp.example"), EntryState::rolled_back);
  say_of({"sales@corp.example"}, WaveVerb::reset).address_only = true;
  EXPECT_EQ(state("sales@corp.example"), EntryState::active);
  EXPECT_EQ(problems(), "");
}

TEST_F(WaveFacts, AResetEndsTheWordForAllAddressesThatFollow) {
  add("ann@corp.example", "ann@orgname.awsapps.com");
  add("ab@corp.example", "ann@orgname.awsapps.com");
  say(WaveVerb::activate);
  say_of({"ann@corp.example", "ab@corp.example"}, WaveVerb::hold);
  // One of them by itself: the person's word stays with the other, and does not come back.
  say_of({"ab@corp.example"}, WaveVerb::reset).address_only = true;
  EXPECT_EQ(state("ab@corp.example"), EntryState::active);
  EXPECT_EQ(state("ann@corp.example"), EntryState::migrating);
  say_of({"ann@corp.example", "ab@corp.example"}, WaveVerb::hold);
  EXPECT_EQ(state("ab@corp.example"), EntryState::migrating);
  // An address that has left keeps its word; whoever has the target follows it no more.
  options.sources[0].entries.pop_back();
  say_of({"ann@corp.example"}, WaveVerb::reset);
  EXPECT_EQ(state("ann@corp.example"), EntryState::active);
  EXPECT_EQ(problems(), "");
  // About an address alone: nobody follows.
  say_of({"ann@corp.example"}, WaveVerb::hold).address_only = true;
  add("later@corp.example", "ann@orgname.awsapps.com");
  EXPECT_EQ(state("later@corp.example"), EntryState::active);
}

TEST_F(WaveFacts, APlanCountsPeopleAndIsSortedByPerson) {
  add("zed@corp.example", "ann@orgname.awsapps.com");
  add("bob@corp.example", "bob@orgname.awsapps.com");
  add("ann@corp.example", "ann@orgname.awsapps.com");
  const auto now = router();
  say(WaveVerb::hold);
  const auto then = router();
  const auto plan = plan_wave(*now, *then, "w", {}, kNoon, 2);
  EXPECT_EQ(plan.all.people, 2u);
  EXPECT_EQ(plan.all.addresses, 3u);
  EXPECT_EQ(plan.changed.people, 2u);
  ASSERT_EQ(plan.changes.size(), 2u);
  EXPECT_EQ(plan.changes[0].entry.address.to_string(), "ann@corp.example");
  EXPECT_EQ(plan.changes[1].entry.address.to_string(), "zed@corp.example");
  EXPECT_TRUE(plan.changes[0].held);

  commands.clear();
  say(WaveVerb::hold, {"zed@corp.example"});
  const auto one = plan_wave(*now, *router(), "w", {"zed@corp.example"}, kNoon, 9);
  EXPECT_EQ(one.all.addresses, 1u);
  EXPECT_EQ(one.changed.people, 1u);
  ASSERT_EQ(one.conflicts.size(), 1u) << "half a person";
  EXPECT_THAT(one.conflicts[0], HasSubstr("'ann@corp.example' (table.csv:1) is the same person"));
}

}  // namespace
}  // namespace waypost::routing
