// Several sources in order of precedence, members files of waves, several targets of an entry.
#include "routing/directory_snapshot.h"
#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;

std::string all(const std::vector<Problem>& problems) {
  std::string out;
  for (const auto& problem : problems) out += problem.to_string() + "\n";
  return out;
}

TEST(Sources, TheEarlierOneWinsAndBothPlacesAreNamed) {
  TableBuilder builder;
  builder.begin_source();
  builder.add_csv("first.csv", "bob@corp.example,bob@t.example\n");
  builder.begin_source();
  builder.add_csv("second.csv",
                  "#\nBob@corp.example,robert@t.example\nann@corp.example,a@t.example\n");
  builder.begin_source();
  builder.add_csv("third.csv", "bob@corp.example,BOB@t.example\n");
  const auto table = builder.build();
  EXPECT_EQ(all(builder.problems()),
            "second.csv:2:1: warning: 'Bob@corp.example' is already at first.csv:1, in a source "
            "that comes before this one, with another target, 'bob@t.example'; that one counts\n"
            "third.csv:1:1: warning: 'bob@corp.example' is already at first.csv:1, in a source "
            "that comes before this one, with the same target; that one counts\n");
  EXPECT_FALSE(builder.has_errors());
  EXPECT_EQ(table->find("bob@corp.example")->target.to_string(), "bob@t.example");
  EXPECT_EQ(table->size(), 2u);
}

TEST(Sources, WithinOneSourceADuplicateStaysAnError) {
  TableBuilder builder;
  builder.begin_source();
  builder.add_csv("first.csv", "ann@corp.example,ann@t.example\n");
  builder.begin_source();
  builder.add_csv("a.csv", "bob@corp.example,bob@t.example\n");
  builder.add_csv("b.csv", "bob@corp.example,robert@t.example\n");
  EXPECT_EQ(all(builder.problems()),
            "b.csv:1:1: error: 'bob@corp.example' is already at a.csv:1 with another target, "
            "'bob@t.example'; keep one of the two\n");
}

TEST(Sources, GiveWaveAndStateToEntriesThatNameNone) {
  TableBuilder builder;
  builder.begin_source({"wave-1", EntryState::pending});
  builder.add_csv("a.csv", "a@c.example,a@t.example\nb@c.example,b@t.example,active,own\n");
  builder.begin_source();
  builder.add_csv("b.csv", "c@c.example,c@t.example\n");
  const auto table = builder.build();
  const auto a = table->find("a@c.example"), b = table->find("b@c.example"),
             c = table->find("c@c.example");
  EXPECT_EQ(a->wave, "wave-1");
  EXPECT_TRUE(a->has_state && a->state == EntryState::pending);
  EXPECT_EQ(b->wave, "own");
  EXPECT_EQ(b->state, EntryState::active);
  EXPECT_EQ(c->wave, "");
  EXPECT_FALSE(c->has_state) << "nothing of the source before";
}

TEST(Sources, MembersFilesGiveTheirWaveToWhoNamesNone) {
  TableBuilder builder;
  builder.add_members("w1", "w1.txt",
                      "# who goes first\n\n  Ann@Corp.Example  # since Monday\r\n"
                      "SMTP:bob@corp.example\ncarl@corp.example\n# dan@corp.example\n");
  builder.begin_source({"default", {}});
  builder.add_csv("t.csv",
                  "address,target,state,wave\nann@corp.example,ann@t.example,,\n"
                  "bob@corp.example,bob@t.example,,other\ndan@corp.example,dan@t.example,,\n");
  const auto table = builder.build();
  EXPECT_EQ(table->find("ann@corp.example")->wave, "w1");
  EXPECT_EQ(table->find("bob@corp.example")->wave, "other");
  EXPECT_EQ(table->find("dan@corp.example")->wave, "default");
  EXPECT_EQ(
      all(builder.problems()),
      "t.csv:3:1: warning: 'bob@corp.example' is in the members file of wave 'w1' (w1.txt:4), "
      "but wave 'other' is written here, and that counts; remove one of the two\n"
      "w1.txt:5: warning: 'carl@corp.example' is a member of wave 'w1', but no source has "
      "this address; it moves nobody\n");
}

TEST(Sources, MembersMayBeUtf16) {
  TableBuilder builder;
  std::string text = "\xFF\xFE";
  for (const char c : std::string("ann@corp.example\r\n")) text += {c, '\0'};
  builder.add_members("w1", "w1.txt", text);
  builder.add_csv("t.csv", "ann@corp.example,ann@t.example\n");
  EXPECT_EQ(builder.build()->find("ann@corp.example")->wave, "w1");
  EXPECT_TRUE(builder.problems().empty());
}

TEST(Sources, AMemberOfTwoWavesIsAnErrorAndNoAddressToo) {
  TableBuilder builder;
  builder.add_members("w1", "w1.txt", "ann@corp.example\nann@corp.example\n");
  builder.add_members("w2", "w2.txt", "bob\nANN@corp.example\n\xFF\n");
  builder.add_members("w3", "w3.txt", "bob@corp.example\nAnn Andersson\n\nANN@corp.example\n");
  builder.add_csv("t.csv", "ann@corp.example,ann@t.example\nbob@corp.example,b@t.example\n");
  builder.build();
  const auto text = all(builder.problems());
  EXPECT_THAT(text, HasSubstr("w1.txt:2: warning: 'ann@corp.example' is already at w1.txt:1"));
  EXPECT_THAT(text, HasSubstr("w2.txt:3:1: error: the file is not UTF-8"));
  EXPECT_THAT(text, HasSubstr("w3.txt:2: error: the member 'Ann Andersson' is not valid"));
  EXPECT_THAT(text, HasSubstr("w3.txt:4: error: 'ANN@corp.example' is already a member of wave "
                              "'w1' (w1.txt:1); a person moves in one wave"));
}

TEST(Sources, TheAddressesOfOnePersonBelongTogether) {
  TableBuilder builder;
  builder.add_csv("t.csv",
                  "bob@c.example,bob@t.example,,w1\nrobert@c.example,BOB@t.example\n"
                  "bobby@c.example,bob@t.example,active,w1\nb@c.example,bob@t.example,,w1\n");
  builder.build();
  EXPECT_EQ(all(builder.problems()),
            "t.csv:2: warning: 'robert@c.example' (no wave) has the same target as "
            "'bob@c.example' (wave 'w1', t.csv:1): the addresses of one person should be in one "
            "wave and state\n"
            "t.csv:3: warning: 'bobby@c.example' (state active) has the same target as "
            "'bob@c.example' (wave 'w1', t.csv:1): the addresses of one person should be in one "
            "wave and state\n");
}

TEST(Copies, StandInTheTargetFieldJoined) {
  TableBuilder builder;
  builder.add_csv("t.csv",
                  "a@c.example,a@t.example;a@u.example\n"
                  "b@c.example,\"b@t.example; SMTP:b@u.example\tB2@u.example\"\n"
                  "c@c.example,\"\"\"c;d e\"\"@t.example c@u.example\"\n"
                  "d@c.example,d@t.example;\n");
  const auto table = builder.build();
  EXPECT_EQ(all(builder.problems()), "");
  const auto targets = [&](std::string_view key) {
    const auto found = table->find(key);
    std::string out = found->target.to_string();
    for (const auto& copy : found->copies) out += " | " + copy.to_string();
    return out;
  };
  EXPECT_EQ(targets("a@c.example"), "a@t.example | a@u.example");
  EXPECT_EQ(targets("b@c.example"), "b@t.example | b@u.example | B2@u.example");
  EXPECT_EQ(targets("c@c.example"), "\"c;d e\"@t.example | c@u.example");
  EXPECT_EQ(targets("d@c.example"), "d@t.example");
  EXPECT_EQ(table->find_target("b2@u.example")->address.local_part, "b");
  EXPECT_EQ(table->find_target("c@u.example")->place.line, 3u);
}

TEST(Copies, AreFoundButATargetOfItsOwnComesFirst) {
  const auto first = [] {
    auto made = entry("a@c.example", "a@t.example");
    made.copies = {mailbox("b@t.example")};
    return made;
  }();
  const auto table = table_of({first, entry("b@c.example", "b@t.example", {}, {}, 2)});
  EXPECT_EQ(table->find_target("b@t.example")->place.line, 2u);
  EXPECT_EQ(table_of({first})->find_target("b@t.example")->place.line, 1u);
}

TEST(Copies, AreCheckedAsTargetsAre) {
  EXPECT_EQ(csv_problems("a@c.example,a@t.example;A@T.example\n"),
            "users.csv:1:13: error: the target 'A@T.example' is there twice; remove one\n");
  EXPECT_EQ(csv_problems("a@c.example,a@t.example;x@t.example;X@t.example\n"),
            "users.csv:1:13: error: the target 'X@t.example' is there twice; remove one\n");
  EXPECT_THAT(csv_problems("a@c.example,a@t.example;A@c.example\n"),
              HasSubstr("error: the target equals the address 'a@c.example'"));
  EXPECT_THAT(csv_problems("a@c.example,a@t.example;nobody\n"),
              HasSubstr("error: the target 'nobody' is not valid"));
  EXPECT_THAT(csv_problems("a@c.example,a@t.example;b@c.example\nb@c.example,b@t.example\n"),
              HasSubstr("users.csv:1: warning: the target 'b@c.example' of 'a@c.example' is itself "
                        "an address of the table"));
  EXPECT_THAT(
      csv_problems("a@c.example,a@t.example;b@c.example\nb@c.example,b@t.example;a@c.example\n"),
      HasSubstr("users.csv:1: error: the target 'b@c.example' of 'a@c.example'"));
  EXPECT_THAT(csv_problems("a@c.example,;\n"), HasSubstr("the target is missing"));
}

TEST(Copies, AreTwelveTargetsAtMost) {
  std::string row = "a@c.example,t0@t.example";
  for (int k = 1; k < 12; ++k) row += ";t" + std::to_string(k) + "@t.example";
  EXPECT_EQ(csv_problems(row + "\n"), "");
  EXPECT_THAT(csv_problems(row + ";t12@t.example\n"),
              HasSubstr("users.csv:1:13: error: the targets are 13, but an entry has 12 at most"));
}

TEST(Copies, DuplicatesAreComparedWithThem) {
  EXPECT_THAT(csv_problems("a@c.example,a@t.example;b@t.example\na@c.example,a@t.example\n"),
              HasSubstr("with another target, 'a@t.example' and 1 more; keep one"));
  EXPECT_THAT(
      csv_problems("a@c.example,a@t.example;b@t.example\na@c.example,a@t.example;B@t.example\n"),
      HasSubstr("warning: 'a@c.example' is already at users.csv:1 with the same target"));
  auto before = entry("a@c.example", "a@t.example"), after = before;
  after.copies = {mailbox("b@t.example")};
  EXPECT_EQ(diff(*table_of({before}), *table_of({after})).summary(),
            "0 added, 0 removed, 1 target changed");
}

TEST(Copies, CostNothingWhereThereAreNone) {
  std::vector<Entry> plain, copied;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const auto local = "user" + std::to_string(i);
    plain.push_back(
        entry(local + "@c.example", local + "@t.example", EntryState::active, {}, i + 1));
  }
  copied = plain;
  copied.back().copies = {mailbox("other@t.example")};
  const auto without = table_of(plain)->memory_octets(), with = table_of(copied)->memory_octets();
  EXPECT_LE(with - without, 16u);
}

TEST(Copies, LongOnesByTheThousandAreFoundToo) {
  std::vector<Entry> many;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const auto local = "user" + std::to_string(i);
    auto& made = many.emplace_back(
        entry(local + "@c.example", local + "@t.example", EntryState::active, {}, i + 1));
    for (int k = 0; k < 11; ++k)
      made.copies.push_back({local + std::string(400, 'x') + std::to_string(k), "t.example"});
  }
  const auto table = table_of(many);
  ASSERT_EQ(table->size(), many.size());
  for (const auto& one : many) {
    const auto found = table->find(one.address.to_string());
    ASSERT_TRUE(found) << one.address.to_string();
    ASSERT_EQ(found->place.line, one.place.line);
    ASSERT_EQ(found->copies, one.copies);
    ASSERT_EQ(table->find_target(one.copies.back().to_string())->place.line, one.place.line);
  }
}

TEST(Copies, ACopyWithoutNextHopRefusesTheLoad) {
  auto options = migration({entry("bob@corp.example", "bob@orgname.awsapps.com", {}, {}, 3)});
  options.sources[0].entries[0].copies = {mailbox("bob@nowhere.example")};
  std::vector<Problem> problems;
  EXPECT_FALSE(Router::load(options, problems));
  EXPECT_THAT(all(problems), HasSubstr("table.csv:3: error: the target 'bob@nowhere.example' of "
                                       "'bob@corp.example' is in 'nowhere.example', which no next "
                                       "hop serves"));
  options.sources[0].entries[0].copies = {mailbox("bob@corp.example")};
  EXPECT_FALSE(Router::load(options, problems));
}

class LoadedSources : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  Options options = migration({});
  std::vector<Problem> problems;

  LoadedSources() { options.sources.clear(); }
  TableSource& add(TableSource::Kind kind, const std::string& name, std::string_view content) {
    auto& source = options.sources.emplace_back();
    source.kind = kind;
    source.paths = {folder.write(name, content)};
    return source;
  }
};

TEST_F(LoadedSources, ADirectoryIsReadFromItsSnapshot) {
  DirectorySnapshot people;
  people.people["6f0c"] = {.guid = "6f0c", .dn = "CN=Bob, OU=x", .rows = {}};
  people.people["6f0c"].rows.push_back({.key = "bob@corp.example",
                                        .address = "bob@corp.example",
                                        .target = "bob@orgname.awsapps.com",
                                        .state = {},
                                        .wave = {}});
  add(TableSource::Kind::directory, "ad.csv", write_snapshot(people)).directory = "ad";
  const auto router = Router::load(options, problems);
  ASSERT_TRUE(router) << router.error().message;
  EXPECT_FALSE((*router)->table().find("bob@corp.example")->has_state);
  EXPECT_EQ(all(problems).find("guid"), std::string::npos);
}

TEST_F(LoadedSources, ADirectoryThatWasNeverReadSaysSo) {
  auto& source = options.sources.emplace_back();
  source.kind = TableSource::Kind::directory;
  source.directory = "ad";
  source.paths = {folder.path() + "/none.csv"};
  EXPECT_FALSE(Router::load(options, problems));
  EXPECT_THAT(all(problems),
              HasSubstr("none.csv: error: the directory 'ad' has not been read yet"));
}

TEST_F(LoadedSources, AMissingMembersFileIsAnErrorAndItsWaveCounts) {
  add(TableSource::Kind::csv, "t.csv", "bob@corp.example,bob@orgname.awsapps.com\n");
  auto& wave = options.waves.emplace_back();
  wave.name = "w1";
  wave.state = EntryState::migrating;
  wave.members_file = folder.path() + "/w1.txt";
  EXPECT_FALSE(Router::load(options, problems));
  EXPECT_THAT(all(problems), HasSubstr("/w1.txt: error: cannot read"));
  folder.write("w1.txt", "bob@corp.example\n");
  const auto router = Router::load(options, problems);
  ASSERT_TRUE(router);
  EXPECT_EQ((*router)->decide(mailbox("bob@corp.example"), WallTime{}).verdict, Verdict::hold);
}

TEST_F(LoadedSources, AnExchangeExportGivesAnEntryForEachAddress) {
  add(TableSource::Kind::exchange, "users.csv",
      "PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses\n"
      "bob@corp.example,SMTP:bob@orgname.awsapps.com,\"SMTP:bob@corp.example;smtp:robert@corp."
      "example;smtp:bob@orgname.awsapps.com\"\n")
      .wave = "w1";
  const auto router = Router::load(options, problems);
  ASSERT_TRUE(router) << router.error().message;
  EXPECT_EQ((*router)->table().size(), 2u);
  const auto robert = (*router)->table().find("robert@corp.example");
  ASSERT_TRUE(robert);
  EXPECT_EQ(robert->target.to_string(), "bob@orgname.awsapps.com");
  EXPECT_EQ(robert->wave, "w1");
  EXPECT_EQ(robert->place.line, 2u);
}

TEST_F(LoadedSources, AWorkMailExportGivesAnEntryForEachOwnAlias) {
  auto& source = add(
      TableSource::Kind::workmail, "users.json",
      R"({"Users":[{"Id":"1","Name":"bob","Email":"bob@orgname.awsapps.com","State":"ENABLED","UserRole":"USER"},
{"Id":"2","Name":"ann","Email":"ann@orgname.awsapps.com","State":"ENABLED","UserRole":"USER"},
{"Id":"3","Name":"eve","Email":"eve@orgname.awsapps.com","State":"DISABLED","UserRole":"USER"}]})");
  source.aliases = {
      folder.write("bob.json", R"({"Aliases":["bob@orgname.awsapps.com","robert@corp.example"]})")};
  auto router = Router::load(options, problems);
  ASSERT_TRUE(router) << router.error().message;
  EXPECT_EQ((*router)->table().size(), 1u);
  EXPECT_EQ((*router)->table().find("robert@corp.example")->target.local_part, "bob");
  EXPECT_THAT(all(problems), HasSubstr("'ann@orgname.awsapps.com' has no known alias in an own "
                                       "domain and is left out"));
  options.sources[0].address_domain = "corp.example";
  router = Router::load(options, problems);
  ASSERT_TRUE(router) << router.error().message;
  EXPECT_TRUE((*router)->table().find("ann@corp.example"));
  EXPECT_FALSE((*router)->table().find("eve@corp.example"));
}

TEST_F(LoadedSources, AWorkMailUserWhoseEmailIsInAnOwnDomainGoesToTheAliasInATargetDomain) {
  auto& source = add(
      TableSource::Kind::workmail, "users.json",
      R"({"Users":[{"Id":"1","Name":"u1","Email":"u1@corp.example","State":"ENABLED","UserRole":"USER"},
{"Id":"2","Name":"u2","Email":"u2@corp.example","State":"ENABLED","UserRole":"USER"},
{"Id":"3","Name":"u3","Email":"u3@orgname.awsapps.com","State":"ENABLED","UserRole":"USER"}]})");
  source.address_domain = "corp.example";
  source.aliases = {folder.write(
      "u1.json",
      R"({"Aliases":["x@orgname.awsapps.com","u1@orgname.awsapps.com","u1@corp.example","uno@corp.example"]})")};
  const auto router = Router::load(options, problems);
  ASSERT_TRUE(router) << router.error().message;
  const auto target = [&](const char* key) {
    const auto found = (*router)->table().find(key);
    return found ? found->target.to_string() : std::string();
  };
  EXPECT_EQ(target("u1@corp.example"), "u1@orgname.awsapps.com");
  EXPECT_EQ(target("uno@corp.example"), "u1@orgname.awsapps.com");
  EXPECT_EQ(target("u2@corp.example"), "");
  EXPECT_EQ(target("u3@corp.example"), "u3@orgname.awsapps.com");
  EXPECT_THAT(all(problems),
              HasSubstr("users.json:2: warning: 'u2@corp.example' is in an own domain, has no "
                        "known alias in a target domain (mail would come back here) and is left "
                        "out; give the outputs of list-aliases"));
}

}  // namespace
}  // namespace waypost::routing
