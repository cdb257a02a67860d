// From an object to rows: prefixes, domains, targets, and what can't be used.
#include "routing/directory_fixture.h"

namespace waypost::routing {
namespace {

TEST(DirectoryServerNames, AreReadWithAndWithoutPort) {
  EXPECT_EQ(parse_directory_server("ldaps://dc1.corp.example")->to_string(),
            "ldaps://dc1.corp.example:636");
  EXPECT_EQ(parse_directory_server("LDAP://127.0.0.1:3890/")->to_string(), "ldap://127.0.0.1:3890");
  EXPECT_EQ(parse_directory_server("ldaps://[2001:db8::1]:1636")->host, "2001:db8::1");
  EXPECT_EQ(parse_directory_server("ldaps://[2001:db8::1]:1636")->to_string(),
            "ldaps://[2001:db8::1]:1636");
  for (const auto* wrong : {"", "dc1", "https://dc1", "ldapi:///run/x", "ldaps://", "ldaps://:636",
                            "ldaps://dc1:0", "ldaps://dc1:65536", "ldaps://dc1:x", "ldaps://[::1",
                            "ldaps://dc 1", "ldaps://[::1]636", "ldaps://dc1/DC=corp"})
    EXPECT_FALSE(parse_directory_server(wrong)) << wrong;
  EXPECT_TRUE(is_loopback(*parse_directory_server("ldap://127.0.0.2")));
  EXPECT_TRUE(is_loopback(*parse_directory_server("ldap://[::1]")));
  EXPECT_FALSE(is_loopback(*parse_directory_server("ldap://127.evil.example")));
  EXPECT_FALSE(is_loopback(*parse_directory_server("ldap://10.0.0.1")));
}

TEST(DirectoryFilters, EscapeWhatHasAMeaning) {
  EXPECT_EQ(escape_filter_value("a*(b)\\c"), "a\\2a\\28b\\29\\5cc");
  EXPECT_EQ(escape_filter_value(std::string_view("\0\x1f\x7f", 3)), "\\00\\1f\\7f");
  EXPECT_EQ(escape_filter_value("b\xc3\xbcro"), "b\xc3\xbcro");
  DirectoryOptions options;
  options.target_domains = {"orgname.awsapps.com"};
  EXPECT_EQ(default_directory_filter(options),
            "(&(objectClass=user)(targetAddress=smtp:*@orgname.awsapps.com)(!(homeMDB=*)))");
  options.target_domains = {"a.example)(cn=*", "b.example"};
  EXPECT_EQ(default_directory_filter(options),
            "(&(objectClass=user)(|(targetAddress=smtp:*@a.example\\29\\28cn=\\2a)"
            "(targetAddress=smtp:*@b.example))(!(homeMDB=*)))");
}

TEST(DirectoryGuids, AreWrittenAsActiveDirectoryDoes) {
  EXPECT_EQ(guid_of_octets(std::string("\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd"
                                       "\xee\xff",
                                       16)),
            "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(guid_of_octets("short"), "");
  EXPECT_EQ(
      guid_of({.dn = {}, .attributes = {{"entryUUID", {"597AE2F6-16A6-1027-98F4-D28B5365DC14"}}}}),
      "597ae2f6-16a6-1027-98f4-d28b5365dc14");
  EXPECT_EQ(
      guid_of({.dn = {}, .attributes = {{"entryUUID", {"not one, but 36 characters in length"}}}}),
      "");
}

TEST(ProxyAddresses, OfOtherKindsAreNone) {
  EXPECT_EQ(smtp_address("SMTP:ann@corp.example"), "ann@corp.example");
  EXPECT_EQ(smtp_address("smtp:ann@corp.example "), "ann@corp.example");
  EXPECT_EQ(smtp_address("ann@corp.example"), "ann@corp.example");
  EXPECT_EQ(smtp_address("\"a:b\"@corp.example"), "\"a:b\"@corp.example");
  for (const auto* other : {"X400:C=US;A= ;P=Corp;O=Exchange;S=Ann;", "x500:/o=Corp/cn=ann",
                            "EUM:123;phone-context=x", "SIP:ann@corp.example"})
    EXPECT_EQ(smtp_address(other), std::nullopt) << other;
}

class PersonTest : public ::testing::Test {
 protected:
  PersonTest() {
    options.name = "ad";
    options.own_domains = {"Corp.Example", "b\xc3\xbcro.example"};
    options.target_domains = {"orgname.awsapps.com"};
    options.wave_attribute = "wave";
    options.state_attribute = "state";
    entry.dn = "CN=Ann,DC=corp,DC=example";
    set("objectGUID", {octets_of(1)});
    set("proxyAddresses", {"SMTP:Ann@corp.example", "smtp:ann.b@CORP.example", "X400:C=US;S=A;",
                           "smtp:ann@orgname.awsapps.com"});
    set("targetAddress", {"smtp:ann@orgname.awsapps.com"});
  }
  void set(const std::string& name, std::vector<std::string> values) {
    std::erase_if(entry.attributes, [&](const auto& one) { return one.first == name; });
    entry.attributes.emplace_back(name, std::move(values));
  }
  std::optional<DirectoryPerson> read() { return PersonReader(options).read(entry, findings); }
  /// The only complaint, when the object is left out.
  std::string complaint() {
    findings = {};
    EXPECT_FALSE(read());
    return findings.problems.size() == 1 ? findings.problems[0].to_string() : "(not one)";
  }

  DirectoryOptions options;
  LdapEntry entry;
  DirectoryFindings findings;
};

TEST_F(PersonTest, HasARowForEachAddressOfAnOwnDomain) {
  set("mail", {"ann.c@b\xc3\xbcro.example"});
  set("wave", {"pilot"});
  set("state", {"Migrating"});
  const auto person = read();
  ASSERT_TRUE(person);
  EXPECT_EQ(person->guid, "00000000-0000-0000-0000-000000000001");
  ASSERT_EQ(person->rows.size(), 3u);
  EXPECT_EQ(person->rows[0].key, "ann.b@corp.example");
  EXPECT_EQ(person->rows[1].key, "ann.c@xn--bro-hoa.example");
  EXPECT_EQ(person->rows[2].address, "Ann@corp.example");
  for (const auto& row : person->rows) {
    EXPECT_EQ(row.target, "ann@orgname.awsapps.com");
    EXPECT_EQ(row.wave, "pilot");
    EXPECT_EQ(row.state, "migrating");
  }
  EXPECT_EQ(findings.left_out, 1u);
  EXPECT_THAT(findings.problems, IsEmpty());
}

TEST_F(PersonTest, HasEachAddressOnce) {
  set("proxyAddresses", {"SMTP:ann@corp.example", "smtp:ANN@corp.example"});
  set("mail", {"ann@corp.example"});
  ASSERT_EQ(read()->rows.size(), 1u);
}

TEST_F(PersonTest, AttributeNamesHaveNoCase) {
  entry.attributes = {{"OBJECTguid", {octets_of(1)}},
                      {"proxyaddresses", {"ann@corp.example"}},
                      {"TARGETADDRESS", {"SMTP:ann@orgname.awsapps.com"}}};
  EXPECT_TRUE(read());
}

TEST_F(PersonTest, WithoutAUsableTargetIsAProblemThatNamesTheDn) {
  set("targetAddress", {});
  EXPECT_EQ(complaint(),
            "directory ad: warning: CN=Ann,DC=corp,DC=example: has no targetAddress; left out");
  set("targetAddress", {"smtp:a@orgname.awsapps.com", "smtp:b@orgname.awsapps.com"});
  EXPECT_THAT(complaint(), HasSubstr("several"));
  set("targetAddress", {"X400:C=US"});
  EXPECT_THAT(complaint(), HasSubstr("no SMTP address"));
  set("targetAddress", {"smtp:ann"});
  EXPECT_THAT(complaint(), HasSubstr("no mail address"));
  set("targetAddress", {"smtp:ann@corp.example"});
  EXPECT_THAT(complaint(), HasSubstr("in no target domain"));
  set("targetAddress", {"smtp:ann@evil\nexample"});
  EXPECT_THAT(complaint(), HasSubstr("no mail address"));
}

TEST_F(PersonTest, WithoutIdentityIsLeftOut) {
  set("objectGUID", {"short"});
  EXPECT_THAT(complaint(), HasSubstr("neither objectGUID nor entryUUID"));
}

TEST_F(PersonTest, OfAWaveOrStateThatMakesNoSenseIsLeftOut) {
  set("wave", {std::string(65, 'w')});
  EXPECT_THAT(complaint(), HasSubstr("no name of a wave"));
  set("wave", {"one", "two"});
  EXPECT_THAT(complaint(), HasSubstr("no name of a wave"));
  set("wave", {"one\ntwo"});
  EXPECT_THAT(complaint(), HasSubstr("no name of a wave"));
  set("wave", {"one"});
  set("state", {"activ"});
  EXPECT_THAT(complaint(), HasSubstr("did you mean 'active'?"));
}

TEST_F(PersonTest, WithoutOwnAddressIsLeftOut) {
  set("proxyAddresses", {"smtp:ann@other.example"});
  EXPECT_THAT(complaint(), HasSubstr("no address in an own domain"));
}

TEST_F(PersonTest, BadAddressesAreToldAndTheOthersTaken) {
  set("proxyAddresses", {"smtp:ann@corp.example", "smtp:a b@corp.example", "smtp:", "smtp:ann",
                         "smtp:x@corp..example", std::string("smtp:n\0l@corp.example", 21)});
  const auto person = read();
  ASSERT_TRUE(person);
  EXPECT_EQ(person->rows.size(), 1u);
  EXPECT_EQ(findings.problems.size(), 4u);
}

TEST_F(PersonTest, OctetsThatAreNoTextAreNotPrinted) {
  set("proxyAddresses",
      {"smtp:ann@corp.example", "smtp:\xff\xfe@corp.example", "smtp:an\u200bna@corp.example"});
  EXPECT_TRUE(read());
  ASSERT_EQ(findings.problems.size(), 2u);
  EXPECT_THAT(findings.problems[0].message, HasSubstr("'??@corp.example' is no mail address"));
  EXPECT_THAT(findings.problems[1].message,
              HasSubstr("'an\\u200bna@corp.example' is no mail address: it holds U+200B"));
}

TEST_F(PersonTest, ProblemsAreBounded) {
  for (int i = 0; i < 1000; ++i) findings.tell("ad", "CN=x", "is odd");
  EXPECT_EQ(findings.problems.size(), kMaxDirectoryProblems);
  EXPECT_EQ(findings.more_problems, 1000 - kMaxDirectoryProblems);
}

}  // namespace
}  // namespace waypost::routing
