#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

#include <unistd.h>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;

std::string load_problems(const Options& options, bool usable) {
  std::vector<Problem> problems;
  const auto router = Router::load(options, problems);
  EXPECT_EQ(router.has_value(), usable) << (router ? "loaded" : router.error().message);
  std::string out;
  for (const auto& problem : problems) out += problem.to_string() + "\n";
  return out;
}

Options with_file(const std::string& path) {
  auto options = migration({});
  options.sources.clear();
  options.sources.emplace_back().paths = {path};
  return options;
}

TEST(RouterLoad, ReadsCsvFilesAndInlineEntriesTogether) {
  const TemporaryFolder folder;
  auto options =
      with_file(folder.write("a.csv", "postmaster@corp.example,pm@orgname.awsapps.com\n"));
  options.sources.push_back(
      migration({entry("b@corp.example", "b@orgname.awsapps.com")}).sources.front());
  std::vector<Problem> problems;
  const auto router = Router::load(options, problems);
  ASSERT_TRUE(router);
  EXPECT_TRUE(problems.empty()) << problems[0].to_string();
  EXPECT_EQ((*router)->table().size(), 2u);
  EXPECT_GT((*router)->loaded_at(), WallTime{});
  EXPECT_TRUE((*router)->options().sources[1].entries.empty()) << "not kept twice";
}

TEST(RouterLoad, NamesAFileThatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_EQ(
      load_problems(with_file(folder.path() + "/none.csv"), false),
      folder.path() +
          "/none.csv: error: cannot read the table: No such file or directory (errno 2); check the "
          "path and that the waypost user may read it\n"
          "warning: own domain 'corp.example' has no entry in any table: every address there is "
          "refused\n");
  EXPECT_THAT(load_problems(with_file(folder.path()), false), HasSubstr("not a regular file"));
}

TEST(RouterLoad, OneErrorRefusesTheWholeLoad) {
  const TemporaryFolder folder;
  std::vector<Problem> problems;
  const auto router = Router::load(
      with_file(folder.write(
          "a.csv", "a@corp.example,a@orgname.awsapps.com\nb,b@orgname.awsapps.com\nc,d\n")),
      problems);
  ASSERT_FALSE(router);
  EXPECT_EQ(router.error().kind, ErrorKind::invalid);
  EXPECT_THAT(router.error().message, HasSubstr("a.csv:2:1: error: the address 'b' is not valid"));
  EXPECT_THAT(router.error().message, HasSubstr("(and 1 more error)"));
}

TEST(RouterLoad, RefusesTargetsThatNoNextHopServes) {
  EXPECT_THAT(
      load_problems(migration({entry("bob@corp.example", "bob@orgnam.awsapps.com", {}, {}, 5)}),
                    false),
      HasSubstr(
          "table.csv:5: error: the target 'bob@orgnam.awsapps.com' of 'bob@corp.example' is in "
          "'orgnam.awsapps.com', which no next hop serves; add it to routing.target_domains"));
}

TEST(RouterLoad, RefusesTargetsInOwnDomains) {
  auto options = migration({entry("bob@corp.example", "robert@old-corp.example")});
  options.domain_aliases = {{"old-corp.example", "corp.example"}};
  EXPECT_THAT(load_problems(options, false),
              HasSubstr("which is an own domain: its mail would come back here"));
}

TEST(RouterLoad, WarnsAboutForeignAddressesAndMissingPostmasters) {
  EXPECT_EQ(
      load_problems(migration({entry("bob@crop.example", "bob@orgname.awsapps.com",
                                     EntryState::active, {}, 9),
                               entry("bob@corp.example", "bob@orgname.awsapps.com")}),
                    true),
      "table.csv:9: warning: 'bob@crop.example' is in 'crop.example', which is neither in "
      "routing.own_domains nor "
      "a domain alias; add the domain there or correct the address\n"
      "warning: there is no entry for postmaster@corp.example, which every domain must have (RFC "
      "5321 section "
      "4.5.1); add it to the table\n");
}

TEST(RouterLoad, RefusesOptionsWithImpossibleDomains) {
  auto options = migration({});
  options.own_domains = {"corp..example"};
  options.domain_aliases = {{"-a", "corp.example"}};
  options.target_domains = {{"[192.0.2.1]", "workmail"}};
  const auto problems = load_problems(options, false);
  EXPECT_THAT(problems, HasSubstr("own domain: 'corp..example'"));
  EXPECT_THAT(problems, HasSubstr("domain alias: '-a'"));
  EXPECT_THAT(problems, HasSubstr("target domain: '[192.0.2.1]'"));
}

TEST(RouterLoad, WorksWithoutAnyTable) {
  auto options = migration({});
  options.sources.clear();
  EXPECT_EQ(load_problems(options, true), "");
}

TEST(RouterLoad, LeavesEarlierProblemsOfTheCallerAlone) {
  std::vector<Problem> problems = {Problem{true, "other", 1, 1, "before"}};
  EXPECT_TRUE(Router::load(migration({entry("postmaster@corp.example", "p@orgname.awsapps.com")}),
                           problems));
  EXPECT_EQ(problems.size(), 1u);
}

TEST(RouterLoad, WavesWithNearlyTheSameNameAreTold) {
  auto options = migration(
      {entry("a@corp.example", "a@orgname.awsapps.com", EntryState::pending, "wave-1", 1),
       entry("b@corp.example", "b@orgname.awsapps.com", EntryState::pending, "Wave 1", 2),
       entry("c@corp.example", "c@orgname.awsapps.com", EntryState::pending, "wave-2", 3)});
  std::vector<Problem> problems;
  ASSERT_TRUE(Router::load(options, problems));
  std::string told;
  for (const auto& problem : problems) told += problem.to_string() + "\n";
  EXPECT_NE(
      told.find("table.csv:2: warning: wave 'Wave 1' is not wave 'wave-1': the names differ in "
                "letter case, blanks or dashes"),
      std::string::npos)
      << told;
  EXPECT_EQ(told.find("wave-2"), std::string::npos) << told;
  options.waves.emplace_back().name = "WAVE2";
  problems.clear();
  ASSERT_TRUE(Router::load(options, problems));
  EXPECT_TRUE(std::any_of(problems.begin(), problems.end(), [](const Problem& one) {
    return one.message.starts_with("wave 'wave-2' is not wave 'WAVE2'");
  }));
}

}  // namespace
}  // namespace waypost::routing
