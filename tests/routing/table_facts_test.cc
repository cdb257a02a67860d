// The table as a whole: who belongs together, what vanished, and what a wave would change.
#include "waypost/routing/table_facts.h"

#include "waypost/routing/wave_plan.h"

#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;
constexpr WallTime kNow{std::chrono::hours(24 * 365 * 56)};

Entry follower(std::string_view address, std::string_view target, std::string wave) {
  auto one = entry(address, target, EntryState::active, std::move(wave));
  one.has_state = false;
  return one;
}

TEST(TableFacts, APersonIsFoundByAddressAndByTarget) {
  const auto table = table_of({entry("bob@corp.example", "bob@orgname.awsapps.com"),
                               entry("bob.baker@corp.example", "BOB@orgname.awsapps.com"),
                               entry("eve@corp.example", "eve@orgname.awsapps.com")});
  for (const char* asked :
       {"Bob@corp.example", "bob@ORGNAME.awsapps.com", "bob.baker@corp.example"})
    EXPECT_EQ(entries_of_person(*table, mailbox(asked)).size(), 2u) << asked;
  EXPECT_TRUE(entries_of_person(*table, mailbox("joe@corp.example")).empty());
}

TEST(TableFacts, LintTellsWhatIsLegalAndLooksWrong) {
  auto options = migration({entry("o'neil@corp.example", "o'neil@orgname.awsapps.com"),
                            entry("bob@corp.example", "bob@orgname.awsapps.com"),
                            entry("bob@old.example", "other@orgname.awsapps.com"),
                            entry("eve@corp.example", "eve@orgname.awsapps.com"),
                            entry("eve@old.example", "eve@orgname.awsapps.com")});
  options.domain_aliases = {{"old.example", "corp.example"}};
  std::string all;
  const auto findings = lint(*router_of(options));
  for (const auto& finding : findings) all += finding.message + "\n";
  EXPECT_EQ(findings.size(), 2u) << all;
  EXPECT_THAT(all, HasSubstr("o'neil@orgname.awsapps.com"));
  EXPECT_THAT(all, HasSubstr("'bob@old.example'"));
}

TEST(TableFacts, StatsCountWhatHoldsAtTheTime) {
  auto options = migration({follower("bob@corp.example", "bob@orgname.awsapps.com", "w"),
                            entry("eve@corp.example", "eve@orgname.awsapps.com")});
  WaveOptions wave;
  wave.name = "w";
  wave.activate_at = kNow + std::chrono::hours(1);
  options.waves = {wave};
  const auto router = router_of(options);
  EXPECT_EQ(table_stats(*router, kNow).by_state.at("pending"), 1u);
  EXPECT_EQ(table_stats(*router, kNow + std::chrono::hours(1)).by_state.at("active"), 2u);
}

TEST(WavePlan, NamesWhoChangesAndWhatStandsAgainstIt) {
  const auto options =
      migration({follower("bob@corp.example", "bob@orgname.awsapps.com", "w"),
                 entry("kim@corp.example", "kim@orgname.awsapps.com", EntryState::rolled_back, "w"),
                 follower("robert@corp.example", "bob@orgname.awsapps.com", "v")});
  const auto now = router_of(options);
  WaveCommand command;
  command.verb = WaveVerb::activate;
  command.wave = "w";
  command.said_at = kNow;
  const auto then = now->with_waves(Waves::make({}, {command}));
  const auto plan = plan_wave(*now, *then, "w", {}, kNow, 10);
  EXPECT_EQ(plan.all.addresses, 2u);
  EXPECT_EQ(plan.changed.addresses, 1u);
  ASSERT_EQ(plan.changes.size(), 1u);
  EXPECT_EQ(plan.changes[0].target, "bob@orgname.awsapps.com");
  EXPECT_EQ(plan.changes[0].next_hop, "workmail");
  // No pending_next_hop; kim: deferred by that and of a state of its own; robert: another wave.
  EXPECT_EQ(plan.conflict_count, 4u);
  EXPECT_THAT(plan.conflicts.front(), HasSubstr("there is no routing.pending_next_hop"));
  EXPECT_THAT(plan.conflicts.back(), HasSubstr("same person as 'bob@corp.example'"));
  EXPECT_EQ(plan_wave(*now, *now, "w", {}, kNow, 10).changed.addresses, 0u);
  EXPECT_TRUE(plan_wave(*now, *then, "w", {}, kNow, 0).changes.empty());
}

}  // namespace
}  // namespace waypost::routing
