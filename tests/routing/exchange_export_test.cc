// Export-Csv of Exchange's recipients, in the forms that shells and spreadsheets give it.
#include "exports_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kHeader =
    "PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses,RecipientTypeDetails\n";

ExchangeExport read(std::string_view content) { return read_exchange_export("users.csv", content); }
ExchangeExport read_rows(const std::string& rows) { return read(std::string(kHeader) + rows); }
std::string problems(std::string_view content) { return lines_of(read(content).problems); }
std::string row_problems(const std::string& rows) { return lines_of(read_rows(rows).problems); }

/// The addresses of one recipient whose EmailAddresses cell holds this.
std::vector<std::string> addresses_of(std::string_view cell) {
  std::string quoted;
  for (const char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  const auto got = read_rows("p@c.example,t@o.example,\"" + quoted + "\",MailUser\n");
  EXPECT_EQ(got.recipients.size(), 1u) << lines_of(got.problems);
  return got.recipients.empty() ? std::vector<std::string>() : got.recipients[0].addresses;
}

TEST(ExchangeExport, ReadsTheSample) {
  const auto got = read_exchange_export("mailusers.csv", sample("exchange-mailusers.csv"));
  EXPECT_EQ(lines_of(got.problems), "");
  ASSERT_EQ(got.recipients.size(), 26u);
  const auto& elodie = got.recipients[4];
  EXPECT_EQ(elodie.display_name, "Élodie Evans");
  EXPECT_EQ(elodie.alias, "elodie.evans");
  EXPECT_EQ(elodie.primary, "elodie.evans@corp.example");
  EXPECT_EQ(elodie.external, "elodie.evans@orgname.awsapps.com");
  EXPECT_THAT(elodie.addresses, ElementsAre("elodie.evans@corp.example", "elodie@corp.example",
                                            "elodie.evans@old-corp.example"));
  EXPECT_THAT(elodie.x500, ElementsAre("/o=Corp/ou=Exchange Administrative Group "
                                       "(FYDIBOHF23SPDLT)/cn=Recipients/cn=elodie.evans"));
  EXPECT_EQ(elodie.type, "MailUser");
  EXPECT_EQ(elodie.place.to_string(), "mailusers.csv:6");
  EXPECT_FALSE(elodie.state);
}

TEST(ExchangeExport, ReadsTheSameFromUtf16WithTypeLineAndBlanksBetweenAddresses) {
  const auto plain = read_exchange_export("a", sample("exchange-mailusers.csv"));
  const auto got = read_exchange_export("b", sample("exchange-mailusers-powershell5-utf16.csv"));
  EXPECT_EQ(lines_of(got.problems), "");
  ASSERT_EQ(got.recipients.size(), plain.recipients.size());
  for (std::size_t i = 0; i < got.recipients.size(); ++i) {
    EXPECT_EQ(got.recipients[i].primary, plain.recipients[i].primary);
    EXPECT_EQ(got.recipients[i].external, plain.recipients[i].external);
    EXPECT_EQ(got.recipients[i].addresses, plain.recipients[i].addresses);
    EXPECT_EQ(got.recipients[i].x500, plain.recipients[i].x500);
    EXPECT_EQ(got.recipients[i].place.line, plain.recipients[i].place.line + 1) << "#TYPE";
  }
}

TEST(ExchangeExport, RefusesUnexpandedListsOnceAndSaysWhichExpressionMendsIt) {
  const auto got = read_exchange_export("u.csv", sample("exchange-mailusers-unexpanded.csv"));
  EXPECT_THAT(got.recipients, IsEmpty());
  ASSERT_EQ(got.problems.size(), 1u);
  EXPECT_EQ(
      got.problems[0].to_string(),
      "u.csv:2:103: error: EmailAddresses holds the .NET type name "
      "'Microsoft.Exchange.Data.ProxyAddressCollection' instead of the data, because Export-Csv "
      "does not write lists out; export again with: Get-MailUser -ResultSize Unlimited | "
      "Select-Object DisplayName,Alias,PrimarySmtpAddress,ExternalEmailAddress,"
      "RecipientTypeDetails,@{n='EmailAddresses';e={$_.EmailAddresses -join ';'}} | Export-Csv "
      "-NoTypeInformation -Encoding UTF8 mailusers.csv");
}

TEST(ExchangeExport, KnowsTypeNamesAndCutLists) {
  for (const std::string cell :
       {"System.Object[]", "System.String[]", "System.Collections.ArrayList",
        "Deserialized.Microsoft.Exchange.Data.ProxyAddressCollection",
        "System.Collections.Generic.List`1[System.String]",
        "Microsoft.Exchange.Data.MultiValuedProperty`1[System.String]",
        "{SMTP:p@c.example smtp:q@c.example...}", "{SMTP:p@c.example\u2026}",
        "{SMTP:p@c.example smtp:q@c.exam",
        // Joined, and then cut or not written out.
        "SMTP:p@c.example;smtp:q@c.example...", "SMTP:p@c.example;smtp:q@c.ex...",
        "SMTP:p@c.example;...", "SMTP:p@c.example; ... ", "SMTP:p@c.example;\u2026",
        "SMTP:p@c.example;smtp:q@c.example\u2026", "SMTP:p@c.example;smtp:q@c.example\u2026;",
        "SMTP:p@c.example;...;smtp:q@c.example", "SMTP:p@c.example;X500:/o=Corp/cn=p...",
        "Microsoft.Exchange.Data.ProxyAddressCollection;smtp:q@c.example",
        "SMTP:p@c.example;System.Object[]"}) {
    const auto got = read_rows("p@c.example,t@o.example,\"" + cell + "\",MailUser\n");
    ASSERT_EQ(got.problems.size(), 1u) << cell;
    EXPECT_THAT(
        got.problems[0].to_string(),
        AllOf(StartsWith("users.csv:2:25: error: EmailAddresses holds"), HasSubstr("-join ';'")));
    EXPECT_THAT(got.recipients, IsEmpty());
  }
  EXPECT_THAT(addresses_of("{SMTP:p@c.example, smtp:q@c.example}"),
              ElementsAre("p@c.example", "q@c.example"))
      << "a whole list in braces is whole";
  EXPECT_THAT(addresses_of("SMTP:p@c.example;X500:/o=Corp.../cn=p;System.Q@c.example;"),
              ElementsAre("p@c.example", "System.Q@c.example"))
      << "dots and points inside of a value are its own";
  EXPECT_THAT(addresses_of("System.Info@c.example"),
              ElementsAre("p@c.example", "System.Info@c.example"));
  EXPECT_THAT(problems("ClassId2e4f51ef21dd47e99d3c952918aff9cd,pageHeaderEntry\nx,y\n"),
              HasSubstr("Format-Table"));
}

TEST(ExchangeExport, SplitsAddressesJoinedByAnything) {
  for (const std::string_view joint : {";", ",", " ", "; ", ", ", "\n", "\r\n", " ;, "}) {
    const auto j = std::string(joint);
    EXPECT_THAT(addresses_of("SMTP:p@c.example" + j + "smtp:q@c.example" + j + "r@c.example" + j),
                ElementsAre("p@c.example", "q@c.example", "r@c.example"))
        << joint;
  }
  EXPECT_THAT(addresses_of("Smtp:Q@C.example;sMtP:q@c.EXAMPLE;P@c.example"),
              ElementsAre("p@c.example", "Q@C.example"))
      << "no address twice, whatever its letter case";
  EXPECT_THAT(addresses_of("smtp:\"a b;c\"@c.example;smtp:q@c.example"),
              ElementsAre("p@c.example", "\"a b;c\"@c.example", "q@c.example"));
  EXPECT_THAT(addresses_of("smtp:o'brien@c.example"),
              ElementsAre("p@c.example", "o'brien@c.example"));
}

TEST(ExchangeExport, LeavesX400AndX500WholeAndOutOfTheMailAddresses) {
  const std::string x400 = "X400:C=US;A= ;P=Corp, Inc;O=Exchange;DDA:SMTP=b(a)x.example;S=B@x.y;";
  const std::string x500 = "x500:/o=Corp; Inc/ou=Group (A, B)/cn=Room 5: left, b=c@d.example";
  for (const std::string joint : {";", ",", " "}) {
    const auto got =
        read_rows("p@c.example,t@o.example,\"" + x400 + joint + "smtp:q@c.example" + joint + x500 +
                  joint + "SMTP:p@c.example" + joint + x500 + joint + "r@c.example\",MailUser\n");
    ASSERT_EQ(got.recipients.size(), 1u);
    EXPECT_EQ(lines_of(got.problems), "");
    EXPECT_THAT(got.recipients[0].addresses,
                ElementsAre("p@c.example", "q@c.example", "r@c.example"));
    EXPECT_THAT(got.recipients[0].x500, ElementsAre(x500.substr(5), x500.substr(5)));
  }
  EXPECT_THAT(addresses_of("EUM:1234;phone-context=x.corp.example;SIP:p@c.example;SPO:SPO_a@SPO_b;"
                           "smtp:q@c.example"),
              ElementsAre("p@c.example", "q@c.example"));
}

TEST(ExchangeExport, TellsWhatIsNoAddress) {
  EXPECT_EQ(row_problems("p@c.example,t@o.example,smtp:q@c.example;smtp:bad;word,MailUser\n"),
            "users.csv:2:25: warning: 'bad' in EmailAddresses of 'p@c.example' is no mail address "
            "and is left out\n"
            "users.csv:2:25: warning: 'word' in EmailAddresses of 'p@c.example' is no mail address "
            "and is left out\n");
  EXPECT_THAT(row_problems("p@-.example,t@o.example,,MailUser\n"),
              HasSubstr("the PrimarySmtpAddress 'p@-.example' is no mail address"));
  EXPECT_EQ(row_problems("p@,t@o.example,,MailUser\n"),
            "users.csv:2:1: error: the PrimarySmtpAddress 'p@' is no mail address\n");
  EXPECT_EQ(row_problems("p@c.example,SMTP:t,,MailUser\n"),
            "users.csv:2:13: error: the ExternalEmailAddress 'SMTP:t' is no mail address\n");
  EXPECT_EQ(row_problems("p@c.example,X400:c=US,,MailUser\n"),
            "users.csv:2:13: warning: the ExternalEmailAddress 'X400:c=US' is not of type SMTP and "
            "is left out\n");
  EXPECT_EQ(row_problems(",t@o.example,,MailUser\n"),
            "users.csv:2:1: warning: this row has no PrimarySmtpAddress and is left out\n");
  EXPECT_THAT(row_problems("p@c.example,,,MailUser\n"),
              HasSubstr("users.csv:2:13: warning: the mail user 'p@c.example' has no "
                        "ExternalEmailAddress"));
  EXPECT_EQ(row_problems("p@c.example,,,UserMailbox\n"), "") << "a mailbox needs none";
}

TEST(ExchangeExport, TakesTheTargetWithAnyPrefixOrNone) {
  for (const std::string prefix : {"SMTP:", "smtp:", "Smtp:", "", " smtp: "}) {
    const auto got = read_rows("SMTP:p@c.example," + prefix + "t@o.example,,MailUser\n");
    ASSERT_EQ(got.recipients.size(), 1u) << prefix << lines_of(got.problems);
    EXPECT_EQ(got.recipients[0].external, "t@o.example");
    EXPECT_EQ(got.recipients[0].primary, "p@c.example");
  }
}

TEST(ExchangeExport, TakesColumnsInAnyOrderCaseAndSeparator) {
  for (const char separator : {',', ';', '\t'}) {
    std::string content =
        "#TYPE Selected.System.Management.Automation.PSCustomObject\r\n"
        "emailaddresses|STATE|External Email Address|Extra|primary_smtp_address|wave|Name\r\n"
        "\"smtp:q@c.example\"|Rolled Back|t@o.example|x|p@c.example|pilot|\"Baker| Bob\"\r\n";
    std::replace(content.begin(), content.end(), '|', separator);
    const auto got = read("\xEF\xBB\xBF" + content);
    ASSERT_EQ(got.recipients.size(), 1u) << lines_of(got.problems);
    const auto& one = got.recipients[0];
    EXPECT_THAT(one.addresses, ElementsAre("p@c.example", "q@c.example"));
    EXPECT_EQ(one.external, "t@o.example");
    EXPECT_EQ(one.wave, "pilot");
    EXPECT_EQ(one.state, EntryState::rolled_back);
    EXPECT_EQ(one.display_name, std::string("Baker") + separator + " Bob");
    EXPECT_EQ(one.place.line, 3u);
  }
  const auto excel = read(
      "sep=;\nPrimarySmtpAddress;ExternalEmailAddress;EmailAddresses\n"
      "p@c.example;t@o.example;\n");
  EXPECT_EQ(excel.recipients.size(), 1u) << lines_of(excel.problems);
}

TEST(ExchangeExport, ReadsUtf16OfEitherEnd) {
  const auto content = std::string(kHeader) + "p@c.example,t@o.example,,MailUser\r\n";
  for (const bool little : {true, false})
    for (const bool bom : {true, false})
      EXPECT_EQ(read(utf16(content, little, bom)).recipients.size(), 1u) << little << bom;
  EXPECT_THAT(problems(utf16(content, true) + "x"), HasSubstr("cut off"));
}

TEST(ExchangeExport, NamesTheMissingColumnAndWhatWasMeant) {
  EXPECT_THAT(problems("Name,PrimarySMTPAdress,ExternalEmailAddress,EmailAddresses\n"),
              StartsWith("users.csv:1:6: error: the header row has no column "
                         "'PrimarySmtpAddress'; did you mean it with 'PrimarySMTPAdress'?"));
  EXPECT_THAT(problems("PrimarySmtpAddress,ExternalEmailAddress\n"),
              AllOf(StartsWith("users.csv:1:1: error: the header row has no column "
                               "'EmailAddresses'"),
                    HasSubstr("Select-Object")));
  EXPECT_THAT(problems("PrimarySmtpAddress,EmailAddresses\np@c.example,\n"),
              HasSubstr("no column 'ExternalEmailAddress'"));
  EXPECT_THAT(problems("PrimarySmtpAddress,EmailAddresses,RecipientTypeDetails\n"
                       "p@c.example,,MailUser\nq@c.example,,MailUser\n"),
              AllOf(StartsWith("users.csv:2:1: error: this row is no mailbox but 'MailUser'"),
                    Not(HasSubstr("users.csv:3"))));
  EXPECT_EQ(problems("PrimarySmtpAddress,EmailAddresses,RecipientTypeDetails\n"
                     "p@c.example,,UserMailbox\nq@c.example,,SharedMailbox\n"),
            "");
  EXPECT_THAT(problems("bob@corp.example,bob@orgname.awsapps.com\n"),
              HasSubstr("the first row is no header row"));
  EXPECT_THAT(problems("PrimarySmtpAddress,EmailAddresses,primarysmtpaddress\n"),
              HasSubstr("users.csv:1:35: error: column 'PrimarySmtpAddress' is there twice"));
}

TEST(ExchangeExport, TellsEmptyFilesAndHeadersAlone) {
  for (const std::string content : {"", "\n\n", "\xEF\xBB\xBF", "#TYPE x\n"})
    EXPECT_THAT(problems(content), StartsWith("users.csv:1:1: error: the file is empty"));
  EXPECT_EQ(problems(kHeader), "users.csv:1:1: warning: there is nobody below the header row\n");
}

TEST(ExchangeExport, WarnsAtExactlyOneThousandRows) {
  std::string rows;
  for (int i = 0; i < 1000; ++i) {
    if (i == 999) {
      EXPECT_EQ(row_problems(rows), "");
    }
    const auto n = std::to_string(i);
    rows += "p" + n + "@c.example,t" + n + "@o.example,,MailUser\n";
  }
  EXPECT_EQ(row_problems(rows),
            "users.csv:1001:1: warning: the file has exactly 1,000 rows, where Get-MailUser stops "
            "by itself; export it again with -ResultSize Unlimited\n");
  EXPECT_EQ(row_problems(rows + "p@c.example,t@o.example,,MailUser\n"), "");
}

TEST(ExchangeExport, TellsPrimariesThatAreThereTwice) {
  const std::string one = "p@c.example,t@o.example,,MailUser\n";
  EXPECT_EQ(row_problems(one + "P@C.example,SMTP:T@o.example,,MailUser\n"),
            "users.csv:3:1: warning: 'P@C.example' is already at users.csv:2; this row is left "
            "out\n");
  EXPECT_EQ(row_problems(one + "P@C.example,u@o.example,,MailUser\n"),
            "users.csv:3:1: error: 'P@C.example' is already at users.csv:2 with the "
            "ExternalEmailAddress 't@o.example'; keep one of the two\n");
}

TEST(ExchangeExport, TellsWrongStatesWavesAndWidths) {
  const std::string header = "PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses,State,Wave\n";
  EXPECT_EQ(problems(header + "p@c.example,t@o.example,,actve,\n"),
            "users.csv:2:26: error: unknown state 'actve'; did you mean 'active'?\n");
  EXPECT_THAT(problems(header + "p@c.example,t@o.example,,," + std::string(65, 'w') + "\n"),
              HasSubstr("longer than 64 octets"));
  EXPECT_THAT(problems(header + "p@c.example,t@o.example,,,\"a\x01\"\n"),
              HasSubstr("control character"));
  EXPECT_THAT(problems(header + "p@c.example,t@o.example\n"),
              HasSubstr("the row has 2 columns, the header row 5"));
  EXPECT_THAT(problems(header + "p@c.example,t@o.example,,,,,\n"),
              HasSubstr("users.csv:2:28: error: the row has 7 columns"));
}

TEST(ExchangeExport, TellsWhereAFileIsNotText) {
  EXPECT_EQ(row_problems("p@c.example,t@o.example,caf\xE9,MailUser\n"),
            "users.csv:2:28: error: the file is not UTF-8 (octet 233 here); export it again with "
            "-Encoding UTF8\n");
  EXPECT_THAT(row_problems(std::string("p@c.example\0,,,\n", 16)), HasSubstr("NUL"));
  EXPECT_THAT(row_problems("\"p@c.example,t@o.example,,MailUser\n"), HasSubstr("never closed"));
}

TEST(ExchangeExport, KeepsTheListOfProblemsShort) {
  std::string rows;
  for (int i = 0; i < 5000; ++i) rows += "p@c.example,bad,,MailUser\n";
  const auto got = read_rows(rows + "q@c.example,t@o.example,word,MailUser\n");
  EXPECT_LE(got.problems.size(), 402u);
  EXPECT_TRUE(got.problems.front().error);
  EXPECT_THAT(got.problems.back().message, HasSubstr("4801 more problems"));
}

TEST(ExchangeExport, TakesALongCellInLinearTime) {
  std::string cell = "X500:/o=Corp";
  for (int i = 0; i < 300'000; ++i) cell += " ;x:";
  EXPECT_THAT(addresses_of(cell + ";smtp:q@c.example"), ElementsAre("p@c.example", "q@c.example"));
}

TEST(ExchangeExport, ValuesOfOtherTypesKeepWhatJoinsTheList) {
  const auto quiet = [](const std::string& cell) {
    return row_problems("p@c.example,t@o.example,\"" + cell + "\",MailUser\n");
  };
  for (const char* cell :
       {"SMTP:p@c.example;EUM:1234;phone-context=dp.corp.example",
        "EUM:1234;phone-context=dp.corp.example;SMTP:p@c.example;smtp:q@c.example",
        "eum:p@c.example;phone-context=dp.corp.example SMTP:p@c.example",
        "SIP:p@c.example;transport=tls;SMTP:p@c.example",
        "NOTES:Ann Baker/Corp@CORP;SMTP:p@c.example", "cc:Ann Baker at PO1;SMTP:p@c.example"})
    EXPECT_EQ(quiet(cell), "") << cell;
  EXPECT_THAT(addresses_of("EUM:1234;phone-context=dp.c.example;SMTP:p@c.example;smtp:q@c.example"),
              ElementsAre("p@c.example", "q@c.example"));
}

TEST(ExchangeExport, AddressesThatAreJoinedOtherwiseAreAnErrorBecauseTheyWouldBeLost) {
  EXPECT_THAT(
      row_problems("p@c.example,t@o.example,SMTP:p@c.example|smtp:q@c.example,MailUser\n"),
      HasSubstr("users.csv:2:25: error: 'p@c.example|smtp:q@c.example' in EmailAddresses of "
                "'p@c.example' seems to be several addresses that are joined by '|'; join them by "
                "';'"));
  EXPECT_THAT(row_problems("p@c.example,t@o.example,SMTP:p@c.example/q@c.example,MailUser\n"),
              HasSubstr("joined by '/'"));
  EXPECT_THAT(
      row_problems("p@c.example,t@o.example,SMTP:p@c.example;smtp:q@c.example+r@c.example,X\n"),
      HasSubstr("error"));
  EXPECT_THAT(row_problems("p@c.example,t@o.example,nobody,MailUser\n"),
              HasSubstr("error: no address in EmailAddresses of 'p@c.example' can be read"));
  EXPECT_THAT(row_problems("p@c.example,t@o.example,SMTP:p@c.example;smtp:odd,MailUser\n"),
              AllOf(HasSubstr("warning"), Not(HasSubstr("error"))));
}

TEST(ExchangeExport, NamesTheColumnOfRemoteMailboxes) {
  EXPECT_THAT(problems("PrimarySmtpAddress,RemoteRoutingAddress,EmailAddresses,"
                       "RecipientTypeDetails\na@c.example,SMTP:a@t.example,SMTP:a@c.example,"
                       "RemoteUserMailbox\n"),
              AllOf(HasSubstr("users.csv:1:20: error: this is an export of remote mailboxes"),
                    HasSubstr("'RemoteRoutingAddress'"), HasSubstr("ExternalEmailAddress")));
}

}  // namespace
}  // namespace waypost::routing
