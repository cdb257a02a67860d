// What reconcile finds between two exports and a table, and the lines it proposes.
#include "waypost/routing/reconcile.h"

#include "exports_fixture.h"
#include "routing_fixture.h"

#include <gmock/gmock.h>

#include <map>

namespace waypost::routing {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

ExchangeRecipient recipient(std::string primary, std::string external = {},
                            std::string type = "MailUser", std::vector<std::string> more = {}) {
  static std::uint32_t line = 1;
  ExchangeRecipient out;
  out.display_name = "Mx " + primary.substr(0, primary.find('@'));
  out.addresses = {primary};
  out.addresses.insert(out.addresses.end(), more.begin(), more.end());
  out.primary = std::move(primary);
  out.external = std::move(external);
  out.type = std::move(type);
  out.place = {"users.csv", ++line};
  return out;
}

WorkMailEntity workmail_user(std::string id, std::string email, std::string state = "ENABLED",
                             std::string role = "USER", std::vector<std::string> aliases = {}) {
  WorkMailEntity out;
  out.id = std::move(id);
  out.name = email.substr(0, email.find('@'));
  out.display_name = "Mx " + out.name;
  out.email = std::move(email);
  out.state = std::move(state);
  out.role = std::move(role);
  out.aliases_known = !aliases.empty();
  out.aliases = std::move(aliases);
  out.place = {"workmail.json", 7};
  return out;
}

/// One world: what both sides export, and what the table says.
struct World {
  std::vector<ExchangeRecipient> exchange;
  std::vector<WorkMailEntity> workmail;
  std::vector<Entry> table;
  Options more = migration({});
  ReconcileOptions options = {"m-1", {}, {}};

  Reconciliation run() const {
    auto with_table = more;
    with_table.sources.front().entries = table;
    return reconcile({exchange, {}}, {workmail, {}}, *router_of(with_table), options);
  }
  /// "kind person" of each finding.
  std::vector<std::string> kinds() const {
    std::vector<std::string> out;
    for (const auto& finding : run().findings)
      out.push_back(std::string(to_string(finding.kind)) + " " + finding.person);
    return out;
  }
  Finding only() const {
    const auto got = run();
    EXPECT_EQ(got.findings.size(), 1u);
    return got.findings.empty() ? Finding{} : got.findings.front();
  }
};

const std::string kBob = "bob@corp.example", kBobThere = "bob@orgname.awsapps.com";

World bob_is_well() {
  return {{recipient(kBob, kBobThere)},
          {workmail_user("S-1", kBobThere, "ENABLED", "USER", {kBobThere, kBob})},
          {entry(kBob, kBobThere)}};
}

TEST(Reconcile, FindsNothingWhereAllAgree) {
  const auto got = bob_is_well().run();
  EXPECT_THAT(got.findings, IsEmpty());
  EXPECT_EQ(lines_of(got.notes), "");
  EXPECT_EQ(got.people, 1u);
  EXPECT_EQ(got.entities, 1u);
  EXPECT_EQ(got.targets, 1u);
}

TEST(Reconcile, LetterCaseAndIdnMakeNoDifference) {
  auto world = bob_is_well();
  world.exchange[0].external = "BOB@OrgName.AwsApps.com";
  world.exchange[0].primary = world.exchange[0].addresses[0] = "Bob@CORP.example";
  world.workmail[0].email = "boB@orgname.awsapps.COM";
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, RoutedWithoutAnyUser) {
  auto world = bob_is_well();
  world.workmail.clear();
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::no_workmail_user);
  EXPECT_EQ(found.person, kBob);
  EXPECT_EQ(found.details,
            "is routed to 'bob@orgname.awsapps.com' (active), but WorkMail has no such user");
  ASSERT_EQ(found.places.size(), 1u);
  EXPECT_EQ(found.places[0].to_string(), "table.csv:1");
  EXPECT_EQ(found.mend.where, Mend::Where::aws);
  EXPECT_EQ(found.mend.line,
            "aws workmail register-to-work-mail --organization-id m-1 --entity-id \"$(aws workmail "
            "create-user --organization-id m-1 --name bob --display-name 'Mx bob' --query UserId "
            "--output text)\" --email bob@orgname.awsapps.com");
}

TEST(Reconcile, EveryEntryToTheSameTargetIsOnePerson) {
  auto world = bob_is_well();
  world.workmail.clear();
  world.exchange[0].addresses.push_back("robert@corp.example");
  world.table.insert(world.table.begin(), entry("robert@corp.example", kBobThere));
  EXPECT_THAT(world.kinds(), ElementsAre("no_workmail_user " + kBob));
}

TEST(Reconcile, RoutedToWhoCannotReceive) {
  const std::map<std::pair<std::string, std::string>, std::string> expected = {
      {{"DISABLED", "USER"}, "workmail_disabled"},
      {{"DELETED", "USER"}, "workmail_deleted"},
      {{"ENABLED", "SYSTEM_USER"}, "workmail_not_a_mailbox"},
      {{"ENABLED", "REMOTE_USER"}, "workmail_not_a_mailbox"},
      {{"PAUSED", "USER"}, "no_workmail_user"}};
  for (const auto& [words, kind] : expected) {
    auto world = bob_is_well();
    world.workmail[0].state = words.first;
    world.workmail[0].role = words.second;
    const auto found = world.only();
    EXPECT_EQ(to_string(found.kind), kind) << words.first << words.second;
    EXPECT_THAT(found.details, HasSubstr("'Mx bob' (S-1, bob@orgname.awsapps.com)"));
    EXPECT_EQ(found.places.size(), 2u);
  }
  auto world = bob_is_well();
  world.workmail[0].state = "DISABLED";
  EXPECT_EQ(world.only().mend.line,
            "aws workmail register-to-work-mail --organization-id m-1 --entity-id S-1 --email "
            "bob@orgname.awsapps.com");
  world.workmail[0].state = "DELETED";
  EXPECT_THAT(world.only().mend.line, HasSubstr("create-user"));
  world.workmail[0].role = "SYSTEM_USER";
  EXPECT_EQ(world.only().mend.where, Mend::Where::nowhere);
}

TEST(Reconcile, AUsableUserWithTheAddressCountsBeforeADeletedOne) {
  auto world = bob_is_well();
  world.workmail.insert(world.workmail.begin(), workmail_user("S-0", kBobThere, "DELETED"));
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, AnEnabledUserWithoutEmailIsToBeLookedAt) {
  auto world = bob_is_well();
  world.workmail[0].email.clear();
  world.workmail[0].aliases.clear();
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::no_workmail_user);
  EXPECT_THAT(found.details, AllOf(HasSubstr("by the same local part that is WorkMail's"),
                                   HasSubstr("shows no Email")));
  EXPECT_EQ(found.mend.line, "aws workmail describe-user --organization-id m-1 --user-id S-1");
}

TEST(Reconcile, ProposesAnAliasWhereTheUserHasAnotherAddress) {
  auto world = bob_is_well();
  world.workmail[0].email = "bob@corp.example";
  world.workmail[0].aliases = {"bob@corp.example"};
  auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::no_workmail_user);
  EXPECT_THAT(found.details, AllOf(HasSubstr("which WorkMail does not have; by an address of both "
                                             "it is probably 'Mx bob' (S-1, bob@corp.example)"),
                                   Not(HasSubstr("--aliases"))));
  EXPECT_EQ(found.mend.line,
            "aws workmail create-alias --organization-id m-1 --entity-id S-1 --alias "
            "bob@orgname.awsapps.com");
  world.workmail[0].aliases_known = false;
  EXPECT_THAT(world.only().details, HasSubstr("aliases are not known"));
}

TEST(Reconcile, SaysHowPeopleWereMatched) {
  auto world = bob_is_well();
  auto by = [&] {
    for (const auto& finding : world.run().findings)
      if (finding.kind == FindingKind::alias_missing_in_workmail) return finding.details;
    return std::string("nobody");
  };
  world.exchange[0].addresses.push_back("robert@corp.example");
  world.table.push_back(entry("robert@corp.example", kBobThere));
  EXPECT_THAT(by(), HasSubstr("matched by its ExternalEmailAddress"));
  world.exchange[0].external = "elsewhere@other.example";
  EXPECT_THAT(by(), HasSubstr("matched by the table's target"));
  world.table[0] = entry(kBob, "x@orgname.awsapps.com");
  world.table[1] = entry("robert@corp.example", "x@orgname.awsapps.com");
  EXPECT_THAT(by(), HasSubstr("matched by an address of both"));
  world.workmail[0].aliases = {kBobThere};
  EXPECT_THAT(by(), HasSubstr("matched by the same local part"));
  world.workmail.push_back(workmail_user("S-2", "bob@third.example"));
  EXPECT_EQ(by(), "nobody") << "two could be meant";
}

TEST(Reconcile, ALikenessDoesNotTakeAwayWhoIsSomebodyElses) {
  // bob@sub.corp.example is not the bob whom bob@corp.example's ExternalEmailAddress names.
  auto world = bob_is_well();
  world.exchange.insert(world.exchange.begin(),
                        recipient("bob@sub.corp.example", "", "UserMailbox"));
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, RoutesOfPendingAndRolledBackPeopleAreNotJudged) {
  for (const auto state : {EntryState::pending, EntryState::rolled_back}) {
    auto world = bob_is_well();
    world.workmail.clear();
    world.exchange = {recipient(kBob, "", "UserMailbox")};
    world.table = {entry(kBob, kBobThere, state)};
    EXPECT_THAT(world.kinds(), IsEmpty());
  }
  auto world = bob_is_well();
  world.workmail.clear();
  world.table = {entry(kBob, kBobThere, EntryState::migrating)};
  EXPECT_THAT(world.only().details, HasSubstr("(migrating)"));
}

TEST(Reconcile, AWaveCanBeJudgedBeforeItIsActive) {
  auto world = bob_is_well();
  world.workmail.clear();
  world.exchange = {recipient(kBob, "", "UserMailbox"), recipient("ann@corp.example")};
  world.table = {entry(kBob, kBobThere, EntryState::pending, "pilot"),
                 entry("ann@corp.example", "ann@orgname.awsapps.com", EntryState::active, "rest")};
  world.table[0].has_state = false;
  world.options.waves = {"pilot"};
  EXPECT_THAT(world.kinds(), ElementsAre("no_workmail_user " + kBob))
      << "neither Ann, nor Bob's mailbox, which is rightly there still";
  EXPECT_THAT(world.only().details, HasSubstr("(active, wave 'pilot')"));
}

TEST(Reconcile, CopiesAreTargetsToo) {
  auto world = bob_is_well();
  world.table[0].copies.push_back(mailbox("archive@orgname.awsapps.com"));
  EXPECT_THAT(world.kinds(), ElementsAre("no_workmail_user " + kBob));
}

TEST(Reconcile, ExchangesOwnForwardingCountsAsARoute) {
  World world{{recipient(kBob, kBobThere)}, {}, {}};
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::no_workmail_user);
  EXPECT_THAT(found.details, StartsWith("Exchange sends this mail user's mail on to "
                                        "'bob@orgname.awsapps.com'"));
  world.exchange[0].external = "bob@partner.example";
  EXPECT_THAT(world.kinds(), IsEmpty()) << "other systems are no business of ours";
}

TEST(Reconcile, EnabledWithoutARoute) {
  auto world = bob_is_well();
  world.workmail.push_back(workmail_user("S-2", "ann@orgname.awsapps.com"));
  world.exchange.push_back(recipient("ann@corp.example", "", "UserMailbox"));
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::not_routed);
  EXPECT_EQ(found.person, "ann@corp.example");
  EXPECT_THAT(found.details, HasSubstr("by the same local part, it is a 'UserMailbox'"));
  EXPECT_EQ(found.mend.where, Mend::Where::table);
  EXPECT_EQ(found.mend.line, "ann@corp.example,ann@orgname.awsapps.com,pending")
      << "a mailbox must not lose its mail by pasting this line";
  world.exchange.back().type = "MailUser";
  world.exchange.back().external = "ann@orgname.awsapps.com";
  EXPECT_EQ(world.only().mend.line, "ann@corp.example,ann@orgname.awsapps.com");
  world.exchange.pop_back();
  EXPECT_EQ(world.only().mend.where, Mend::Where::nowhere) << "nobody knows her address here";
  world.workmail.back().aliases = {"ann@corp.example"};
  EXPECT_EQ(world.only().mend.line, "ann@corp.example,ann@orgname.awsapps.com,pending");
  world.workmail.back().state = "DISABLED";
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, RolledBackPeopleHaveARoute) {
  auto world = bob_is_well();
  world.table = {entry(kBob, kBobThere, EntryState::rolled_back)};
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, AnEmptyTableTellsNobodyToBeWithoutARoute) {
  auto world = bob_is_well();
  world.table.clear();
  const auto got = world.run();
  EXPECT_THAT(got.findings, IsEmpty());
  EXPECT_THAT(lines_of(got.notes), HasSubstr("the table is empty"));
}

TEST(Reconcile, AliasesThatTheTableDoesNotKnow) {
  auto world = bob_is_well();
  world.more.domain_aliases = {{"old-corp.example", "corp.example"}};
  world.exchange[0].addresses = {kBob, "bob@old-corp.example", "robert@corp.example",
                                 "bob@corp.mail.onmicrosoft.example"};
  world.workmail[0].aliases = {"robert@corp.example", kBob, "bob@old-corp.example"};
  world.table = {entry(kBob, kBobThere, EntryState::active, "pilot")};
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::alias_missing_in_table);
  EXPECT_THAT(found.details, HasSubstr("'robert@corp.example'"));
  EXPECT_EQ(found.mend.line, "robert@corp.example,bob@orgname.awsapps.com,active,pilot");
}

TEST(Reconcile, AliasesThatWorkMailDoesNotHave) {
  auto world = bob_is_well();
  world.exchange[0].addresses = {kBob, "robert@corp.example", "o'bob@corp.example",
                                 "bob@elsewhere.example"};
  world.exchange[0].x500 = {"/o=Corp/cn=bob"};
  world.table.push_back(entry("robert@corp.example", kBobThere));
  world.table.push_back(entry("o'bob@corp.example", kBobThere));
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::alias_missing_in_workmail);
  EXPECT_EQ(found.mend.line,
            "aws workmail create-alias --organization-id m-1 --entity-id S-1 --alias "
            "robert@corp.example");
  EXPECT_EQ(found.mend.caution, "corp.example must be a domain of the WorkMail organisation");
  world.workmail[0].aliases_known = false;
  const auto unknown = world.run();
  EXPECT_THAT(unknown.findings, IsEmpty());
  EXPECT_THAT(lines_of(unknown.notes),
              AllOf(HasSubstr("the aliases of 1 WorkMail user are"), HasSubstr("--aliases")));
}

TEST(Reconcile, StillAMailboxAndTheLineThatSaysWhatItDestroys) {
  auto world = bob_is_well();
  world.exchange = {recipient(kBob, "", "UserMailbox", {"o'bob@corp.example"})};
  world.exchange[0].x500 = {"/o=Corp/cn=O'Bob"};
  world.table.push_back(entry("o'bob@corp.example", kBobThere));
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::still_mailbox);
  EXPECT_EQ(found.mend.where, Mend::Where::powershell);
  EXPECT_EQ(
      found.mend.line,
      "<# DESTROYS the Exchange mailbox; migrate its data first #> $m = Get-Mailbox -Identity "
      "'bob@corp.example'; Disable-Mailbox -Identity $m.DistinguishedName; Enable-MailUser "
      "-Identity $m.DistinguishedName -PrimarySmtpAddress 'bob@corp.example' "
      "-ExternalEmailAddress 'SMTP:bob@orgname.awsapps.com'; Set-MailUser -Identity "
      "$m.DistinguishedName -EmailAddresses @{Add='smtp:o''bob@corp.example','X500:/o=Corp/"
      "cn=O''Bob',('X500:' + $m.LegacyExchangeDN)}");
  EXPECT_THAT(found.mend.caution, HasSubstr("deletes it for good"));
  for (const std::string type : {"SharedMailbox", "RoomMailbox", "LinkedMailbox"}) {
    world.exchange[0].type = type;
    EXPECT_EQ(world.only().kind, FindingKind::still_mailbox) << type;
  }
  world.exchange[0].type = "RemoteUserMailbox";
  EXPECT_THAT(world.kinds(), IsEmpty()) << "it is on another system already";
}

TEST(Reconcile, NoLineThatDisablesAMailboxIsWithoutAWarning) {
  auto world = bob_is_well();
  world.exchange = {recipient(kBob, "", "UserMailbox")};
  for (const auto& finding : world.run().findings) {
    if (finding.mend.line.find("Disable-Mailbox") == std::string::npos) continue;
    EXPECT_THAT(finding.mend.line, StartsWith("<# DESTROYS"));
    EXPECT_THAT(finding.mend.line, Not(HasSubstr("Confirm:$false")));
    EXPECT_FALSE(finding.mend.caution.empty());
  }
}

TEST(Reconcile, ExchangesTargetDiffersFromTheTables) {
  auto world = bob_is_well();
  world.exchange[0].external = "bob2@orgname.awsapps.com";
  auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::external_differs);
  EXPECT_THAT(found.details, HasSubstr("ExternalEmailAddress is 'bob2@orgname.awsapps.com'"));
  EXPECT_EQ(found.places.size(), 2u);
  EXPECT_EQ(found.mend.line,
            "Set-MailUser -Identity 'bob@corp.example' -ExternalEmailAddress "
            "'SMTP:bob@orgname.awsapps.com'");
  world.workmail[0].aliases.push_back("bob2@orgname.awsapps.com");
  EXPECT_THAT(world.only().details, HasSubstr("both of the same WorkMail user"));
  world.exchange[0].external.clear();
  EXPECT_THAT(world.only().details, HasSubstr("ExternalEmailAddress is none"));
  world.exchange[0].type.clear();
  EXPECT_THAT(world.kinds(), IsEmpty()) << "nobody knows what this is";
}

TEST(Reconcile, EveryAddressOfAPersonIsJudged) {
  // Bob is pending and reads Exchange; his alias is active, so its mail goes where he does not
  // look.
  auto world = bob_is_well();
  const std::string alias = "robert@corp.example";
  world.exchange[0] = recipient(kBob, "", "UserMailbox", {alias});
  world.workmail[0].aliases.push_back(alias);
  world.table = {entry(kBob, kBobThere, EntryState::pending), entry(alias, kBobThere)};
  auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::still_mailbox);
  EXPECT_THAT(found.details, StartsWith("'robert@corp.example' is routed to"));

  // Another person gets what is sent to Bob's alias.
  world = bob_is_well();
  world.exchange[0].addresses.push_back(alias);
  world.workmail[0].aliases.push_back(alias);
  world.workmail.push_back(workmail_user("S-2", "eve@orgname.awsapps.com"));
  world.table.push_back(entry(alias, "eve@orgname.awsapps.com"));
  found = world.only();
  EXPECT_EQ(found.kind, FindingKind::external_differs);
  EXPECT_THAT(found.details, HasSubstr("of 'robert@corp.example' is 'eve@orgname.awsapps.com'"));
  EXPECT_EQ(found.mend.where, Mend::Where::table);
  EXPECT_EQ(found.mend.line, alias + "," + kBobThere + ",active");
}

TEST(Reconcile, AnAliasThatTheRouterFindsAllTheSameIsNotMissing) {
  auto world = bob_is_well();
  world.exchange[0].addresses.push_back("bob+lists@corp.example");
  world.workmail[0].aliases.push_back("bob+lists@corp.example");
  EXPECT_THAT(world.kinds(), IsEmpty()) << "the suffix is stripped";
  world.more.plus_separator.clear();
  EXPECT_THAT(world.kinds(), ElementsAre("alias_missing_in_table " + kBob));
}

TEST(Reconcile, ACopysTargetIsNotItsReader) {
  auto world = bob_is_well();
  world.table[0].copies.push_back(mailbox("gone@orgname.awsapps.com"));
  const auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::no_workmail_user);
  EXPECT_THAT(found.details, AllOf(StartsWith("has a copy sent to 'gone@orgname.awsapps.com'"),
                                   Not(HasSubstr("probably"))));
  EXPECT_THAT(found.mend.line, AllOf(HasSubstr("create-user"), Not(HasSubstr("S-1")),
                                     HasSubstr("--display-name gone")));
}

TEST(Reconcile, AStateOfOnesOwnComesBeforeTheWaveThatIsLookedAt) {
  auto world = bob_is_well();
  world.workmail.clear();
  world.exchange = {recipient(kBob, "", "UserMailbox")};
  world.table = {entry(kBob, kBobThere, EntryState::pending, "w")};
  world.table[0].has_state = true;
  world.options.waves = {"w"};
  EXPECT_THAT(world.kinds(), IsEmpty()) << "activating w leaves Bob where he is";
}

TEST(Reconcile, TheAliasesAtHandAnswerForAUserWithoutEmail) {
  auto world = bob_is_well();
  world.workmail[0].email.clear();
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, TheAwsCliReadsNoFileInPlaceOfAName) {
  auto world = bob_is_well();
  world.workmail.clear();
  for (const std::string name : {"file:///etc/passwd", "FILEB://x", "https://x.example/'\"\\"}) {
    world.exchange[0].display_name = name;
    const auto line = world.only().mend.line;
    EXPECT_THAT(line, AllOf(HasSubstr("create-user --cli-input-json '{\"OrganizationId\": \"m-1\", "
                                      "\"Name\": \"bob\", \"DisplayName\": \""),
                            Not(HasSubstr("--display-name"))))
        << line;
  }
  EXPECT_THAT(world.only().mend.line, HasSubstr(R"("https://x.example/'\''\"\\"}')"));
  world = bob_is_well();
  world.workmail[0].id = "file:///etc/shadow";
  world.workmail[0].state = "DISABLED";
  EXPECT_THAT(world.only().mend.line,
              StartsWith("aws workmail register-to-work-mail --cli-input-json "));
}

TEST(Reconcile, LocalPartsThatWorkMailDoesNotAllow) {
  const std::string obrien = "o'brien@corp.example";
  World world{{recipient(obrien, "", "UserMailbox")},
              {workmail_user("S-9", "obrien@orgname.awsapps.com")},
              {entry("x@corp.example", "obrien@orgname.awsapps.com")}};
  auto found = world.only();
  EXPECT_EQ(found.kind, FindingKind::local_part_not_allowed);
  EXPECT_EQ(found.person, obrien);
  EXPECT_THAT(found.details, HasSubstr("by the same local part without what WorkMail does not "
                                       "allow the WorkMail user is"));
  EXPECT_EQ(found.mend.line, "o'brien@corp.example,obrien@orgname.awsapps.com,pending");
  world.table = {entry(obrien, "obrien@orgname.awsapps.com", EntryState::pending)};
  EXPECT_THAT(world.kinds(), IsEmpty()) << "it is mapped";
  world.table = {entry(obrien, "o'brien@orgname.awsapps.com")};
  world.exchange[0] = recipient(obrien, "o'brien@orgname.awsapps.com");
  found = world.only();
  EXPECT_EQ(found.kind, FindingKind::local_part_not_allowed);
  EXPECT_EQ(found.mend.line, "o'brien@corp.example,obrien@orgname.awsapps.com,active");
  world.table.clear();
  EXPECT_THAT(world.kinds(),
              ElementsAre("local_part_not_allowed " + obrien, "local_part_not_allowed " + obrien))
      << "what Exchange sends on, and what the table lacks";
}

TEST(Reconcile, KnowsWhatWorkMailAllows) {
  EXPECT_TRUE(workmail_allows("aZ09._%+-"));
  for (const std::string_view text : {"", "o'brien", "a b", "a/b", "müller", "a&b", "a=b"})
    EXPECT_FALSE(workmail_allows(text)) << text;
}

TEST(Reconcile, NotesWhatCouldNotBeJudged) {
  auto world = bob_is_well();
  world.more.target_domains.push_back({"google.example", "google"});
  world.table.push_back(entry("ann@corp.example", "ann@google.example"));
  world.exchange[0].type.clear();
  world.exchange.push_back(recipient(kBob, kBobThere));
  const auto got = world.run();
  EXPECT_THAT(got.findings, IsEmpty());
  EXPECT_THAT(lines_of(got.notes),
              AllOf(HasSubstr("1 target is in domains that the WorkMail export says nothing of"),
                    HasSubstr("(ann@google.example)"),
                    HasSubstr("1 routed person is in no export of Exchange"),
                    HasSubstr("1 recipient has no RecipientTypeDetails"),
                    HasSubstr("'bob@corp.example' is already at users.csv:")));
}

TEST(Reconcile, GroupsAreNoPeople) {
  auto world = bob_is_well();
  world.exchange.push_back(recipient("o'staff@corp.example", "", "MailUniversalDistributionGroup"));
  EXPECT_THAT(world.kinds(), IsEmpty());
}

TEST(Reconcile, OrdersByUrgencyThenPerson) {
  World world{{recipient("b@corp.example", "", "UserMailbox"),
               recipient("a@corp.example", "a@orgname.awsapps.com"),
               recipient("z@corp.example", "z@orgname.awsapps.com")},
              {workmail_user("1", "b@orgname.awsapps.com")},
              {entry("b@corp.example", "b@orgname.awsapps.com"),
               entry("z@corp.example", "z@orgname.awsapps.com"),
               entry("a@corp.example", "a@orgname.awsapps.com")}};
  EXPECT_THAT(world.kinds(),
              ElementsAre("no_workmail_user a@corp.example", "no_workmail_user z@corp.example",
                          "still_mailbox b@corp.example"));
}

TEST(Reconcile, HostileNamesStayInsideTheirQuotes) {
  auto world = bob_is_well();
  world.exchange[0].display_name = "x'; rm -rf ~; $(id) `id` \n\x1b[2J\xC2\x9B";
  world.workmail.clear();
  const auto found = world.only();
  EXPECT_THAT(found.mend.line,
              HasSubstr("--display-name 'x'\\''; rm -rf ~; $(id) `id`   [2J ' --query"));
  world.workmail = {workmail_user("$(id)'", kBobThere, "DISABLED")};
  world.workmail[0].display_name = "\x1b[31m\n";
  const auto disabled = world.only();
  EXPECT_THAT(disabled.mend.line, HasSubstr("--entity-id '$(id)'\\''' --email"));
  EXPECT_THAT(disabled.details, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\n"))));
  world.options.organisation = "--x y";
  EXPECT_THAT(world.only().mend.line, HasSubstr(" --organization-id='--x y' "));
}

TEST(Quoting, KnowsWhereASpreadsheetFindsAFormula) {
  for (const std::string text :
       {"=1", " +1", "'-1", "x;=1", "x; \"=1", "x|@y", "x,-y", "x\t=", "x;", "x;y;'+1"})
    EXPECT_TRUE(cells_begin_formula(text)) << text;
  for (const std::string text : {"", "x=1", "bob@corp.example", "x;y=1", "a, b", "--email=x", "-"})
    EXPECT_EQ(cells_begin_formula(text), text.starts_with('-')) << text;
}

TEST(Reconcile, NoLineForAShellSplitsIntoAFormula) {
  auto world = bob_is_well();
  world.workmail.clear();
  for (const std::string name :
       {"x;=1;touch x;y;=2", "Sales;@Home", "Sales;", "a,\t-2", "'|'=1", "x\u202e;=1"}) {
    world.exchange[0].display_name = name;
    const auto line = world.only().mend.line;
    EXPECT_THAT(line, HasSubstr("create-user --cli-input-json '{")) << line;
    EXPECT_FALSE(cells_begin_formula(line)) << line;
    EXPECT_THAT(line, Not(HasSubstr("\u202e")));
  }
  world.exchange[0].display_name = "x;=1";
  EXPECT_THAT(world.only().mend.line, HasSubstr(R"("DisplayName": "x\u003b=1"}')"));
  world.exchange[0].display_name = "Baker; Bob";
  EXPECT_THAT(world.only().mend.line, HasSubstr("--display-name 'Baker; Bob'"));
  world = bob_is_well();
  world.exchange = {recipient(kBob, "", "UserMailbox", {"x|=y@corp.example"})};
  world.table.push_back(entry("x|=y@corp.example", kBobThere));
  const auto line = world.only().mend.line;
  EXPECT_THAT(line, HasSubstr("{Add=('smtp:x' + [char]0x7c + '=y@corp.example'),('X500:' + $m."));
  EXPECT_FALSE(cells_begin_formula(line)) << line;
}

TEST(Quoting, ForBothShells) {
  EXPECT_EQ(posix_quoted("bob+x@corp.example"), "bob+x@corp.example");
  EXPECT_EQ(posix_quoted(""), "''");
  EXPECT_EQ(posix_quoted("o'b"), "'o'\\''b'");
  EXPECT_EQ(posix_quoted("a b$c"), "'a b$c'");
  EXPECT_EQ(powershell_quoted("bob"), "'bob'");
  EXPECT_EQ(powershell_quoted("o'b$x"), "'o''b$x'");
  EXPECT_EQ(powershell_quoted("a\u2018b\u2019c\u201ad\u201be"),
            "'a\u2018\u2018b\u2019\u2019c\u201a\u201ad\u201b\u201be'");
  EXPECT_EQ(powershell_quoted("x|=y'z"), "('x' + [char]0x7c + '=y''z')");
  EXPECT_EQ(powershell_quoted("Sales; '-x;"), "('Sales' + [char]0x3b + ' ''-x' + [char]0x3b + '')");
  EXPECT_EQ(powershell_quoted("Sales; West"), "'Sales; West'");
  EXPECT_EQ(powershell_quoted("a\u2014b"), "'a\u2014b'");
}

TEST(Reconcile, TheSamplesAndATable) {
  const auto exchange = read_exchange_export("e.csv", sample("exchange-mailusers.csv"));
  const auto workmail =
      read_workmail_export({{"1.json", sample("workmail-list-users-page1.json")},
                            {"2.json", sample("workmail-list-users-page2.json")}},
                           {{"a.json", sample("workmail-list-aliases-bob.baker.json")}});
  World world;
  world.exchange = exchange.recipients;
  world.workmail = workmail.entities;
  world.more.domain_aliases = {{"old-corp.example", "corp.example"}};
  for (const auto& one : exchange.recipients)
    for (const auto& address : one.addresses)
      if (one.primary != "zoe.zimmer@corp.example" && !address.ends_with("old-corp.example"))
        world.table.push_back(entry(address, one.external));
  EXPECT_THAT(world.kinds(), ElementsAre("no_workmail_user elodie.evans@corp.example",
                                         "workmail_disabled hakon.hughes@corp.example",
                                         "workmail_deleted joao.jensen@corp.example",
                                         "not_routed zoe.zimmer@corp.example",
                                         "alias_missing_in_workmail bob.baker@corp.example"));
}

}  // namespace
}  // namespace waypost::routing
