// Outputs of `aws workmail list-users` and `list-aliases`, and what else lies in such files.
#include "exports_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

WorkMailExport read(std::string users) {
  return read_workmail_export({{"users.json", std::move(users)}}, {});
}
WorkMailExport read(std::string users, std::string aliases) {
  return read_workmail_export({{"users.json", std::move(users)}},
                              {{"aliases.json", std::move(aliases)}});
}
std::string problems(std::string users) { return lines_of(read(std::move(users)).problems); }

std::string user(const std::string& id, const std::string& email,
                 const std::string& state = "ENABLED", const std::string& role = "USER") {
  return R"({"Id":")" + id + R"(","Name":"n-)" + id + R"(","DisplayName":"Mr )" + id +
         R"(","Email":")" + email + R"(","State":")" + state + R"(","UserRole":")" + role + R"("})";
}
std::string page(const std::string& users, const std::string& token = {}) {
  return R"({"Users":[)" + users + "]" + (token.empty() ? "" : R"(,"NextToken":")" + token + "\"") +
         "}";
}
std::string alias_page(const std::string& aliases) { return R"({"Aliases":[)" + aliases + "]}"; }

TEST(WorkMailExport, ReadsTheSample) {
  const auto got =
      read_workmail_export({{"2.json", sample("workmail-list-users-page2.json")},
                            {"1.json", sample("workmail-list-users-page1.json")}},
                           {{"a.json", sample("workmail-list-aliases-bob.baker.json")}});
  ASSERT_EQ(got.entities.size(), 27u);
  EXPECT_EQ(lines_of(got.problems),
            "1.json:39:1: warning: the user 'elodie.evans' is ENABLED but has no Email here, and "
            "is no usable target; see aws workmail describe-user --user-id "
            "S-1-1-11-0000001004-101071364-392655486-2004\n");
  const auto bob = std::find_if(got.entities.begin(), got.entities.end(),
                                [](const auto& one) { return one.name == "bob.baker"; });
  ASSERT_NE(bob, got.entities.end());
  EXPECT_EQ(bob->id, "S-1-1-11-0000001001-423938499-698935572-2001");
  EXPECT_EQ(bob->display_name, "Bob Baker");
  EXPECT_EQ(bob->email, "bob.baker@orgname.awsapps.com");
  EXPECT_TRUE(bob->usable());
  EXPECT_TRUE(bob->aliases_known);
  EXPECT_THAT(bob->aliases, ElementsAre("bob.baker@orgname.awsapps.com", "bob.baker@corp.example",
                                        "bob@corp.example"));
  EXPECT_EQ(bob->place.to_string(), "1.json:12");
  std::string unusable;
  for (const auto& one : got.entities)
    if (!one.usable()) unusable += one.name + " " + one.state + " " + one.role + "\n";
  EXPECT_EQ(unusable,
            "WorkMailMigration ENABLED SYSTEM_USER\n"
            "elodie.evans ENABLED USER\n"
            "hakon.hughes DISABLED USER\n"
            "joao.jensen DELETED USER\n");
}

TEST(WorkMailExport, OnlyEnabledUsersAndResourcesWithAnEmailAreUsable) {
  for (const std::string role : {"USER", "RESOURCE", "SYSTEM_USER", "REMOTE_USER"})
    for (const std::string state : {"ENABLED", "DISABLED", "DELETED"}) {
      const auto got = read(page(user("1", "a@o.example", state, role)));
      ASSERT_EQ(got.entities.size(), 1u);
      EXPECT_EQ(got.entities[0].usable(),
                state == "ENABLED" && (role == "USER" || role == "RESOURCE"));
      EXPECT_EQ(lines_of(got.problems), "");
    }
}

TEST(WorkMailExport, TakesConcatenatedDocumentsInAnyEncoding) {
  const auto one = page(user("1", "a@o.example"), "more"), two = page(user("2", "b@o.example"));
  for (const std::string between : {"", "\n", " \r\n\r\n"})
    for (const auto& content :
         {one + between + two + between, two + between + one, "\xEF\xBB\xBF" + one + between + two,
          utf16(one + between + two, true), utf16(one + between + two, false),
          utf16(one + between + two, true, false)}) {
      const auto got = read(content);
      EXPECT_EQ(got.entities.size(), 2u);
      EXPECT_EQ(lines_of(got.problems), "");
    }
  const auto list = read("[" + user("1", "a@o.example") + ",\n" + user("2", "b@o.example") + "]");
  ASSERT_EQ(list.entities.size(), 2u) << "--query Users";
  EXPECT_EQ(list.entities[1].place.line, 2u);
}

TEST(WorkMailExport, ReadsWhatJsonCanWriteDifferently) {
  const auto got = read(
      "{\"ResponseMetadata\": {\"Users\": [1], \"NextToken\": \"no\"}, \"Users\": [{\n"
      "\"Email\": \"\\u0061@o.example\", \"Tags\": [\"Id\", {\"Id\": \"inner\"}],\n"
      "\"Id\": \"1\", \"Name\": \"x\\ny\", \"State\": \"enabled\", \"UserRole\": \"USER\",\n"
      "\"EnabledDate\": 1763600001.123, \"Hidden\": false, \"None\": null}], \"NextToken\": null}");
  EXPECT_EQ(lines_of(got.problems), "");
  ASSERT_EQ(got.entities.size(), 1u);
  EXPECT_EQ(got.entities[0].id, "1");
  EXPECT_EQ(got.entities[0].email, "a@o.example");
  EXPECT_EQ(got.entities[0].name, "x\ny");
  EXPECT_TRUE(got.entities[0].usable());
}

TEST(WorkMailExport, AMissingPageIsAnError) {
  EXPECT_THAT(problems("\n" + page(user("1", "a@o.example"), "more")),
              AllOf(StartsWith("users.json:2:1: error: this page has a NextToken, but the last "
                               "page is missing"),
                    HasSubstr("--no-paginate")));
  EXPECT_EQ(problems(page(user("1", "a@o.example"), "m") + page(user("2", "b@o.example"))), "");
  EXPECT_EQ(problems(R"({"Users":[],"NextToken":""})"), "");
}

TEST(WorkMailExport, TheSameUserTwiceIsAWarning) {
  const auto got = read_workmail_export({{"1.json", page(user("1", "a@o.example"))},
                                         {"2.json", "\n" + page(user("1", "b@o.example"))}},
                                        {});
  ASSERT_EQ(got.entities.size(), 1u);
  EXPECT_EQ(got.entities[0].email, "a@o.example");
  EXPECT_EQ(lines_of(got.problems),
            "2.json:2:1: warning: the user '1' is already at 1.json:1; this one is left out (is a "
            "page given twice?)\n");
}

TEST(WorkMailExport, TellsUnknownWordsAndBrokenUsers) {
  const auto got = read(page(user("1", "a@o.example", "ENABELD", "USER") + ",\n" +
                             user("2", "b@o.example", "ENABLED", "ROBOT")));
  EXPECT_EQ(lines_of(got.problems),
            "users.json:1:1: warning: unknown State 'ENABELD'; this user counts as no usable "
            "target; did you mean 'ENABLED'?\n"
            "users.json:2:1: warning: unknown UserRole 'ROBOT'; this user counts as no usable "
            "target; known are USER, RESOURCE, SYSTEM_USER and REMOTE_USER\n");
  for (const auto& one : got.entities) EXPECT_FALSE(one.usable());
  EXPECT_THAT(problems(R"({"Users":[{"Name":"x"}]})"), HasSubstr("this user has no Id"));
  EXPECT_THAT(problems(R"({"Users":[{"Id":"a\u0000b"}]})"), HasSubstr("control character"));
  EXPECT_THAT(problems(R"({"Users":["x",1,null,[{}],{"Id":"1"}]})"),
              HasSubstr("users.json:1:1: error: this item of Users is not a user"));
  const auto bad = read(page(user("1", "nobody")));
  EXPECT_THAT(lines_of(bad.problems), HasSubstr("the Email 'nobody' of '1' is no mail address"));
  EXPECT_FALSE(bad.entities.at(0).usable());
}

TEST(WorkMailExport, GivesAliasesToTheUserWhoseEmailIsAmongThem) {
  const auto users = page(user("1", "a@o.example") + "," + user("2", "b@o.example"));
  const auto got =
      read(users, alias_page(R"("x@c.example","B@O.example")") +
                      alias_page(R"("b@o.example","y@c.example","x@c.example")") + alias_page(""));
  EXPECT_EQ(lines_of(got.problems), "");
  EXPECT_FALSE(got.entities.at(0).aliases_known);
  EXPECT_TRUE(got.entities.at(1).aliases_known);
  EXPECT_THAT(got.entities.at(1).aliases,
              ElementsAre("x@c.example", "B@O.example", "b@o.example", "y@c.example"));
}

TEST(WorkMailExport, GivesAliasesByNameWhereListUsersHasNoEmail) {
  const auto got = read(R"({"Users":[{"Id":"1","Name":"Elodie.Evans","State":"DISABLED",
                          "UserRole":"USER"}]})",
                        alias_page(R"("elodie.evans@o.example")"));
  EXPECT_THAT(got.entities.at(0).aliases, ElementsAre("elodie.evans@o.example"));
}

TEST(WorkMailExport, NamesAliasesWhoseUserIsUnknown) {
  const auto got = read(page(user("1", "a@o.example")),
                        "\n" + alias_page(R"("x@c.example","y@c.example","bad")"));
  EXPECT_EQ(lines_of(got.problems),
            "aliases.json:2:1: warning: the alias 'bad' is no mail address and is left out\n"
            "aliases.json:2:1: warning: no user of the list has one of these aliases as Email, so "
            "they are left out: 'x@c.example', 'y@c.example'\n");
}

TEST(WorkMailExport, JoinsPagesOfAliases) {
  const auto users = page(user("1", "a@o.example"));
  const std::string first = R"({"Aliases":["a@o.example"],"NextToken":"t"})";
  const auto got = read(users, first + alias_page(R"("x@c.example")"));
  EXPECT_EQ(lines_of(got.problems), "");
  EXPECT_THAT(got.entities.at(0).aliases, ElementsAre("a@o.example", "x@c.example"));
  EXPECT_THAT(lines_of(read(users, first).problems), HasSubstr("no further page follows"));
}

TEST(WorkMailExport, NamesTheCommandWhoseOutputItGot) {
  EXPECT_THAT(problems(R"({"Groups":[]})"),
              StartsWith("users.json:1:1: error: this is the output of list-groups; needed is "
                         "that of: aws workmail list-users"));
  EXPECT_THAT(problems(R"({"UserId":"S-1","Name":"bob","State":"ENABLED"})"),
              HasSubstr("describe-user"));
  EXPECT_THAT(problems(alias_page("")), HasSubstr("the output of list-aliases, given among"));
  EXPECT_THAT(problems(R"({"x":1,"y":[]})"), HasSubstr("found are 'x', 'y'"));
  EXPECT_THAT(problems("12"), HasSubstr("no object with members"));
  EXPECT_THAT(lines_of(read(page(""), page("")).problems),
              HasSubstr("the output of list-users, given among"));
  EXPECT_THAT(lines_of(read(page(""), R"({"Members":[]})").problems),
              HasSubstr("list-group-members; needed is that of: aws workmail list-aliases"));
}

TEST(WorkMailExport, KnowsErrorsAndOtherFormatsOfTheCommandLine) {
  EXPECT_THAT(problems("\nAn error occurred (AccessDeniedException) when calling the ListUsers "
                       "operation: no\n"),
              HasSubstr("an error message of the AWS CLI, not its output: 'An error occurred "
                        "(AccessDeniedException)"));
  EXPECT_THAT(problems("Unable to locate credentials. You can configure..."),
              HasSubstr("error message"));
  EXPECT_THAT(problems("USERS\tbob\t"), HasSubstr("as text, table or YAML"));
  EXPECT_THAT(problems("-----\n|ListUsers|\n"), HasSubstr("as text, table or YAML"));
  for (const std::string content : {"", " \n", "\xEF\xBB\xBF"})
    EXPECT_THAT(problems(content), HasSubstr("the file is empty"));
}

TEST(WorkMailExport, TellsLineAndColumnOfBrokenJson) {
  EXPECT_THAT(problems("{\n  \"Users\": [}\n"),
              StartsWith("users.json:2:13: error: this is not JSON ("));
  EXPECT_THAT(problems("{\n\"Üsers\": nil}"), StartsWith("users.json:2:10: error: this is not"));
  EXPECT_THAT(problems(page("") + "\n\n  x"), StartsWith("users.json:3:3: error: this is not"));
  EXPECT_THAT(problems("{\"Users\": [\n{\"Id\": \"1\""),
              StartsWith("users.json:2:11: error: the JSON ends in the middle"));
  EXPECT_THAT(problems(std::string(100'000, '[')),
              StartsWith("users.json:1:33: error: the JSON is nested deeper than 32 levels"));
  EXPECT_THAT(problems(std::string("{\"Users\"\0:[]}", 13)), HasSubstr("NUL"));
  EXPECT_THAT(problems("{\"Users\": \"\xE9\"}"), HasSubstr("not UTF-8"));
  EXPECT_THAT(read("{\"Users\": [{\"Id\":\"1\"}").entities, IsEmpty());
}

TEST(WorkMailExport, TakesManyUsersOnOneLine) {
  std::string users;
  for (int i = 0; i < 20'000; ++i)
    users += (i == 0 ? "" : ",") + user(std::to_string(i), std::to_string(i) + "@o.example");
  const auto got = read(page(users));
  EXPECT_EQ(got.entities.size(), 20'000u);
  EXPECT_EQ(lines_of(got.problems), "");
}

/// As AWS Tools for PowerShell write a user.
std::string powershell_user(const std::string& state, const std::string& role) {
  return R"({"DisplayName":"Ann","Email":"ann@t.example","Id":"1","Name":"ann","State":)" + state +
         R"(,"UserRole":)" + role + "}";
}

TEST(WorkMailExport, UnderstandsConstantsThatAreObjects) {
  const std::string wrapped = powershell_user(R"({"Value":"ENABLED"})", R"({"Value":"USER"})");
  for (const auto& text : {page(wrapped), "[" + wrapped + "]", wrapped, "\n " + wrapped + "\n",
                           powershell_user(R"({"X":1,"value":"enabled"})", R"("USER")")}) {
    const auto got = read(text);
    EXPECT_THAT(lines_of(got.problems), "") << text;
    ASSERT_EQ(got.entities.size(), 1u) << text;
    EXPECT_TRUE(got.entities[0].usable()) << text;
    EXPECT_EQ(got.entities[0].email, "ann@t.example");
  }
  const auto disabled = read("[" + powershell_user(R"({"Value":"DISABLED"})", "\"USER\"") + "]");
  ASSERT_EQ(disabled.entities.size(), 1u);
  EXPECT_EQ(disabled.entities[0].state, "DISABLED");
}

TEST(WorkMailExport, AStateThatIsNoTextIsAnError) {
  for (const char* state : {"0", "true", "null", "[\"ENABLED\"]", "{}", R"({"Value":1})",
                            R"({"Other":"ENABLED"})", R"({"Value":{"Value":"ENABLED"}})", "\"\""})
    EXPECT_THAT(problems("[" + powershell_user(state, "\"USER\"") + "]"),
                AllOf(StartsWith("users.json:1:1: error: the user 'ann' has "), HasSubstr("State")))
        << state;
  EXPECT_THAT(problems("[" + powershell_user("\"ENABLED\"", "3") + "]"),
              HasSubstr("error: the user 'ann' has a UserRole that is no text"));
  EXPECT_THAT(problems("[" + powershell_user("\"PAUSED\"", "\"USER\"") + "]"),
              HasSubstr("warning: unknown State 'PAUSED'"));
}

}  // namespace
}  // namespace waypost::routing
