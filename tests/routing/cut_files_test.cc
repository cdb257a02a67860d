// Files that somebody is still writing, or that were cut off: never taken for whole.
#include "routing/exports_fixture.h"
#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kCut = "error: the file ends in the middle of a line: still being";

std::string member_problems(std::string_view content) {
  TableBuilder builder;
  builder.add_members("w1", "w1.txt", content);
  builder.add_csv("t.csv", "ann@corp.example,ann@t.example\nbob@corp.example,bob@t.example\n");
  builder.build();
  std::string out;
  for (const auto& problem : builder.problems()) out += problem.to_string() + "\n";
  return out;
}

TEST(CutFiles, ATableIsRefusedWhereverItsLastRowEnds) {
  const std::string whole =
      "address,target,state,wave\nann@corp.example,ann@t.example,rolled_back,\n"
      "eve@corp.example,eve@t.example,,wave-12\n";
  ASSERT_EQ(csv_problems(whole), "");
  const auto last = whole.find("eve@t.example");
  for (auto size = last; size < whole.size(); ++size)
    EXPECT_THAT(csv_problems(whole.substr(0, size)),
                StartsWith("users.csv:3:1: " + std::string(kCut)))
        << whole.substr(0, size);
  EXPECT_THAT(csv_problems("eve@corp.example,eve@t.example,,wave-1"), HasSubstr(kCut))
      << "without a header row";
  EXPECT_THAT(csv_problems("eve@corp.example,eve@t.example,,wave-12\r"), HasSubstr("CR"));
  EXPECT_THAT(csv_problems("a@corp.example,a@t.example\r\neve@corp.example,eve@t.example\r"),
              HasSubstr(kCut));
  EXPECT_THAT(csv_problems("eve@corp.example,eve@t.example\n# the en"), HasSubstr(kCut));
  EXPECT_EQ(csv_problems(""), "");
}

TEST(CutFiles, ARowShorterThanItsHeaderIsAnErrorAlsoInTheMiddle) {
  const std::string header = "address,target,state,wave\n";
  EXPECT_EQ(csv_problems(header + "eve@corp.example,eve@t.example\n"),
            "users.csv:2:18: error: the row has 2 columns, the header row 4; was it cut off? What "
            "is empty needs its separator too\n");
  EXPECT_THAT(csv_problems(header + "eve@corp.example,eve@t.example,\nbob@corp.example,b@t.example,"
                                    ",\n"),
              StartsWith("users.csv:2:32: error: the row has 3 columns, the header row 4"));
  EXPECT_EQ(csv_problems("wave,address,target\n,eve@corp.example,eve@t.example\n"), "");
  EXPECT_THAT(csv_problems("wave;address;target;state\n;eve@corp.example;eve@t.example\n"),
              HasSubstr("the row has 3 columns, the header row 4"));
}

TEST(CutFiles, AlsoAsUtf16) {
  const std::string whole = "address,target,wave\r\neve@corp.example,eve@t.example,wave-12\r\n";
  EXPECT_EQ(csv_problems(utf16(whole, true)), "");
  EXPECT_THAT(csv_problems(utf16(whole.substr(0, whole.size() - 3), true)), HasSubstr(kCut));
}

TEST(CutFiles, MembersFilesToo) {
  EXPECT_EQ(member_problems("ann@corp.example\nbob@corp.example\n"), "");
  EXPECT_THAT(member_problems("ann@corp.example\nbob@corp.example"),
              StartsWith("w1.txt:2:1: " + std::string(kCut)));
  EXPECT_THAT(member_problems("ann@corp.example\nbob@corp.exam"), HasSubstr(kCut));
  for (const std::string nobody : {"", "\n", "# wave 1\n\n", "\xEF\xBB\xBF"})
    EXPECT_EQ(member_problems(nobody),
              "w1.txt:1:1: error: nobody is in this members file of wave 'w1': still being "
              "written? Write its members, or remove 'members' of this wave\n")
        << nobody;
}

TEST(CutFiles, ExportsOfExchangeToo) {
  const std::string whole =
      "PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses,Wave\r\n"
      "eve@c.example,SMTP:eve@t.example,SMTP:eve@c.example;smtp:e@c.example,wave-12\r\n";
  EXPECT_EQ(lines_of(read_exchange_export("e.csv", whole).problems), "");
  for (const std::size_t less : {1u, 2u, 3u, 9u, 10u, 20u})
    EXPECT_THAT(
        lines_of(read_exchange_export("e.csv", whole.substr(0, whole.size() - less)).problems),
        HasSubstr("e.csv:2:1: " + std::string(kCut)))
        << less;
}

TEST(CutFiles, LinesThatEndWithCrAloneAreNamed) {
  const auto* const words = "1:1: error: the lines end with CR alone, as programs of the old Mac";
  EXPECT_THAT(csv_problems("address,target\ra@c.example,a@t.example\r"), HasSubstr(words));
  EXPECT_THAT(csv_problems("\"address\",\"target\"\r\"a@c.example\",\"a@t.example\"\r"),
              HasSubstr(words));
  EXPECT_THAT(member_problems("ann@corp.example\rbob@corp.example\r"), HasSubstr(words));
  EXPECT_THAT(
      lines_of(
          read_exchange_export("e.csv", "\"PrimarySmtpAddress\",\"X\"\r\"a\",\"b\"\r").problems),
      HasSubstr(words));
}

TEST(CutFiles, AMisspeltColumnIsAnErrorBecauseItsWordsWouldBeLost) {
  EXPECT_EQ(
      csv_problems("address,target,status,wawe\nb@corp.example,b@t.example,pending,w1\n"),
      "users.csv:1:16: error: column 'status' is not known; did you mean 'state'? Correct it, "
      "or give it another name if it is none of ours\n");
  EXPECT_THAT(csv_problems("address,target,state,wawe\nb@corp.example,b@t.example,,w1\n"),
              HasSubstr("users.csv:1:22: error: column 'wawe' is not known; did you mean 'wave'?"));
  EXPECT_THAT(csv_problems("address,target,wave\xE2\x80\x8B\nb@corp.example,b@t.example,w1\n"),
              HasSubstr("error: column 'wave\\u200b' is not known; did you mean 'wave'?"));
  const auto exchange = [](const std::string& column) {
    return lines_of(read_exchange_export(
                        "e.csv", "PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses," +
                                     column + "\na@c.example,a@t.example,SMTP:a@c.example,w1\n")
                        .problems);
  };
  EXPECT_THAT(exchange("Wawe"), HasSubstr("e.csv:1:56: error: column 'Wawe' is not known; did you "
                                          "mean 'Wave'?"));
  EXPECT_THAT(exchange("Staet"), HasSubstr("did you mean 'State'?"));
  for (const auto* column : {"MigrationWave", "Wave Name", "wave_no"})
    EXPECT_THAT(exchange(column), HasSubstr("did you mean 'Wave'?")) << column;
  for (const auto* column : {"NewState", "Mailbox State", "MigrationState"})
    EXPECT_THAT(exchange(column), HasSubstr("did you mean 'State'?")) << column;
  for (const auto* column : {"StateOrProvince", "ObjectState", "ArchiveState"})
    EXPECT_EQ(exchange(column), "") << column;
  EXPECT_EQ(exchange("Office"), "");
}

TEST(CutFiles, ASnapshotThatWasCutIsNotReadAsATable) {
  TemporaryFolder folder;
  auto options = migration({});
  auto& source = options.sources[0];
  source.kind = TableSource::Kind::directory;
  source.directory = "ad";
  source.paths = {folder.write("ad.csv",
                               "# waypost directory snapshot 1\naddress,target,state,wave,guid,dn\n"
                               "bob@corp.example,bob@orgname.awsapps.com,,,6f0c,CN=Bob\n")};
  std::vector<Problem> problems;
  EXPECT_FALSE(Router::load(options, problems));
  EXPECT_THAT(lines_of(problems),
              HasSubstr("/ad.csv: error: the snapshot of the directory 'ad' can't be used: its "
                        "checksum is wrong; the next synchronisation writes it anew"));
}

}  // namespace
}  // namespace waypost::routing
