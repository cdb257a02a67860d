// What configuration and operators say of waves adds up to a state at each time.
#include "waypost/routing/wave_turns.h"

#include "routing/routing_fixture.h"

namespace waypost::routing {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr WallTime kNoon{std::chrono::seconds(1'796'126'400)};  // 2026-12-01T12:00:00Z

WaveCommand said(WaveVerb verb, WallTime when, std::optional<WallTime> at = {},
                 std::vector<std::string> members = {}) {
  WaveCommand command;
  command.verb = verb;
  command.wave = "w";
  command.members = std::move(members);
  command.at = at;
  command.said_at = when;
  command.by = "root (uid 0)";
  return command;
}

WaveOptions wave(std::optional<EntryState> state = {}) {
  WaveOptions options;
  options.name = "w";
  options.state = state;
  return options;
}

EntryState state(const Waves& waves, WallTime at) {
  const auto* found = waves.find("w");
  EXPECT_NE(found, nullptr);
  return found != nullptr ? found->state_at(at) : EntryState::active;
}

TEST(Waves, TimeTurnsThemAndAClockThatIsSetBackTurnsThemBack) {
  const auto waves = Waves::make({}, {said(WaveVerb::hold, kNoon, kNoon + hours(1)),
                                      said(WaveVerb::activate, kNoon, kNoon + hours(2))});
  EXPECT_TRUE(turns_between(*waves, kNoon, kNoon + hours(1) - seconds(1)).empty());
  const auto both = turns_between(*waves, kNoon, kNoon + hours(2));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].change.to, EntryState::migrating);
  EXPECT_EQ(both[1].change.to, EntryState::active);
  EXPECT_TRUE(turns_between(*waves, kNoon + hours(2), kNoon + hours(3)).empty()) << "once";
  const auto back = turns_between(*waves, kNoon + hours(3), kNoon);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].wave, "w");
  EXPECT_EQ(back[0].change.to, EntryState::pending);
  EXPECT_TRUE(back[0].back);
  EXPECT_TRUE(turns_between(*waves, kNoon + hours(3), kNoon + hours(2)).empty());
}

TEST(Waves, NoClockTurnsBackWhatWasSaidToActAtOnce) {
  const auto waves = Waves::make({}, {said(WaveVerb::rollback, kNoon)});
  EXPECT_TRUE(turns_between(*waves, kNoon + hours(3), kNoon - hours(3)).empty());
}

TEST(Waves, AreAsConfiguredFromTheBeginning) {
  EXPECT_EQ(state(*Waves::make({wave()}, {}), WallTime{}), EntryState::pending);
  EXPECT_EQ(state(*Waves::make({wave(EntryState::active)}, {}), kBeginningOfTime),
            EntryState::active);
  EXPECT_EQ(Waves::make({wave()}, {})->find("W"), nullptr) << "octet by octet";
}

TEST(Waves, FollowTheirScheduleWithoutATimer) {
  auto scheduled = wave();
  scheduled.hold_at = kNoon;
  scheduled.activate_at = kNoon + hours(2);
  const auto waves = Waves::make({scheduled}, {});
  EXPECT_EQ(state(*waves, kNoon - Duration(1)), EntryState::pending);
  EXPECT_EQ(state(*waves, kNoon), EntryState::migrating);
  EXPECT_EQ(state(*waves, kNoon + hours(2)), EntryState::active);
  EXPECT_EQ(waves->next_change_after(kNoon - hours(1)), kNoon);
  EXPECT_EQ(waves->next_change_after(kNoon), kNoon + hours(2));
  EXPECT_EQ(waves->next_change_after(kNoon + hours(2)), std::nullopt);
  EXPECT_EQ(waves->find("w")->next_after(kNoon)->by, "configuration");
}

TEST(Waves, ACommandActsAtOnceAndDropsTheSchedule) {
  auto scheduled = wave();
  scheduled.activate_at = kNoon + hours(2);
  const auto waves = Waves::make({scheduled}, {said(WaveVerb::hold, kNoon)});
  EXPECT_EQ(state(*waves, kNoon), EntryState::migrating);
  EXPECT_EQ(state(*waves, kNoon + hours(9)), EntryState::migrating);
  EXPECT_TRUE(waves->find("w")->schedule_replaced);
  EXPECT_EQ(waves->next_change_after(kNoon), std::nullopt);
  // What has taken effect already is history, not schedule.
  const auto late = Waves::make({scheduled}, {said(WaveVerb::rollback, kNoon + hours(3))});
  EXPECT_FALSE(late->find("w")->schedule_replaced);
  EXPECT_TRUE(late->find("w")->overruled.empty());
  EXPECT_EQ(state(*late, kNoon + hours(3)), EntryState::rolled_back);
}

TEST(Waves, ScheduledCommandsStandBesideOneAnother) {
  auto scheduled = wave();
  scheduled.activate_at = kNoon + hours(5);
  const auto waves = Waves::make({scheduled}, {said(WaveVerb::activate, kNoon, kNoon + hours(3)),
                                               said(WaveVerb::hold, kNoon, kNoon + hours(1))});
  EXPECT_EQ(state(*waves, kNoon), EntryState::pending);
  EXPECT_EQ(state(*waves, kNoon + hours(1)), EntryState::migrating);
  EXPECT_EQ(state(*waves, kNoon + hours(3)), EntryState::active);
  EXPECT_EQ(waves->find("w")->changes.size(), 4u) << "the configured one too";
  EXPECT_FALSE(waves->find("w")->schedule_replaced);
}

TEST(Waves, CancelDropsWhatIsToCome) {
  auto scheduled = wave();
  scheduled.activate_at = kNoon + hours(5);
  const auto waves =
      Waves::make({scheduled}, {said(WaveVerb::hold, kNoon - hours(2)),
                                said(WaveVerb::activate, kNoon - hours(1), kNoon + hours(3)),
                                said(WaveVerb::cancel, kNoon)});
  EXPECT_EQ(state(*waves, kNoon + hours(9)), EntryState::migrating);
  EXPECT_TRUE(waves->find("w")->schedule_replaced);
}

TEST(Waves, AtOneTimeTheLaterWordCounts) {
  const auto waves = Waves::make({}, {said(WaveVerb::hold, kNoon, kNoon + hours(1)),
                                      said(WaveVerb::activate, kNoon, kNoon + hours(1))});
  EXPECT_EQ(state(*waves, kNoon + hours(1)), EntryState::active);
}

TEST(Waves, ATimeThatHasPassedIsNow) {
  const auto waves = Waves::make(
      {}, {said(WaveVerb::activate, kNoon, kNoon - hours(1)),
           said(WaveVerb::hold, kNoon, kNoon + hours(1)), said(WaveVerb::rollback, kNoon, kNoon)});
  EXPECT_EQ(state(*waves, kNoon), EntryState::rolled_back);
  EXPECT_EQ(state(*waves, kNoon + hours(2)), EntryState::rolled_back) << "the schedule is dropped";
}

TEST(Waves, AClockThatWasSetBackDoesNotReviveAnOlderWord) {
  const auto waves = Waves::make(
      {}, {said(WaveVerb::activate, kNoon), said(WaveVerb::rollback, kNoon - hours(1))});
  EXPECT_EQ(state(*waves, kNoon + hours(1)), EntryState::rolled_back);
}

// A clock that was fast when a command was acknowledged, and is right by now.
TEST(Waves, ACorrectedClockUndoesNoWordThatActsAtOnce) {
  const WallTime real = kNoon, fast = kNoon + std::chrono::minutes(5);
  for (const auto verb : {WaveVerb::hold, WaveVerb::activate, WaveVerb::rollback, WaveVerb::reset})
    for (const auto before : {WaveVerb::hold, WaveVerb::activate}) {
      const auto waves = Waves::make({}, {said(before, real - hours(1)), said(verb, fast)});
      EXPECT_EQ(state(*waves, real), state_after(verb));
      EXPECT_EQ(state(*waves, real - hours(2)), state_after(verb));
      EXPECT_EQ(waves->next_change_after(real), std::nullopt) << "it is no schedule";
    }
  // What was scheduled for a time that the fast clock had passed does not come back either.
  const auto waves =
      Waves::make({}, {said(WaveVerb::activate, real, real + std::chrono::minutes(3)),
                       said(WaveVerb::rollback, fast)});
  EXPECT_EQ(state(*waves, real + std::chrono::minutes(4)), EntryState::rolled_back);
  EXPECT_EQ(waves->next_change_after(real), std::nullopt);
}

TEST(Waves, ACorrectedClockRevivesNothingThatWasCancelled) {
  const auto fast = kNoon + hours(1);
  const auto waves = Waves::make(
      {},
      {said(WaveVerb::hold, kNoon - hours(1)), said(WaveVerb::activate, kNoon, kNoon + hours(2)),
       said(WaveVerb::rollback, kNoon, fast - Duration(1)), said(WaveVerb::cancel, fast)});
  EXPECT_EQ(state(*waves, kNoon), EntryState::rolled_back) << "it had taken effect when cancelled";
  EXPECT_EQ(waves->next_change_after(kNoon), std::nullopt);
}

TEST(Waves, AScheduleThatWasWrittenAfterAWordIsNew) {
  auto options = wave();
  options.activate_at = kNoon + hours(1);
  for (const auto verb : {WaveVerb::rollback, WaveVerb::reset, WaveVerb::hold, WaveVerb::cancel}) {
    auto word = said(verb, kNoon);
    word.configured = configured({options}, "w");
    const auto same = Waves::make({options}, {word});
    EXPECT_EQ(same->next_change_after(kNoon), std::nullopt) << "dropped knowingly";
    ASSERT_EQ(same->find("w")->overruled.size(), 1u);
    EXPECT_TRUE(same->find("w")->overruled[0].knowingly);
    EXPECT_EQ(same->find("w")->overruled[0].verb, verb);
    EXPECT_EQ(same->find("w")->overruled[0].by.by, "root (uid 0)");
    auto next_night = options;
    next_night.activate_at = kNoon + hours(25);
    const auto waves = Waves::make({next_night}, {word});
    EXPECT_EQ(waves->next_change_after(kNoon), next_night.activate_at);
    EXPECT_EQ(state(*waves, kNoon + hours(25)), EntryState::active);
    EXPECT_EQ(state(*waves, kNoon + hours(24)), state_after(verb).value_or(EntryState::pending));
    EXPECT_TRUE(waves->find("w")->overruled.empty());
    EXPECT_FALSE(waves->find("w")->schedule_replaced);
    // A time before the word was over when it was written.
    next_night.activate_at = kNoon - hours(1);
    EXPECT_EQ(state(*Waves::make({next_night}, {word}), kNoon),
              state_after(verb).value_or(EntryState::pending));
  }
}

TEST(Waves, AnAddedHoldIsNewEvenIfTheActivationIsNot) {
  auto options = wave();
  options.activate_at = kNoon + hours(3);
  auto word = said(WaveVerb::reset, kNoon);
  word.configured = configured({options}, "w");
  options.hold_at = kNoon + hours(1);
  const auto waves = Waves::make({options}, {word});
  EXPECT_EQ(state(*waves, kNoon + hours(9)), EntryState::migrating);
}

TEST(Waves, ALineOfAnOldJournalDropsTheScheduleAndIsNotSaidToHaveKnownIt) {
  auto options = wave();
  options.activate_at = kNoon + hours(1);
  const auto waves = Waves::make({options}, {said(WaveVerb::rollback, kNoon)});
  EXPECT_EQ(waves->next_change_after(kNoon), std::nullopt);
  ASSERT_EQ(waves->find("w")->overruled.size(), 1u);
  EXPECT_FALSE(waves->find("w")->overruled[0].knowingly);
}

TEST(Waves, ShadowInTheConfigurationIsNewIfItWasChangedSince) {
  auto word = said(WaveVerb::unshadow, kNoon);
  word.configured = WaveConfigured{};
  auto options = wave();
  EXPECT_FALSE(Waves::make({options}, {word})->find("w")->shadow);
  options.shadow = true;
  EXPECT_TRUE(Waves::make({options}, {word})->find("w")->shadow);
  word.configured->shadow = true;
  EXPECT_FALSE(Waves::make({options}, {word})->find("w")->shadow);
}

TEST(Waves, OfTwoChangesInOneSecondTheOneThatWillHoldIsNext) {
  const auto waves = Waves::make(
      {}, {said(WaveVerb::hold, kNoon, kNoon + hours(1)),
           said(WaveVerb::activate, kNoon, kNoon + hours(1) + std::chrono::milliseconds(300)),
           said(WaveVerb::hold, kNoon, kNoon + hours(2))});
  ASSERT_NE(waves->find("w")->next_after(kNoon), nullptr);
  EXPECT_EQ(waves->find("w")->next_after(kNoon)->to, EntryState::active);
  EXPECT_EQ(waves->find("w")->scheduled_after(kNoon).size(), 3u);
  EXPECT_EQ(waves->find("w")->scheduled_after(kNoon + hours(1)).size(), 2u);
  EXPECT_TRUE(waves->find("w")->scheduled_after(kNoon + hours(2)).empty());
}

TEST(Waves, MembersLeaveTheirWaveUntilTheyAreResetToIt) {
  const std::vector<std::string> bob{"bob@corp.example"};
  auto commands = std::vector{said(WaveVerb::rollback, kNoon, {}, bob),
                              said(WaveVerb::activate, kNoon + hours(1))};
  auto waves = Waves::make({}, commands);
  EXPECT_EQ(waves->find("w")->members.at(bob[0]), EntryState::rolled_back);
  EXPECT_EQ(state(*waves, kNoon + hours(1)), EntryState::active);
  commands.push_back(said(WaveVerb::hold, kNoon + hours(2), {}, bob));
  EXPECT_EQ(Waves::make({}, commands)->find("w")->members.at(bob[0]), EntryState::migrating);
  commands.push_back(said(WaveVerb::reset, kNoon + hours(3), {}, bob));
  EXPECT_TRUE(Waves::make({}, commands)->find("w")->members.empty());
}

TEST(Waves, ShadowIsNoState) {
  const auto waves = Waves::make({wave()}, {said(WaveVerb::shadow, kNoon)});
  EXPECT_TRUE(waves->find("w")->shadow);
  EXPECT_EQ(waves->find("w")->changes.size(), 1u);
  EXPECT_FALSE(
      Waves::make({wave()}, {said(WaveVerb::shadow, kNoon), said(WaveVerb::unshadow, kNoon)})
          ->find("w")
          ->shadow);
}

class WaveRouting : public ::testing::Test {
 protected:
  Options options = migration({});
  WallTime at = kNoon;
  std::vector<WaveCommand> commands;

  WaveRouting() {
    options.pending_next_hop = "exchange";
    options.target_domains.push_back({"second.example", "second"});
  }
  Entry& add(std::string_view address, std::string wave = "w") {
    auto made =
        entry(address, std::string(address.substr(0, address.find('@'))) + "@orgname.awsapps.com",
              EntryState::active, std::move(wave));
    made.has_state = false;
    return options.sources[0].entries.emplace_back(std::move(made));
  }
  Decision decide(std::string_view address, std::vector<TraceStep>* trace = nullptr) {
    return router_of(options)
        ->with_waves(Waves::make(options.waves, commands))
        ->decide(mailbox(address), at, trace);
  }
  std::string asked(std::string_view address) {
    const auto decision = decide(address);
    return std::string(to_string(decision.verdict)) + " " + decision.target.to_string() + " " +
           std::string(decision.state ? to_string(*decision.state) : "none");
  }
  std::string traced(std::string_view address) {
    std::vector<TraceStep> trace;
    decide(address, &trace);
    std::string out;
    for (const auto& step : trace) out += step.step + ": " + step.detail + "\n";
    return out;
  }
};

TEST_F(WaveRouting, AnEntryFollowsItsWave) {
  add("bob@corp.example");
  EXPECT_EQ(asked("bob@corp.example"), "pass bob@corp.example pending") << "nobody has said a word";
  commands = {said(WaveVerb::hold, kNoon)};
  EXPECT_EQ(asked("bob@corp.example"), "hold bob@orgname.awsapps.com migrating");
  commands.push_back(said(WaveVerb::activate, kNoon, kNoon + hours(1)));
  EXPECT_EQ(asked("bob@corp.example"), "hold bob@orgname.awsapps.com migrating");
  at += hours(1);
  EXPECT_EQ(asked("bob@corp.example"), "rewrite bob@orgname.awsapps.com active");
  commands.push_back(said(WaveVerb::rollback, at));
  EXPECT_EQ(asked("bob@corp.example"), "pass bob@corp.example rolled_back");
}

TEST_F(WaveRouting, WithoutWaveAndStateAnEntryIsActive) {
  add("bob@corp.example", "");
  EXPECT_EQ(asked("bob@corp.example"), "rewrite bob@orgname.awsapps.com active");
}

TEST_F(WaveRouting, ThePersonComesBeforeTheEntryAndTheEntryBeforeTheWave) {
  auto& bob = add("Bob@corp.example");
  bob.has_state = true;
  bob.state = EntryState::migrating;
  commands = {said(WaveVerb::rollback, kNoon)};
  EXPECT_EQ(asked("bob@corp.example"), "hold Bob@orgname.awsapps.com migrating");
  commands.push_back(said(WaveVerb::activate, kNoon, {}, {"bob@corp.example"}));
  EXPECT_EQ(asked("bob@corp.example"), "rewrite Bob@orgname.awsapps.com active");
  const auto router = router_of(options)->with_waves(Waves::make({}, commands));
  EXPECT_EQ(router->state_of(options.sources[0].entries[0], kNoon), EntryState::active);
  EXPECT_NE(router->waves().find("w"), nullptr);
}

TEST_F(WaveRouting, AWordAboutAPersonSurvivesAnotherWaveInTheTable) {
  auto& bob = add("bob@corp.example");
  commands = {said(WaveVerb::rollback, kNoon, {}, {"bob@corp.example"})};
  bob.wave = "w2";
  auto other = said(WaveVerb::activate, kNoon);
  other.wave = "w2";
  commands.push_back(other);
  EXPECT_EQ(asked("bob@corp.example"), "pass bob@corp.example rolled_back");
  EXPECT_NE(traced("bob@corp.example").find("it was of wave 'w' then"), std::string::npos);
  bob.wave = "";
  EXPECT_EQ(asked("bob@corp.example"), "pass bob@corp.example rolled_back");
  other.verb = WaveVerb::reset;
  other.members = {"bob@corp.example"};
  commands.push_back(other);
  EXPECT_EQ(asked("bob@corp.example"), "rewrite bob@orgname.awsapps.com active");
}

TEST_F(WaveRouting, NobodyOfAWaveIsRoutedWhileItIsNotKnownWhatWasSaid) {
  add("bob@corp.example");
  auto& kim = add("kim@corp.example");
  kim.has_state = true;
  add("joe@corp.example", "");
  const auto router = router_of(options)->with_waves(
      Waves::make({}, {said(WaveVerb::activate, kNoon)}, "waves.journal:2 is damaged"));
  for (const auto* who :
       {"bob@corp.example", "bob@orgname.awsapps.com", "kim@corp.example", "bob+x@corp.example"}) {
    const auto decision = router->decide(mailbox(who), kNoon);
    EXPECT_EQ(decision.verdict, Verdict::defer) << who;
    EXPECT_EQ(decision.reply.code, 451);
    EXPECT_NE(decision.why.find("waves.journal:2 is damaged"), std::string::npos) << decision.why;
    EXPECT_EQ(decision.reply.to_line().find("waves.journal"), std::string::npos)
        << "the client need not know";
  }
  EXPECT_EQ(router->decide(mailbox("joe@corp.example"), kNoon).verdict, Verdict::rewrite);
}

TEST_F(WaveRouting, WhatIsRewrittenAlreadyWaitsWithTheWave) {
  add("bob@corp.example");
  commands = {said(WaveVerb::hold, kNoon)};
  EXPECT_EQ(asked("bob@orgname.awsapps.com"), "hold bob@orgname.awsapps.com migrating");
  commands.push_back(said(WaveVerb::rollback, kNoon));
  EXPECT_EQ(asked("bob@orgname.awsapps.com"), "pass bob@orgname.awsapps.com rolled_back");
}

TEST_F(WaveRouting, CopiesComeWithTheTargetOnly) {
  add("bob@corp.example").copies = {mailbox("bob@second.example"),
                                    mailbox("b2@orgname.awsapps.com")};
  EXPECT_TRUE(decide("bob@corp.example").copies.empty()) << "pending";
  commands = {said(WaveVerb::hold, kNoon)};
  auto decision = decide("bob+x@corp.example");
  ASSERT_EQ(decision.copies.size(), 2u);
  EXPECT_EQ(decision.copies[0].target.to_string(), "bob+x@second.example");
  EXPECT_EQ(decision.copies[0].next_hop, "second");
  EXPECT_EQ(decision.copies[1].target.to_string(), "b2+x@orgname.awsapps.com");
  options.plus_keep_in_target = false;
  EXPECT_EQ(decide("bob+x@corp.example").copies[0].target.to_string(), "bob@second.example");
  EXPECT_EQ(asked("bob@second.example"), "hold bob@second.example migrating") << "shape A";
  EXPECT_TRUE(decide("bob@second.example").copies.empty());
  commands.push_back(said(WaveVerb::activate, kNoon));
  EXPECT_EQ(decide("bob@corp.example").copies.size(), 2u);
  commands.push_back(said(WaveVerb::rollback, kNoon));
  EXPECT_TRUE(decide("bob@corp.example").copies.empty());
}

TEST_F(WaveRouting, ShadowShowsTheNewRouteAndTakesTheOldOne) {
  add("bob@corp.example");
  commands = {said(WaveVerb::shadow, kNoon)};
  auto decision = decide("bob+x@corp.example");
  EXPECT_EQ(decision.verdict, Verdict::pass);
  EXPECT_EQ(decision.next_hop, "exchange");
  EXPECT_EQ(decision.shadow_target, "bob+x@orgname.awsapps.com");
  EXPECT_EQ(decision.shadow_next_hop, "workmail");
  EXPECT_NE(traced("bob@corp.example").find("shadow: wave 'w' is watched: if it were active"),
            std::string::npos);
  commands.push_back(said(WaveVerb::rollback, kNoon));
  EXPECT_EQ(decide("bob@corp.example").shadow_target, "") << "pending only";
}

TEST_F(WaveRouting, TheTraceSaysWhereTheStateComesFrom) {
  add("bob@corp.example");
  EXPECT_NE(
      traced("bob@corp.example").find("state: pending: nobody has said anything of wave 'w' yet\n"),
      std::string::npos);
  options.waves = {wave()};
  options.waves[0].activate_at = kNoon + hours(3);
  EXPECT_NE(traced("bob@corp.example")
                .find("state: wave 'w' is pending from the beginning, said by configuration; it "
                      "becomes active at 2026-12-01T15:00:00Z, said by configuration\n"),
            std::string::npos)
      << traced("bob@corp.example");
  commands = {said(WaveVerb::hold, kNoon - hours(1))};
  commands[0].reason = "mailboxes are copied";
  EXPECT_NE(traced("bob@corp.example")
                .find("state: wave 'w' is migrating since 2026-12-01T11:00:00Z, said by root (uid "
                      "0) (mailboxes are copied)\n"),
            std::string::npos)
      << traced("bob@corp.example");
  commands.push_back(said(WaveVerb::activate, kNoon, {}, {"bob@corp.example"}));
  EXPECT_NE(traced("bob@corp.example")
                .find("state: active: said of this person alone by root (uid 0) at "
                      "2026-12-01T12:00:00Z; wave 'w' is migrating\n"),
            std::string::npos)
      << traced("bob@corp.example");
}

TEST_F(WaveRouting, OtherWavesLeaveTheOldRouterAlone) {
  add("bob@corp.example");
  const auto before = router_of(options);
  const auto after = before->with_waves(Waves::make({}, {said(WaveVerb::activate, kNoon)}));
  EXPECT_EQ(before->decide(mailbox("bob@corp.example"), kNoon).verdict, Verdict::pass);
  EXPECT_EQ(after->decide(mailbox("bob@corp.example"), kNoon).verdict, Verdict::rewrite);
  EXPECT_EQ(&before->table(), &after->table());
}

}  // namespace
}  // namespace waypost::routing
