#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

#include <random>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;

TEST(Table, EmptyTableKnowsNobody) {
  const auto table = TableBuilder().build();
  EXPECT_EQ(table->size(), 0u);
  EXPECT_FALSE(table->find("bob@corp.example"));
  EXPECT_FALSE(table->find_target("bob@corp.example"));
  EXPECT_FALSE(table->find(""));
  EXPECT_FALSE(table->find("no-at-sign"));
  EXPECT_FALSE(table->has_domain("corp.example"));
  EXPECT_TRUE(table->entries().empty());
}

TEST(Table, KeepsEntriesAsTheyWereWritten) {
  const auto table = table_of({entry("Bob.Baker@Corp.Example", "BBaker@OrgName.awsapps.com",
                                     EntryState::migrating, "wave-1", 412)});
  const auto found = table->find("bob.baker@corp.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->address.to_string(), "Bob.Baker@Corp.Example");
  EXPECT_EQ(found->target.to_string(), "BBaker@OrgName.awsapps.com");
  EXPECT_EQ(found->state, EntryState::migrating);
  EXPECT_EQ(found->wave, "wave-1");
  EXPECT_EQ(found->place.to_string(), "table.csv:412");
  EXPECT_FALSE(table->find("Bob.Baker@corp.example")) << "keys are normalised";
}

TEST(Table, TellsTargetsThatDifferFromAddressesInCaseOnly) {
  const auto table = table_of({entry("Ann@corp.example", "ann@t.example"),
                               entry("eve@corp.example", "Eve@t.example"),
                               entry("Dan@corp.example", "Dan@t.example")});
  EXPECT_EQ(table->find("ann@corp.example")->target.local_part, "ann");
  EXPECT_EQ(table->find("eve@corp.example")->target.local_part, "Eve");
  EXPECT_EQ(table->find("dan@corp.example")->target.local_part, "Dan");
  EXPECT_EQ(table->find_target("eve@t.example")->address.local_part, "eve");
}

TEST(Table, FindsByTarget) {
  const auto table =
      table_of({entry("bob@corp.example", "b.baker@t.example"),
                entry("robert@corp.example", "B.Baker@T.example", EntryState::active, {}, 2)});
  const auto found = table->find_target("b.baker@t.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->place.line, 1u) << "the first address of that person";
  EXPECT_FALSE(table->find_target("bob@corp.example"));
}

TEST(Table, KnowsDomainsOfEntriesButNotOfTargets) {
  const auto table = table_of({entry("bob@büro.example", "bob@t.example")});
  EXPECT_TRUE(table->has_domain("xn--bro-hoa.example"));
  EXPECT_FALSE(table->has_domain("t.example"));
  EXPECT_FALSE(table->has_domain("büro.example"));
  EXPECT_TRUE(table->find("bob@xn--bro-hoa.example"));
  EXPECT_EQ(table->find("bob@xn--bro-hoa.example")->address.domain, "büro.example");
}

TEST(Table, SpellingsOfOneDomainAreOneDomain) {
  TableBuilder builder;
  builder.add_entry(entry("bob@BÜRO.example", "bob@t.example", EntryState::active, {}, 1));
  builder.add_entry(entry("Bob@xn--bro-hoa.example", "bob@t.example", EntryState::active, {}, 2));
  EXPECT_EQ(builder.build()->size(), 1u);
  ASSERT_EQ(builder.problems().size(), 1u);
  EXPECT_FALSE(builder.problems()[0].error);
}

TEST(Table, HoldsQuotedAndInternationalLocalParts) {
  const auto table = table_of({entry("\"a@b c\"@corp.example", "abc@t.example"),
                               entry("jörg@corp.example", "joerg@t.example")});
  EXPECT_EQ(table->find("a@b c@corp.example")->address.to_string(), "\"a@b c\"@corp.example");
  EXPECT_EQ(table->find("jörg@corp.example")->target.local_part, "joerg");
}

TEST(Table, HoldsAddressesOf571Octets) {
  const auto domain = std::string(50, 'd') + ".example";
  const auto local = std::string(571 - 1 - domain.size(), 'L');
  ASSERT_EQ(mail::Mailbox({local, domain}).to_string().size(), 571u);
  const auto table = table_of({Entry{{local, domain}, {"b", "t.example"}, {}, true, {}, {}, {}}});
  EXPECT_EQ(table->find(std::string(local.size(), 'l') + "@" + domain)->address.local_part, local);
}

TEST(Table, EntriesComeInNormalisedOrder) {
  const auto table =
      table_of({entry("zoe@a.example", "z@t.example"), entry("Bob@b.example", "b@t.example"),
                entry("ann@b.example", "a@t.example")});
  std::string order;
  for (const auto& item : table->entries()) order += item.address.to_string() + " ";
  EXPECT_EQ(order, "zoe@a.example ann@b.example Bob@b.example ");
}

TEST(TableBuilder, DuplicateWithAnotherTargetNamesBothPlaces) {
  EXPECT_EQ(
      csv_problems("bob@corp.example,bob@t.example\n\nBOB@Corp.Example,robert@t.example\n"),
      "users.csv:3:1: error: 'BOB@Corp.Example' is already at users.csv:1 with another target, "
      "'bob@t.example'; keep one of the two\n");
}

TEST(TableBuilder, DuplicateWithAnotherStateIsAnError) {
  EXPECT_EQ(
      csv_problems("b@corp.example,b@t.example,active,w1\nb@corp.example,b@t.example,pending,w1\n"),
      "users.csv:2:1: error: 'b@corp.example' is already at users.csv:1 with another state or wave "
      "(there active, wave 'w1'); keep one of the two\n");
}

TEST(TableBuilder, IdenticalDuplicateIsAWarning) {
  EXPECT_EQ(csv_problems("b@corp.example,b@t.example\nB@corp.example,B@T.example\n"),
            "users.csv:2:1: warning: 'B@corp.example' is already at users.csv:1 with the same "
            "target; remove "
            "one\n");
}

TEST(TableBuilder, DuplicateAcrossSourcesNamesTheOtherFile) {
  TableBuilder builder;
  builder.add_csv("a.csv", "b@corp.example,b@t.example\n");
  builder.add_csv("b.csv", "b@corp.example,c@t.example\n");
  ASSERT_EQ(builder.problems().size(), 1u);
  EXPECT_EQ(builder.problems()[0].file, "b.csv");
  EXPECT_THAT(builder.problems()[0].message, HasSubstr("already at a.csv:1"));
}

TEST(TableBuilder, TargetThatEqualsTheAddressIsAnError) {
  EXPECT_EQ(csv_problems("Bob@corp.example,bob@CORP.example\n"),
            "users.csv:1:18: error: the target equals the address 'Bob@corp.example'; give the "
            "address of the "
            "mailbox in the new system\n");
}

TEST(TableBuilder, ChainIsAWarningAndCircleAnError) {
  EXPECT_EQ(csv_problems("a@c.example,b@c.example\nb@c.example,x@t.example\n"),
            "users.csv:1: warning: the target 'b@c.example' of 'a@c.example' is itself an address "
            "of the table "
            "(users.csv:2, target 'x@t.example'): mail is rewritten once, never on from there; "
            "write the last "
            "target here\n");
  EXPECT_THAT(
      csv_problems("a@c.example,B@C.example\nb@c.example,A@c.example\n"),
      HasSubstr(
          "users.csv:1: error: the target 'B@C.example' of 'a@c.example' is itself an address of "
          "the table (users.csv:2, target 'A@c.example'): the two point at each other"));
}

TEST(TableBuilder, EntriesWithoutDomainAreErrors) {
  TableBuilder builder;
  builder.add_entry(
      Entry{{"postmaster", ""}, {"b", "t.example"}, {}, true, {}, {}, {"waypost.yaml", 7}});
  ASSERT_TRUE(builder.has_errors());
  EXPECT_EQ(builder.problems()[0].line, 7u);
  EXPECT_EQ(builder.problems()[0].file, "waypost.yaml");
}

// Against a plain map, with many look-alikes.
TEST(Table, FindsExactlyWhatWasAddedAmongManyEntries) {
  std::mt19937_64 random(11);
  std::map<std::string, std::string> expected;
  TableBuilder builder;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const auto local = "u" + std::to_string(random() % 15'000);
    const auto domain = "d" + std::to_string(random() % 7) + ".example";
    const auto target = local + (random() % 2 ? "" : ".x");
    if (expected.try_emplace(local + "@" + domain, target).second)
      builder.add_entry(Entry{{local, domain},
                              {target, "t.example"},
                              EntryState(random() % 4),
                              true,
                              "w",
                              {},
                              {"s", i + 1}});
  }
  const auto table = builder.build();
  EXPECT_FALSE(builder.has_errors());
  ASSERT_EQ(table->size(), expected.size());
  for (int d = 0; d < 8; ++d)
    for (int u = 0; u < 15'000; u += 7) {
      const auto key = "u" + std::to_string(u) + "@d" + std::to_string(d) + ".example";
      const auto found = table->find(key);
      const auto wanted = expected.find(key);
      ASSERT_EQ(found.has_value(), wanted != expected.end()) << key;
      if (found) {
        ASSERT_EQ(found->target.local_part, wanted->second) << key;
        ASSERT_TRUE(table->find_target(found->target.local_part + "@t.example")) << key;
      }
    }
  std::size_t visited = 0;
  table->for_each(
      [&](const Entry& item) { visited += expected.contains(item.address.to_string()); });
  EXPECT_EQ(visited, expected.size());
  EXPECT_LT(table->memory_octets() / table->size(), 100u);
}

}  // namespace
}  // namespace waypost::routing
