// Characters that nobody sees, wherever an address is read.
#include "waypost/routing/unseen.h"

#include "routing/exports_fixture.h"
#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Each of another category: zero width space, no-break space, BOM, soft hyphen, left-to-right
/// embedding, line and paragraph separators, next line, ideographic space, word joiner, a tag.
const std::vector<std::pair<std::string, std::string>> kUnseen = {
    {"\u200b", "U+200B"}, {"\u00a0", "U+00A0"}, {"\ufeff", "U+FEFF"},     {"\u00ad", "U+00AD"},
    {"\u202a", "U+202A"}, {"\u2028", "U+2028"}, {"\u2029", "U+2029"},     {"\xC2\x85", "U+0085"},
    {"\u3000", "U+3000"}, {"\u2060", "U+2060"}, {"\U000e0041", "U+E0041"}};

TEST(Unseen, IsFoundWithItsPlace) {
  const auto found = first_unseen("ann\u200b@corp.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->code, 0x200Bu);
  EXPECT_EQ(found->offset, 3u);
  EXPECT_EQ(found->number, 4u);
  EXPECT_FALSE(first_unseen("Jörg Müller 日本 ~"));
  EXPECT_EQ(first_unseen("ü\x1b")->number, 2u);
  EXPECT_FALSE(first_unseen("\xff\xfe")) << "no UTF-8 is another matter";
}

TEST(Unseen, IsShownAndTheRestIsLeft) {
  EXPECT_EQ(shown_text("a\u200bb\x1b[2Jü\U000e0041"), "a\\u200bb\\u001b[2Jü\\U000e0041");
  EXPECT_EQ(shown_text("\xff\xfe@x \xC3 \xED\xA0\x80"), "??@x ? ???");
  EXPECT_EQ(shown_text("üüü", 5), "üü...") << "cut at a character's edge";
  EXPECT_EQ(shown_text("abc", 3), "abc");
}

TEST(Unseen, NoTableHasIt) {
  for (const auto& [text, name] : kUnseen)
    for (const auto& row :
         {"ann" + text + "@corp.example,ann@t.example\n", text + "ann@corp.example,ann@t.example\n",
          "ann@corp.example,an" + text + "n@t.example\n",
          "ann@corp.example,ann@t.example;a" + text + "@t.example\n",
          "ann@corp.example,ann@t.example,,wa" + text + "ve\n"})
      // The first line of a file may begin with a BOM.
      EXPECT_THAT(csv_problems("\n" + std::string(row)),
                  AllOf(HasSubstr("users.csv:2:"), HasSubstr("error: "), HasSubstr(name),
                        HasSubstr("as character")))
          << row;
  EXPECT_EQ(csv_problems("ann\u200b@corp.example,ann@t.example\n"),
            "users.csv:1:1: error: the address 'ann\\u200b@corp.example' is not valid: it holds "
            "U+200B, which can't be seen, as character 4; type it anew\n");
}

TEST(Unseen, NoMembersFileHasIt) {
  for (const auto& [text, name] : kUnseen) {
    TableBuilder builder;
    builder.add_members("w", "w.txt", "ann" + text + "@corp.example\n");
    builder.build();
    EXPECT_THAT(lines_of(builder.problems()),
                AllOf(HasSubstr("w.txt:1: error: "), HasSubstr(name)));
  }
}

TEST(Unseen, NoExportOfExchangeHasIt) {
  const auto problems = [](const std::string& primary, const std::string& external,
                           const std::string& others, const std::string& wave) {
    return lines_of(
        read_exchange_export(
            "e.csv", "PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses,Wave\r\n\"" + primary +
                         "\",\"" + external + "\",\"" + others + "\",\"" + wave + "\"\r\n")
            .problems);
  };
  ASSERT_EQ(problems("a@c.example", "SMTP:a@t.example", "SMTP:a@c.example;smtp:b@c.example", "w"),
            "");
  for (const auto& [text, name] : kUnseen) {
    EXPECT_THAT(problems("a" + text + "@c.example", "SMTP:a@t.example", "SMTP:a@c.example", "w"),
                AllOf(HasSubstr("e.csv:2:1: error"), HasSubstr(name)));
    EXPECT_THAT(problems("a@c.example", "SMTP:" + text + "a@t.example", "SMTP:a@c.example", "w"),
                AllOf(HasSubstr("error"), HasSubstr(name)));
    EXPECT_THAT(problems("a@c.example", "SMTP:a@t.example",
                         "SMTP:a@c.example;smtp:" + text + "b@c.example", "w"),
                AllOf(HasSubstr("error"), HasSubstr(name)));
    EXPECT_THAT(problems("a@c.example", "SMTP:a@t.example", "SMTP:a@c.example", "w" + text),
                AllOf(HasSubstr("error"), HasSubstr(name)));
  }
}

TEST(Unseen, NoExportOfWorkMailHasIt) {
  const auto problems = [](const std::string& email, const std::string& alias) {
    return lines_of(
        read_workmail_export({{"u.json", R"({"Users":[{"Id":"1","Name":"a","Email":")" + email +
                                             R"(","State":"ENABLED","UserRole":"USER"}]})"}},
                             {{"a.json", R"({"Aliases":["a@t.example",")" + alias + R"("]})"}})
            .problems);
  };
  ASSERT_EQ(problems("a@t.example", "a@c.example"), "");
  for (const auto& [text, name] : kUnseen) {
    EXPECT_THAT(problems("a" + text + "@t.example", "a@c.example"),
                AllOf(HasSubstr("u.json:1:1: error"), HasSubstr(name)));
    EXPECT_THAT(problems("a@t.example", text + "a@c.example"),
                AllOf(HasSubstr("a.json:1:1: error"), HasSubstr(name)));
  }
}

TEST(Unseen, ALetterInTwoPiecesIsToldBecauseItMatchesNothing) {
  EXPECT_EQ(csv_problems("jo\u0308rg@corp.example,joerg@t.example\n"),
            "users.csv:1:1: warning: 'jo\u0308rg@corp.example' has a letter in two pieces (NFD, "
            "character 3): it looks like the usual spelling (NFC) and does not match it; type it "
            "anew\n");
  EXPECT_THAT(csv_problems("joerg@corp.example,jo\u0308rg@t.example\n"), HasSubstr("warning"));
  EXPECT_EQ(csv_problems("jörg@corp.example,joerg@t.example\n"), "");
  EXPECT_EQ(csv_problems("a@bu\u0308ro.example,a@t.example\n"), "") << "IDNA composes domains";
}

TEST(Unseen, JoinersInDomainsAreIdnasToJudge) {
  EXPECT_TRUE(read_address("a@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example"));
  EXPECT_FALSE(read_address("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc@a.example"));
}

TEST(Comments, InATableOneThatLooksLikeAnAddressIsTold) {
  EXPECT_EQ(csv_problems("#sales@corp.example,sales@t.example\n#TYPE x\n# bob@corp.example\n"
                         "ann@corp.example,ann@t.example\n#eve@corp.example,eve@t.example\n"),
            "users.csv:1:1: warning: '#sales@corp.example' is taken for a comment, as is 1 line "
            "like it; write '# ' before a comment, and an address that begins with '#' as "
            "'SMTP:#sales@corp.example'\n");
  TableBuilder builder;
  builder.add_csv("t.csv", "SMTP:#sales@corp.example,sales@t.example\n");
  EXPECT_TRUE(builder.build()->find("#sales@corp.example"));
}

TEST(Comments, BelowTheHeaderOfAnExportThereAreNone) {
  const auto got =
      read_exchange_export("e.csv",
                           "#TYPE Selected.Microsoft.Exchange\r\n"
                           "DisplayName,PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses\r\n"
                           "Ann,ann@c.example,SMTP:ann@t.example,SMTP:ann@c.example\r\n"
                           "#Helpdesk,help@c.example,SMTP:help@t.example,SMTP:help@c.example\r\n");
  EXPECT_EQ(lines_of(got.problems), "");
  ASSERT_EQ(got.recipients.size(), 2u);
  EXPECT_EQ(got.recipients[1].display_name, "#Helpdesk");
}

}  // namespace
}  // namespace waypost::routing
