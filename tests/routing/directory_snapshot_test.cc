// The snapshot: there and back, as a routing table, and what damage does to it.
#include "routing/directory_fixture.h"

namespace waypost::routing {
namespace {

DirectorySnapshot sample() {
  DirectorySnapshot out{.settings = "base=DC=corp,DC=example filter=(a=b)",
                        .server = "ldaps://dc1.corp.example:636",
                        .invocation_id = "a1",
                        .usn = 4711,
                        .full_at = WallTime(std::chrono::seconds(1'764'547'200)),
                        .written_at = WallTime(std::chrono::seconds(1'764'547'300)),
                        .people = {}};
  const auto add = [&](const std::string& guid, const std::string& dn,
                       std::vector<std::string> addresses) {
    auto& person = out.people[guid];
    person.guid = guid;
    person.dn = dn;
    for (const auto& address : addresses)
      person.rows.push_back({.key = *normalise_key(*mail::parse_mailbox(address)),
                             .address = address,
                             .target = "t@orgname.awsapps.com",
                             .state = "active",
                             .wave = "wave, one"});
  };
  add("00000000-0000-0000-0000-000000000001", "CN=Ann \"A\" Baker,OU=People,DC=corp,DC=example",
      {"ann@corp.example", "#ann@corp.example", "\"a, b\"@corp.example"});
  add("00000000-0000-0000-0000-000000000002", "CN=Bob\n# sha256: x,DC=corp,DC=example",
      {"bob@corp.example", "b\xc3\xbc@corp.example"});
  out.people.begin()->second.rows[0].contested = true;
  return out;
}

TEST(DirectorySnapshot, ComesBackAsItWas) {
  const auto before = sample();
  const auto text = write_snapshot(before);
  const auto after = read_snapshot(text);
  EXPECT_TRUE(after.trusted) << after.why_not;
  EXPECT_EQ(after.snapshot.settings, before.settings);
  EXPECT_EQ(after.snapshot.server, before.server);
  EXPECT_EQ(after.snapshot.invocation_id, before.invocation_id);
  EXPECT_EQ(after.snapshot.usn, before.usn);
  EXPECT_EQ(after.snapshot.full_at, before.full_at);
  ASSERT_EQ(after.snapshot.people.size(), 2u);
  for (const auto& [guid, person] : before.people)
    EXPECT_EQ(after.snapshot.people.at(guid).rows, person.rows) << text;
  EXPECT_EQ(after.snapshot.people.begin()->second.dn, before.people.begin()->second.dn);
  EXPECT_EQ(write_snapshot(after.snapshot), text);
}

TEST(DirectorySnapshot, IsATable) {
  TableBuilder builder;
  builder.add_csv("ad.csv", write_snapshot(sample()));
  const auto table = builder.build();
  EXPECT_FALSE(builder.has_errors()) << builder.problems()[0].to_string();
  EXPECT_EQ(table->size(), 4u);  // without the contested one
  const auto found = table->find("#ann@corp.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->wave, "wave, one");
}

TEST(DirectorySnapshot, TellsTheDnOfALine) {
  const Folder folder;
  const auto path = folder.file("ad.csv");
  DurableFile file(Disk::system(), path, kSnapshotMode);
  ASSERT_TRUE(save_snapshot(file, write_snapshot(sample())));
  TableBuilder builder;
  builder.add_csv(path, whole_file(path));
  const auto entry = builder.build()->find("bob@corp.example");
  ASSERT_TRUE(entry);
  EXPECT_EQ(*directory_dn_at(path, entry->place.line), "CN=Bob?# sha256: x,DC=corp,DC=example");
  for (const std::uint32_t line : {0u, 1u, 9u, 1000u}) EXPECT_FALSE(directory_dn_at(path, line));
  EXPECT_FALSE(directory_dn_at(folder.file("none.csv"), 1));
}

TEST(DirectorySnapshot, IsNotTrustedWithAnyOctetChangedOrMissing) {
  const auto text = write_snapshot(sample());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto damaged = text;
    damaged[i] ^= 1;
    EXPECT_FALSE(read_snapshot(damaged).trusted) << i;
    EXPECT_FALSE(read_snapshot(text.substr(0, i)).trusted) << i;
  }
  EXPECT_FALSE(read_snapshot(text + "x").trusted);
  EXPECT_FALSE(read_snapshot(text + text).trusted);
}

TEST(DirectorySnapshot, OfAnotherVersionIsNotTrusted) {
  const auto read = read_snapshot("address,target\nann@corp.example,ann@orgname.awsapps.com\n");
  EXPECT_FALSE(read.trusted);
  EXPECT_THAT(read.why_not, HasSubstr("version"));
}

TEST(DirectorySnapshot, ThatCanNotBeWrittenSaysWhereAndWhy) {
  const Folder folder;
  DurableFile file(Disk::system(), folder.file("no/such/folder.csv"), kSnapshotMode);
  const auto saved = save_snapshot(file, "x");
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().kind, ErrorKind::not_found);
  EXPECT_THAT(saved.error().message, HasSubstr("no/such/folder.csv"));
}

}  // namespace
}  // namespace waypost::routing
