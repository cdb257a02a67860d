// The journal of waves: what was acknowledged is there after a restart, and nothing else.
#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

#include <sys/resource.h>

#include <csignal>
#include <sstream>

namespace waypost::routing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

WaveCommand command(WaveVerb verb = WaveVerb::activate, std::string wave = "wave-3") {
  WaveCommand made;
  made.verb = verb;
  made.wave = std::move(wave);
  made.said_at = WallTime(std::chrono::microseconds(1'796'126'400'000'001));
  made.by = "root (uid 0)";
  made.reason = "it is \"late\", \\ and dark";
  made.people = 412;
  made.queued = 7;
  return made;
}

class WaveJournalTest : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  std::string path = folder.path() + "/waves.journal";
  std::vector<std::string> complaints;

  std::unique_ptr<WaveJournal> open() {
    complaints.clear();
    auto journal =
        WaveJournal::open(path, [&](const std::string& text) { complaints.push_back(text); });
    EXPECT_TRUE(journal) << (journal ? "" : journal.error().message);
    return journal ? std::move(*journal) : nullptr;
  }
  std::vector<std::string> waves() {
    std::vector<std::string> out;
    const auto journal = open();
    for (const auto& one : journal->commands()) out.push_back(one.wave);
    return out;
  }
  std::string content() const {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
  }
  void write(std::string_view text) const { folder.write("waves.journal", text); }
};

TEST_F(WaveJournalTest, RemembersEveryMemberOfACommand) {
  auto one = command(WaveVerb::rollback);
  one.members = {"bob@corp.example", "jörg@corp.example"};
  one.address_only = true;
  one.addresses = 2;
  auto other = command(WaveVerb::hold);
  other.configured = WaveConfigured{EntryState::active, one.said_at, {}, true};
  other.at = one.said_at + std::chrono::hours(5);
  ASSERT_TRUE(open()->append(one));
  ASSERT_TRUE(open()->append(other));
  const auto journal = open();
  ASSERT_EQ(journal->commands().size(), 2u);
  const auto& back = journal->commands()[0];
  EXPECT_EQ(back.verb, one.verb);
  EXPECT_EQ(back.wave, one.wave);
  EXPECT_EQ(back.members, one.members);
  EXPECT_EQ(back.said_at, one.said_at);
  EXPECT_EQ(back.by, one.by);
  EXPECT_EQ(back.reason, one.reason);
  EXPECT_EQ(back.people, 412u);
  EXPECT_EQ(back.queued, 7u);
  EXPECT_EQ(back.at, std::nullopt);
  EXPECT_TRUE(back.address_only);
  EXPECT_EQ(back.addresses, 2u);
  EXPECT_EQ(back.configured, std::nullopt);
  EXPECT_EQ(journal->commands()[1].configured, other.configured);
  EXPECT_EQ(journal->commands()[1].at, other.at);
  EXPECT_TRUE(complaints.empty());
}

TEST_F(WaveJournalTest, NoFileIsNoHistory) {
  EXPECT_TRUE(open()->commands().empty());
  EXPECT_TRUE(complaints.empty());
  EXPECT_FALSE(std::filesystem::exists(path)) << "reading makes no file";
}

TEST_F(WaveJournalTest, ATornLastLineIsLeftOutAndCoveredByTheNext) {
  const auto whole = to_json(command(WaveVerb::hold, "whole")) + "\n";
  const auto torn = to_json(command(WaveVerb::hold, "torn"));
  for (std::size_t cut = 1; cut <= torn.size(); ++cut) {
    write(whole + torn.substr(0, cut));
    auto journal = open();
    ASSERT_EQ(journal->commands().size(), 1u) << cut;
    ASSERT_EQ(complaints.size(), 1u);
    EXPECT_THAT(complaints[0], HasSubstr("waves.journal:2: it has no end: a crash tore it"));
    ASSERT_TRUE(journal->append(command(WaveVerb::hold, "next")));
    journal.reset();
    ASSERT_THAT(waves(), ElementsAre("whole", "next")) << cut;
    ASSERT_TRUE(complaints.empty());
  }
}

TEST_F(WaveJournalTest, ALineThatMakesNoSenseIsSkippedAndNamed) {
  const auto good = to_json(command()) + "\n";
  write(good + "no json\n\n" + "{\"verb\":\"fly\"}\n" + good);
  EXPECT_EQ(open()->commands().size(), 2u);
  ASSERT_EQ(complaints.size(), 2u);
  EXPECT_THAT(complaints[0], HasSubstr("waves.journal:2: "));
  EXPECT_THAT(complaints[1], HasSubstr("waves.journal:4: 'verb' makes no sense"));
}

TEST_F(WaveJournalTest, AfterAFailedWriteTheCommandDidNotHappen) {
  auto journal = open();
  ASSERT_TRUE(journal->append(command(WaveVerb::hold, "first")));
  const auto before = content();
  // The file may grow by half a line: the kernel writes that much, then refuses.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = old;
  tight.rlim_cur = before.size() + 20;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = journal->append(command(WaveVerb::hold, "second"));
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::io);
  EXPECT_THAT(refused.error().message, HasSubstr("cannot write " + path + ": File too large"));
  // No half line stays: a restart has nothing to complain of.
  EXPECT_EQ(content().find_first_not_of(" \n", before.size()), std::string::npos);
  EXPECT_THAT(waves(), ElementsAre("first"));
  EXPECT_TRUE(complaints.empty());
  EXPECT_EQ(journal->commands().size(), 1u);
  ASSERT_TRUE(journal->append(command(WaveVerb::hold, "third")));
  EXPECT_THAT(waves(), ElementsAre("first", "third"));
}

TEST_F(WaveJournalTest, WhatCannotBeOpenedIsNamed) {
  path = folder.path() + "/nowhere/waves.journal";
  auto journal = open();
  const auto refused = journal->append(command());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("cannot open " + path));
  EXPECT_TRUE(journal->commands().empty());
  EXPECT_FALSE(WaveJournal::open(folder.path(), [](const std::string&) {})) << "a folder";
}

TEST_F(WaveJournalTest, WhatCouldNotBeReadAgainIsNotTaken) {
  auto journal = open();
  auto broken = command();
  broken.wave.clear();
  EXPECT_FALSE(journal->append(broken));
  broken = command();
  broken.reason = "\xff\xfe";
  EXPECT_FALSE(journal->append(broken)) << "not UTF-8";
  broken.reason = "two\nlines";
  EXPECT_FALSE(journal->append(broken));
  broken = command(WaveVerb::cancel);
  broken.members = {"bob@corp.example"};
  EXPECT_FALSE(journal->append(broken));
  broken = command(WaveVerb::hold);
  broken.members = {"bob@corp.example"};
  broken.at = broken.said_at;
  EXPECT_FALSE(journal->append(broken)) << "single members are never scheduled";
  EXPECT_TRUE(journal->commands().empty());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(WaveCommandJson, NamesTheMemberThatMakesNoSense) {
  const auto trouble = [](std::string_view members) {
    const auto read = wave_command_from_json(
        R"({"time":"2026-12-01T12:00:00Z","verb":"hold","wave":"w")" + std::string(members) + "}");
    return read ? "none" : read.error().message;
  };
  EXPECT_EQ(trouble(""), "none");
  EXPECT_EQ(trouble(R"(,"later":[{}])"), "none") << "what a later version adds";
  EXPECT_THAT(trouble(R"(,"at":"soon")"), HasSubstr("'at' makes no sense"));
  EXPECT_THAT(trouble(R"(,"at":5)"), HasSubstr("'at' makes no sense"));
  EXPECT_THAT(trouble(R"(,"members":"bob")"), HasSubstr("'members'"));
  EXPECT_THAT(trouble(R"(,"members":[1])"), HasSubstr("'members'"));
  EXPECT_THAT(trouble(R"(,"members":["a\u0000b"])"), HasSubstr("'members'"));
  EXPECT_THAT(trouble(R"(,"people":-1)"), HasSubstr("'people'"));
  EXPECT_THAT(trouble(R"(,"people":1.5)"), HasSubstr("'people'"));
  EXPECT_THAT(trouble(R"(,"by":null)"), HasSubstr("'by'"));
  EXPECT_THAT(trouble(R"(,"wave":"")"), HasSubstr("'wave'"));
  EXPECT_THAT(trouble(R"(,"configured":[])"), HasSubstr("'configured'"));
  EXPECT_THAT(trouble(R"(,"configured":{"at":"soon"})"), HasSubstr("'at'"));
  EXPECT_THAT(trouble(R"(,"configured":{"state":"gone"})"), HasSubstr("'state'"));
  EXPECT_THAT(trouble(R"(,"address_only":1)"), HasSubstr("'address_only'"));
  for (const auto* text : {"", "[]", "null", "{", R"({"verb":"hold","wave":"w"})",
                           R"({"time":"2026-12-01T12:00:00Z","wave":"w"})"})
    EXPECT_FALSE(wave_command_from_json(text)) << text;
}

}  // namespace
}  // namespace waypost::routing
