// Synchronising: full, incremental, failover, and every way in which nothing may be used.
#include "routing/directory_fixture.h"

namespace waypost::routing {
namespace {

TEST_F(DirectoryTest, FirstReadingIsFullAndPaged) {
  for (unsigned i = 1; i <= 8; ++i) dc1.person(i, "p" + std::to_string(i));
  const auto outcome = sync();
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  EXPECT_TRUE(outcome.full);
  EXPECT_TRUE(outcome.changed);
  EXPECT_EQ(outcome.added, 8u);
  EXPECT_EQ(outcome.entries, 8u);
  EXPECT_EQ(outcome.server, "ldaps://dc1.corp.example:636");
  EXPECT_EQ(dc1.filters.size(), 3u);  // pages of three
  EXPECT_EQ(entries().size(), 8u);
}

TEST_F(DirectoryTest, ChangesAreMerged) {
  for (unsigned i = 1; i <= 8; ++i) dc1.person(i, "p" + std::to_string(i));
  ASSERT_FALSE(sync().error);
  dc1.touch(1).target = "smtp:new@orgname.awsapps.com";
  dc1.touch(2).matches = false;  // has a mailbox again
  dc1.touch(3).deleted = true;
  dc1.touch(4).target.clear();
  dc1.person(9, "p9");
  for (unsigned i = 5; i <= 8; ++i) dc1.objects.at(i).target = "smtp:unseen@orgname.awsapps.com";
  const auto outcome = sync();
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  EXPECT_FALSE(outcome.full) << outcome.why_full;
  EXPECT_TRUE(outcome.changed);
  EXPECT_EQ(outcome.added, 1u);
  EXPECT_EQ(outcome.removed, 3u);
  EXPECT_EQ(outcome.retargeted, 1u);
  EXPECT_THAT(entries(), ElementsAre("p1@corp.example>new@orgname.awsapps.com",
                                     "p5@corp.example>p5@orgname.awsapps.com",
                                     "p6@corp.example>p6@orgname.awsapps.com",
                                     "p7@corp.example>p7@orgname.awsapps.com",
                                     "p8@corp.example>p8@orgname.awsapps.com",
                                     "p9@corp.example>p9@orgname.awsapps.com"));
  ASSERT_EQ(outcome.problems.size(), 1u);
  EXPECT_THAT(outcome.problems[0].message, HasSubstr("CN=p4,"));
}

TEST_F(DirectoryTest, WhoMayNotSeeTheDeletedLosesThemWithTheNextFullReading) {
  dc1.shows_deleted = false;
  dc1.person(1, "ann");
  dc1.person(2, "bob");
  ASSERT_FALSE(sync().error);
  dc1.touch(2).deleted = true;
  EXPECT_EQ(sync().entries, 2u);
  EXPECT_FALSE(make()->check({}).shows_deleted);
  clock.advance(options.full_interval);
  EXPECT_EQ(sync().entries, 1u);
}

TEST_F(DirectoryTest, NothingNewChangesNothing) {
  dc1.person(1, "ann");
  ASSERT_FALSE(sync().error);
  const auto before = whole_file(options.snapshot);
  const auto outcome = sync();
  EXPECT_FALSE(outcome.error);
  EXPECT_FALSE(outcome.changed);
  EXPECT_EQ(outcome.entries, 1u);
  EXPECT_EQ(whole_file(options.snapshot), before);
}

TEST_F(DirectoryTest, ATouchThatChangesNoEntryIsNoChange) {
  dc1.person(1, "ann");
  ASSERT_FALSE(sync().error);
  dc1.touch(1);
  const auto outcome = sync();
  EXPECT_FALSE(outcome.full);
  EXPECT_FALSE(outcome.changed);
  EXPECT_EQ(load_snapshot(options.snapshot).snapshot.usn, dc1.usn);
}

TEST_F(DirectoryTest, IsReadInFullWhenChangesCanNotBeTrusted) {
  dc1.person(1, "ann");
  dc2.objects = dc1.objects;
  const auto expect_full = [&](const char* why) {
    const auto outcome = sync();
    EXPECT_FALSE(outcome.error);
    EXPECT_TRUE(outcome.full);
    EXPECT_THAT(outcome.why_full, HasSubstr(why));
    EXPECT_FALSE(sync().full) << "again";
  };
  expect_full("there is none yet");
  dc1.invocation = octets_of(0xb2);
  expect_full("database is another one");
  options.filter = "(objectClass=person)";
  expect_full("asks for something else");
  options.own_domains.push_back("more.example");
  expect_full("asks for something else");
  clock.advance(options.full_interval);
  expect_full("too long ago");
  dc1.usn = 0;
  expect_full("went back");
  EXPECT_TRUE(sync({.full = true}).full);
  auto text = whole_file(options.snapshot);
  text[text.find("ann@")] = 'x';
  DurableFile file(Disk::system(), options.snapshot, kSnapshotMode);
  ASSERT_TRUE(save_snapshot(file, text));
  expect_full("checksum");
  EXPECT_THAT(entries(), ElementsAre("ann@corp.example>ann@orgname.awsapps.com"));
  dc1.refuses = DialFailure{{ErrorKind::network, "can't connect"}};
  dc2.invocation = dc1.invocation;
  dc2.usn = dc1.usn;
  expect_full("the server is another one");
}

TEST_F(DirectoryTest, AServerThatCountsNoChangesIsAlwaysReadInFull) {
  dc1.counts_changes = false;
  dc1.person(1, "ann");
  EXPECT_TRUE(sync().full);
  const auto outcome = sync();
  EXPECT_TRUE(outcome.full);
  EXPECT_FALSE(outcome.changed);
}

TEST_F(DirectoryTest, FailsOverAndSaysWhy) {
  dc1.refuses = DialFailure{{ErrorKind::tls, "TLS handshake: the certificate has expired"}};
  dc2.person(1, "ann");
  const auto outcome = sync();
  ASSERT_FALSE(outcome.error);
  EXPECT_EQ(outcome.server, "ldaps://dc2.corp.example:636");
  EXPECT_THAT(outcome.failed_servers,
              ElementsAre("ldaps://dc1.corp.example:636: TLS handshake: the certificate has "
                          "expired"));
  dc2.refuses = DialFailure{{ErrorKind::network, "can't connect"}};
  const auto failed = sync();
  ASSERT_TRUE(failed.error);
  EXPECT_THAT(failed.error->message, HasSubstr("dc1.corp.example:636: TLS handshake"));
  EXPECT_THAT(failed.error->message, HasSubstr("dc2.corp.example:636: can't connect"));
  EXPECT_EQ(entries().size(), 1u);
}

TEST_F(DirectoryTest, WrongCredentialsAreNotTriedAtEveryServer) {
  dc1.refuses = DialFailure{{ErrorKind::invalid, "bind: the password is wrong"}, true};
  const auto outcome = sync();
  ASSERT_TRUE(outcome.error);
  EXPECT_TRUE(outcome.credentials_refused);
  EXPECT_EQ(dc2.dials, 0u);
}

TEST_F(DirectoryTest, NothingOfABrokenReadingIsUsed) {
  for (unsigned i = 1; i <= 8; ++i) dc1.person(i, "p" + std::to_string(i));
  dc2.objects = dc1.objects;
  dc2.usn = dc1.usn;
  ASSERT_FALSE(sync().error);
  const auto before = whole_file(options.snapshot);
  for (unsigned i = 1; i <= 8; ++i) dc1.touch(i).target = "smtp:new@orgname.awsapps.com";
  // Three pages each of touched and of changed objects, or three of everybody.
  for (const bool full : {false, true}) {
    for (std::size_t cut = 0; cut < (full ? 3u : 6u); ++cut) {
      dc1.cut_at = cut;
      dc1.pages = 0;
      const auto outcome = sync({.full = full});
      ASSERT_TRUE(outcome.error) << cut;
      EXPECT_THAT(outcome.error->message, HasSubstr("cut the connection"));
      EXPECT_FALSE(outcome.changed);
      EXPECT_EQ(whole_file(options.snapshot), before);
    }
  }
  dc1.cut_at.reset();
  EXPECT_EQ(sync().retargeted, 8u);
}

TEST_F(DirectoryTest, AServerThatBrokeOffIsTriedLastNextTime) {
  dc1.person(1, "ann");
  dc2.person(1, "ann");
  dc1.cut_at = 0;
  const auto directory = make();
  EXPECT_TRUE(directory->synchronise({}, {}).error);
  EXPECT_EQ(directory->synchronise({}, {}).server, "ldaps://dc2.corp.example:636");
  EXPECT_EQ(directory->synchronise({}, {}).server, "ldaps://dc1.corp.example:636");
}

TEST_F(DirectoryTest, AShrinkBeyondTheLimitMustBeConfirmed) {
  for (unsigned i = 1; i <= 40; ++i) dc1.person(i, "p" + std::to_string(i));
  ASSERT_FALSE(sync().error);
  for (unsigned i = 1; i <= 10; ++i) dc1.objects.erase(i);
  EXPECT_FALSE(sync({.full = true}).error) << "ten are always allowed";
  for (unsigned i = 11; i <= 21; ++i) dc1.touch(i).matches = false;
  const auto before = whole_file(options.snapshot);
  for (const bool full : {false, true}) {
    const auto refused = sync({.full = full});
    ASSERT_TRUE(refused.error);
    EXPECT_THAT(refused.error->message, HasSubstr("11 of 30 entries would leave"));
    EXPECT_THAT(refused.error->message, HasSubstr("waypost directory sync ad --confirm-shrink"));
    EXPECT_EQ(whole_file(options.snapshot), before);
  }
  const auto confirmed = sync({.full = false, .confirm_shrink = true});
  EXPECT_FALSE(confirmed.error);
  EXPECT_EQ(confirmed.removed, 11u);
}

TEST_F(DirectoryTest, SuddenEmptinessMustBeConfirmed) {
  dc1.person(1, "ann");
  ASSERT_FALSE(sync().error);
  dc1.objects.clear();
  const auto refused = sync({.full = true});
  ASSERT_TRUE(refused.error);
  EXPECT_THAT(refused.error->message, HasSubstr("which are all"));
  EXPECT_FALSE(sync({.full = true, .confirm_shrink = true}).error);
  EXPECT_THAT(entries(), IsEmpty());
}

TEST_F(DirectoryTest, ADamagedSnapshotStillProtectsFromShrinking) {
  for (unsigned i = 1; i <= 40; ++i) dc1.person(i, "p" + std::to_string(i));
  ASSERT_FALSE(sync().error);
  const auto text = whole_file(options.snapshot);
  DurableFile file(Disk::system(), options.snapshot, kSnapshotMode);
  ASSERT_TRUE(save_snapshot(file, text.substr(0, text.size() - 100)));
  dc1.objects.clear();
  EXPECT_TRUE(sync().error);
}

TEST_F(DirectoryTest, AnAddressOfTwoStaysWithWhoHadIt) {
  dc1.person(5, "ann");
  ASSERT_FALSE(sync().error);
  dc1.person(3, "eve").addresses.push_back("smtp:ann@corp.example");
  auto outcome = sync();
  ASSERT_EQ(outcome.problems.size(), 1u);
  EXPECT_THAT(outcome.problems[0].message,
              HasSubstr("CN=eve,OU=People,DC=corp,DC=example: the address ann@corp.example is also "
                        "that of CN=ann,"));
  EXPECT_THAT(entries(), ElementsAre("ann@corp.example>ann@orgname.awsapps.com",
                                     "eve@corp.example>eve@orgname.awsapps.com"));
  // After another reading, too; and eve gets it when ann gives it up, though eve does not change.
  EXPECT_FALSE(sync({.full = true}).changed);
  dc1.touch(5).addresses = {"SMTP:ann2@corp.example"};
  ASSERT_FALSE(sync().error);
  EXPECT_THAT(entries(), ElementsAre("ann2@corp.example>ann@orgname.awsapps.com",
                                     "ann@corp.example>eve@orgname.awsapps.com",
                                     "eve@corp.example>eve@orgname.awsapps.com"));
}

TEST_F(DirectoryTest, AStopCutsIt) {
  dc1.person(1, "ann");
  stop.request_stop();
  const auto outcome = sync();
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->kind, ErrorKind::cancelled);
  EXPECT_FALSE(std::filesystem::exists(options.snapshot));
}

TEST_F(DirectoryTest, CheckReadsOnePageAndWritesNothing) {
  for (unsigned i = 1; i <= 8; ++i) dc1.person(i, "p" + std::to_string(i));
  const auto check = make()->check({});
  EXPECT_FALSE(check.outcome.error);
  EXPECT_EQ(check.outcome.people, 3u);
  EXPECT_TRUE(check.more);
  EXPECT_EQ(check.tls, "TLS1.3");
  EXPECT_EQ(check.naming_context, "DC=corp,DC=example");
  EXPECT_EQ(check.highest_usn, dc1.usn);
  EXPECT_FALSE(std::filesystem::exists(options.snapshot));
}

TEST_F(DirectoryTest, AddressesThatComeInRangesAreAllRead) {
  auto& ann = dc1.person(1, "ann");
  for (int n = 0; n < 19; ++n)
    ann.addresses.push_back("smtp:ann" + std::to_string(n) + "@corp.example");
  dc1.person(2, "bob");
  for (const std::size_t at_once : {1u, 7u, 10u, 19u, 20u}) {
    dc1.most_values = at_once;
    const auto full = sync({.full = true});
    ASSERT_FALSE(full.error) << full.error->message;
    EXPECT_EQ(full.entries, 21u) << at_once;
    EXPECT_THAT(full.problems, IsEmpty());
  }
  dc1.most_values = 7;
  dc1.touch(1).addresses.push_back("smtp:new@corp.example");
  EXPECT_EQ(sync().entries, 22u) << "by its changes";
  EXPECT_EQ(make()->check(stop.get_token()).outcome.entries, 22u);
}

TEST_F(DirectoryTest, ARangeThatTheServerDoesNotGiveFailsTheReading) {
  auto& ann = dc1.person(1, "ann");
  for (int n = 0; n < 19; ++n)
    ann.addresses.push_back("smtp:ann" + std::to_string(n) + "@corp.example");
  ASSERT_EQ(sync().entries, 20u);
  dc1.most_values = 7;
  dc1.forgets_ranges = true;
  const auto got = sync({.full = true});
  ASSERT_TRUE(got.error);
  EXPECT_THAT(got.error->message,
              HasSubstr("the server does not give proxyAddresses from value 7"));
  EXPECT_EQ(entries().size(), 20u) << "the snapshot is what it was";
}

TEST_F(DirectoryTest, ManySmallShrinksCountTogetherForADay) {
  for (unsigned n = 1; n <= 200; ++n) dc1.person(n, "p" + std::to_string(n));
  ASSERT_FALSE(sync().error);
  const auto remove = [&](unsigned from, unsigned many) {
    for (unsigned n = from; n < from + many; ++n) dc1.objects.erase(n);
    return sync({.full = true});
  };
  ASSERT_FALSE(remove(1, 18).error);
  const auto second = remove(19, 17);
  ASSERT_TRUE(second.error);
  EXPECT_THAT(
      second.error->message,
      ::testing::AllOf(
          HasSubstr("17 of 182 entries would leave, after 18 of 200 that left or changed since "),
          HasSubstr("not confirmed")));
  EXPECT_EQ(entries().size(), 182u);
  EXPECT_FALSE(sync({.full = true, .confirm_shrink = true}).error);
  EXPECT_FALSE(remove(40, 15).error) << "what was confirmed counts no more";
  EXPECT_TRUE(remove(60, 15).error);
  clock.advance(std::chrono::hours(25));
  EXPECT_FALSE(sync({.full = true}).error);
}

TEST_F(DirectoryTest, LosingTheirWaveCountsAsLeavingDoes) {
  for (unsigned n = 1; n <= 100; ++n) dc1.person(n, "p" + std::to_string(n)).wave = "w1";
  ASSERT_FALSE(sync().error);
  for (unsigned n = 1; n <= 11; ++n) dc1.touch(n).wave.clear();
  const auto got = sync();
  ASSERT_TRUE(got.error);
  EXPECT_THAT(got.error->message,
              HasSubstr("0 of 100 entries would leave and 11 would have another wave or state or "
                        "none"));
  EXPECT_FALSE(sync({.full = false, .confirm_shrink = true}).error);
}

}  // namespace
}  // namespace waypost::routing
