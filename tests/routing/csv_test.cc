#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::shared_ptr<const Table> good(std::string_view content) {
  TableBuilder builder;
  builder.add_csv("users.csv", content);
  EXPECT_TRUE(builder.problems().empty()) << builder.problems().front().to_string();
  return builder.build();
}

std::string target_of(const Table& table, std::string_view key) {
  const auto found = table.find(key);
  return found ? found->target.to_string() : "(none)";
}

std::string utf16(std::string_view ascii, bool big, bool bom) {
  std::string out;
  const auto put = [&](unsigned unit) {
    const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xff);
    out += big ? high : low;
    out += big ? low : high;
  };
  if (bom) put(0xFEFF);
  for (const char c : ascii) put(static_cast<unsigned char>(c));
  return out;
}

TEST(Csv, ReadsAddressAndTargetWithoutHeader) {
  const auto table = good("bob@corp.example,bob@orgname.awsapps.com\n");
  ASSERT_EQ(table->size(), 1u);
  const auto entry = table->find("bob@corp.example");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->target.to_string(), "bob@orgname.awsapps.com");
  EXPECT_EQ(entry->state, EntryState::active);
  EXPECT_EQ(entry->wave, "");
  EXPECT_EQ(entry->place.to_string(), "users.csv:1");
}

TEST(Csv, ReadsStateAndWave) {
  const auto table = good(
      "a@corp.example,a@t.example,pending,one\n"
      "b@corp.example,b@t.example,Migrating,\n"
      "c@corp.example,c@t.example,,two words\n"
      "d@corp.example,d@t.example,rolled-back,one\r\n");
  EXPECT_EQ(table->find("a@corp.example")->state, EntryState::pending);
  EXPECT_EQ(table->find("a@corp.example")->wave, "one");
  EXPECT_EQ(table->find("b@corp.example")->state, EntryState::migrating);
  EXPECT_EQ(table->find("c@corp.example")->wave, "two words");
  EXPECT_EQ(table->find("d@corp.example")->state, EntryState::rolled_back);
  EXPECT_EQ(table->find("d@corp.example")->place.line, 4u);
}

TEST(Csv, FindsColumnsByTheirNames) {
  const auto table = good("Wave,TARGET,address\nw1,bob@t.example,bob@corp.example\n");
  EXPECT_EQ(target_of(*table, "bob@corp.example"), "bob@t.example");
  EXPECT_EQ(table->find("bob@corp.example")->wave, "w1");
  EXPECT_EQ(table->find("bob@corp.example")->place.line, 2u);
}

TEST(Csv, IgnoresUnknownColumnsWithAWarning) {
  EXPECT_EQ(csv_problems("address,name,targt,target\nb@corp.example,Bob,x,b@t.example\n"),
            "users.csv:1:9: warning: column 'name' is not known and ignored; known are address, "
            "target, state and wave\n"
            "users.csv:1:14: warning: column 'targt' is not known and ignored; did you mean "
            "'target'?\n");
}

TEST(Csv, MissesNeededColumns) {
  EXPECT_EQ(csv_problems("address,state\nb@corp.example,active\n"),
            "users.csv:1:1: error: the header row has no column 'target'; the columns are "
            "address,target[,state[,wave]]\n");
  EXPECT_EQ(csv_problems("address,target,address\n"),
            "users.csv:1:16: error: column 'address' is there twice\n");
}

TEST(Csv, SkipsCommentsAndBlankLines) {
  const auto table = good("\n# people\n  \r\n#TYPE Selected\nb@corp.example,b@t.example\n");
  EXPECT_EQ(table->size(), 1u);
  EXPECT_EQ(table->find("b@corp.example")->place.line, 5u);
  EXPECT_EQ(good("")->size(), 0u);
  EXPECT_EQ(good("\xEF\xBB\xBF")->size(), 0u);
}

TEST(Csv, KeepsLinesRightBehindQuotedLineBreaks) {
  EXPECT_EQ(csv_problems("\"a\n@b\",x@t.example\nbad,y@t.example\n"),
            csv_problems("\"a\n@b\",x@t.example\n") + csv_problems("\n\nbad,y@t.example\n"));
  EXPECT_THAT(csv_problems("\"a\n@b\",x@t.example\nbad,y@t.example\n"),
              HasSubstr("users.csv:3:1: error"));
}

TEST(Csv, UnderstandsQuoting) {
  const auto table = good(
      "\"bob@corp.example\" , \"bob@t.example\",\"active\",\"wave \"\"one\"\", first\"\n"
      "\"\"\"a,b\"\"@corp.example\",ab@t.example\n");
  EXPECT_EQ(table->find("bob@corp.example")->wave, "wave \"one\", first");
  EXPECT_EQ(target_of(*table, "a,b@corp.example"), "ab@t.example");
  EXPECT_EQ(table->find("a,b@corp.example")->address.to_string(), "\"a,b\"@corp.example");
}

TEST(Csv, NamesBrokenQuoting) {
  EXPECT_EQ(csv_problems("a@corp.example,\"b@t.example\n"),
            "users.csv:1:16: error: the quotation mark opened here is never closed\n");
  EXPECT_THAT(csv_problems("\"a@corp.example\"x,b@t.example\n"),
              StartsWith("users.csv:1:17: error: text behind the closing quotation mark"));
  EXPECT_THAT(csv_problems("a\"b@corp.example,b@t.example\n"),
              StartsWith("users.csv:1:2: error: a quotation mark inside a field"));
}

TEST(Csv, GoesOnBehindABrokenLine) {
  EXPECT_THAT(csv_problems("a@corp.example,\"b@t.example\nbad,b@t.example\n"),
              HasSubstr("users.csv:2:1: error: the address 'bad' is not valid"));
}

TEST(Csv, AcceptsSemicolonsAndTabs) {
  EXPECT_EQ(target_of(*good("b@corp.example;b@t.example;active\n"), "b@corp.example"),
            "b@t.example");
  EXPECT_EQ(target_of(*good("b@corp.example\tb@t.example\n"), "b@corp.example"), "b@t.example");
  EXPECT_EQ(good("b@corp.example\tb@t.example\t\tw1\n")->find("b@corp.example")->wave, "w1");
}

TEST(Csv, DecodesByteOrderMarksAndUtf16) {
  const std::string_view rows = "address,target\r\nbob@corp.example,bob@t.example\r\n";
  EXPECT_EQ(good("\xEF\xBB\xBF" + std::string(rows))->size(), 1u);
  for (const bool big : {false, true})
    for (const bool bom : {false, true})
      EXPECT_EQ(target_of(*good(utf16(rows, big, bom)), "bob@corp.example"), "bob@t.example");
}

TEST(Csv, RefusesBrokenUtf16) {
  EXPECT_THAT(csv_problems(utf16("b@corp.example,b@t.example", false, true) + "x"),
              HasSubstr("cut off"));
  EXPECT_THAT(csv_problems(std::string_view("\xFF\xFE\x00\xD8\x41\x00", 6)),
              HasSubstr("broken character"));
  EXPECT_THAT(csv_problems(std::string_view("\xFF\xFE\x00\xDC", 4)), HasSubstr("broken character"));
}

TEST(Csv, RefusesOtherEncodingsWithThePlace) {
  EXPECT_EQ(csv_problems("b@corp.example,b@t.example\nj\xF6rg@corp.example,j@t.example\n"),
            "users.csv:2:2: error: the file is not UTF-8 (octet 246 here); save it as UTF-8, in "
            "Excel 'CSV UTF-8'\n");
  for (const std::string_view bad : {"\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE2\x82",
                                     "\x80", "\xF0\x8F\xBF\xBF", "\xE0\x9F\xBF"})
    EXPECT_THAT(csv_problems(std::string("abc") + std::string(bad)),
                HasSubstr("users.csv:1:4: error: the file is not"));
  EXPECT_THAT(csv_problems(std::string_view("b@corp\0,x", 9)), HasSubstr("NUL"));
}

TEST(Csv, CountsColumnsInCharacters) {
  EXPECT_THAT(csv_problems("jörg@corp.example,üü@t.example,activ\n"),
              StartsWith("users.csv:1:32: error"));
}

TEST(Csv, SuggestsTheStateThatWasMeant) {
  EXPECT_EQ(csv_problems("b@corp.example,b@t.example,actve\n"),
            "users.csv:1:28: error: unknown state 'actve'; did you mean 'active'?\n");
  EXPECT_EQ(csv_problems("b@corp.example,b@t.example,x\n"),
            "users.csv:1:28: error: unknown state 'x'; known are pending, migrating, active and "
            "rolled_back\n");
}

TEST(Csv, NamesMissingAndSuperfluousColumns) {
  EXPECT_EQ(csv_problems("b@corp.example\n"),
            "users.csv:1:1: error: the row has 1 column; needed are address,target[,state[,wave]] "
            "separated by commas\n");
  EXPECT_THAT(csv_problems("b@corp.example,b@t.example,active,w,more\n"),
              StartsWith("users.csv:1:37: error: too many columns: expected 4 at most, found 5"));
  EXPECT_EQ(csv_problems("b@corp.example,\n"), "users.csv:1:16: error: the target is missing\n");
  EXPECT_EQ(csv_problems(",b@t.example\n"), "users.csv:1:1: error: the address is missing\n");
}

TEST(Csv, NamesBadAddressesWithTheirColumn) {
  EXPECT_THAT(csv_problems("b@corp.example,not-an-address\n"),
              StartsWith("users.csv:1:16: error: the target 'not-an-address' is not valid: "));
  EXPECT_THAT(csv_problems("b@a..b,b@t.example\n"),
              StartsWith("users.csv:1:1: error: the address 'b@a..b' "));
  EXPECT_THAT(csv_problems("b@[192.0.2.1],b@t.example\n"), HasSubstr("address literal"));
  EXPECT_THAT(csv_problems("b@corp.example,b@[192.0.2.1]\n"), HasSubstr("users.csv:1:16: error"));
}

TEST(Csv, DropsTheProxyAddressPrefixOfExchange) {
  const auto table = good("smtp:b@corp.example,SMTP:b@t.example\n");
  EXPECT_EQ(target_of(*table, "b@corp.example"), "b@t.example");
}

TEST(Csv, RecognisesAnExchangeExport) {
  EXPECT_THAT(
      csv_problems("\"Name\",\"PrimarySmtpAddress\",\"ExternalEmailAddress\"\n\"Bob\",\"b@c."
                   "example\",\"x\"\n"),
      HasSubstr(
          "users.csv:1:8: error: this is an Exchange export, not a routing table; make one with "
          "Get-MailUser"));
}

TEST(Csv, RefusesControlCharactersInWaves) {
  EXPECT_THAT(csv_problems("b@corp.example,b@t.example,active,\"a\x1b[2J\"\n"),
              HasSubstr("control character"));
  EXPECT_THAT(csv_problems("b@corp.example,b@t.example,active," + std::string(65, 'w') + "\n"),
              HasSubstr("64 octets"));
}

TEST(Csv, KeepsCountWhenThereAreTooManyProblems) {
  std::string content;
  for (int i = 0; i < 1500; ++i) content += "bad" + std::to_string(i) + "\n";
  TableBuilder builder;
  builder.add_csv("users.csv", content);
  builder.build();
  ASSERT_EQ(builder.problems().size(), 1001u);
  EXPECT_THAT(builder.problems().back().message, HasSubstr("500 more"));
  EXPECT_TRUE(builder.has_errors());
}

TEST(Csv, AnErrorPushesAWarningOutWhenThereAreTooManyProblems) {
  std::string content;
  for (int i = 0; i < 1100; ++i) content += "b@corp.example,b@t.example\n";
  content += "bad,b@t.example\n";
  TableBuilder builder;
  builder.add_csv("users.csv", content);
  builder.build();
  EXPECT_TRUE(builder.has_errors());
  EXPECT_TRUE(
      std::any_of(builder.problems().begin(), builder.problems().end(),
                  [](const Problem& problem) { return problem.error && problem.line == 1101; }));
}

}  // namespace
}  // namespace waypost::routing
