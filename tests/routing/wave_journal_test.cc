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
  bool used = false;  // the spool has had a gateway

  std::unique_ptr<WaveJournal> open() {
    complaints.clear();
    auto journal = WaveJournal::open(
        Disk::system(), path, [&](const std::string& text) { complaints.push_back(text); }, used);
    return journal;
  }
  std::vector<std::string> waves() {
    std::vector<std::string> out;
    const auto journal = open();
    for (const auto& one : journal->commands()) out.push_back(one.wave);
    return out;
  }
  std::string content(const std::string& of = "") const {
    std::ifstream file(path + of, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
  }
  void write(std::string_view text) const { folder.write("waves.journal", text); }
};

TEST_F(WaveJournalTest, RemembersEveryMemberOfACommand) {
  auto one = command(WaveVerb::rollback);
  one.members = {"bob@corp.example", "jörg@corp.example"};
  one.targets = {"bob@orgname.awsapps.com", ""};
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
  EXPECT_EQ(back.targets, one.targets);
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
    std::filesystem::remove(path + ".mark");  // as an old version has left it
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

// A crash may keep the end of a line, line break and all, and lose what stands before it.
TEST_F(WaveJournalTest, ALastLineThatLostItsBeginningIsCoveredByTheNext) {
  for (const bool first : {true, false}) {
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".mark");
    if (!first) {
      ASSERT_TRUE(open()->append(command(WaveVerb::hold, "whole")));
    }
    ASSERT_TRUE(open()->tell_until(command().said_at));
    const auto before = content();
    const auto mark = content(".mark");
    ASSERT_TRUE(open()->append(command(WaveVerb::hold, "torn")));
    auto torn = content();
    for (auto at = before.size(); at < before.size() + 30; ++at) torn[at] = '\0';
    write(torn);
    folder.write("waves.journal.mark", mark);
    complaints.clear();
    ASSERT_TRUE(open()->append(command(WaveVerb::hold, "next")));
    ASSERT_EQ(complaints.size(), 1u);
    EXPECT_THAT(complaints[0], HasSubstr("it is left out"));
    const auto journal = open();
    EXPECT_TRUE(journal->damage().empty()) << journal->damage().front();
    EXPECT_EQ(journal->commands().back().wave, "next");
  }
}

// An old journal: lines without seal, no mark.
TEST_F(WaveJournalTest, LinesOfAnOldJournalAreReadAndCoveredByTheFirstNewOne) {
  const auto old = to_json(command(WaveVerb::hold, "one")) + "\n" +
                   to_json(command(WaveVerb::activate, "two")) + "\n";
  write(old);
  ASSERT_TRUE(open()->append(command(WaveVerb::rollback, "three")));
  EXPECT_THAT(waves(), ElementsAre("one", "two", "three"));
  EXPECT_TRUE(complaints.empty());
  auto changed = content();
  changed.replace(changed.find("\"two\""), 5, "\"tow\"");
  write(changed);
  const auto journal = open();
  ASSERT_EQ(journal->damage().size(), 1u);
  EXPECT_THAT(journal->damage()[0],
              HasSubstr("waves.journal: a line before the command number 3 is missing or was"));
}

TEST_F(WaveJournalTest, AnythingThatIsMissingOrChangedIsDamage) {
  for (const auto* name : {"one", "two", "three"})
    ASSERT_TRUE(open()->append(command(WaveVerb::hold, name)));
  const auto good = content();
  ASSERT_TRUE(open()->damage().empty());
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < good.size(); begin = good.find('\n', begin) + 1)
    lines.push_back(good.substr(begin, good.find('\n', begin) + 1 - begin));
  ASSERT_EQ(lines.size(), 3u);
  const std::vector<std::string> damaged = {
      "",                                                   // emptied
      lines[0] + lines[2],                                  // a line cut out
      lines[1] + lines[2],                                  // the first one
      lines[0] + lines[1],                                  // the last one
      lines[0] + lines[1] + lines[2].substr(0, 40),         // acknowledged, then torn
      lines[0] + lines[1] + lines[2].substr(0, 40) + "\n",  // the same with an end
      lines[0] + lines[1].substr(0, 40) + "\n" + lines[2],  // the middle
      lines[0] + lines[2] + lines[1],                       // another order
      lines[0] + "\n\n" + std::string(lines[1].size(), '\0') + "\n" + lines[2],
      lines[0] + lines[0] + lines[2],
  };
  for (const auto& text : damaged) {
    write(text);
    auto journal = open();
    EXPECT_FALSE(journal->damage().empty()) << text;
    EXPECT_EQ(complaints.size(), journal->damage().size());
    const auto refused = journal->append(command());
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("accept-journal"));
    EXPECT_EQ(content(), text) << "nothing is written before the operator has spoken";
    EXPECT_FALSE(open()->damage().empty()) << "still";
    const auto looked = read_wave_journal(path);
    ASSERT_TRUE(looked);
    EXPECT_FALSE(looked->damage.empty()) << text;
  }
  // Each octet of the middle line, one letter changed.
  for (std::size_t i = 0; i + 1 < lines[1].size(); ++i) {
    auto text = lines[1];
    text[i] = static_cast<char>(text[i] ^ 1);
    write(lines[0] + text + lines[2]);
    ASSERT_FALSE(open()->damage().empty()) << i << " " << text;
  }
  std::filesystem::remove(path);
  EXPECT_THAT(open()->damage().at(0), HasSubstr("3 commands were acknowledged, 0 can be read: the "
                                                "file is gone"));
}

TEST_F(WaveJournalTest, AcceptedIsWhatCanBeRead) {
  for (const auto* name : {"one", "two", "three"})
    ASSERT_TRUE(open()->append(command(WaveVerb::hold, name)));
  auto text = content();
  text.replace(text.find("\"two\""), 5, "\"tow\"");
  write(text);
  auto journal = open();
  ASSERT_FALSE(journal->damage().empty());
  const auto aside = journal->accept(command().said_at);
  ASSERT_TRUE(aside) << aside.error().message;
  std::ifstream kept(*aside);
  std::ostringstream all;
  all << kept.rdbuf();
  EXPECT_EQ(all.str(), text);
  EXPECT_TRUE(journal->damage().empty());
  ASSERT_TRUE(journal->append(command(WaveVerb::hold, "four")));
  journal.reset();
  EXPECT_THAT(waves(), ElementsAre("one", "three", "four"));
  EXPECT_TRUE(complaints.empty());
}

TEST_F(WaveJournalTest, AnEmptyJournalCanBeAcceptedToo) {
  ASSERT_TRUE(open()->append(command(WaveVerb::hold, "one")));
  std::filesystem::remove(path);
  auto journal = open();
  ASSERT_FALSE(journal->damage().empty());
  const auto aside = journal->accept(command().said_at);
  ASSERT_TRUE(aside);
  EXPECT_EQ(*aside, "");
  EXPECT_TRUE(waves().empty());
  EXPECT_TRUE(complaints.empty());
}

TEST_F(WaveJournalTest, ASpoolThatWasInUseHasAJournalOrAMark) {
  used = true;
  EXPECT_THAT(open()->damage().at(0), HasSubstr("though this spool has been in use"));
  used = false;
  ASSERT_TRUE(open()->tell_until(command().said_at));
  used = true;
  EXPECT_TRUE(open()->damage().empty()) << "nobody has said anything";
  EXPECT_EQ(open()->told_until(), command().said_at);
  folder.write("waves.journal.mark", "nonsense");
  EXPECT_FALSE(open()->damage().empty());
}

TEST_F(WaveJournalTest, AfterAFailedWriteTheCommandDidNotHappen) {
  auto journal = open();
  ASSERT_TRUE(journal->append(command(WaveVerb::hold, "first")));
  // The file may grow by half a line: the kernel writes that much, then refuses.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = old;
  tight.rlim_cur = content().size() + 20;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = journal->append(command(WaveVerb::hold, "second"));
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::exhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("File too large"));
  EXPECT_EQ(journal->commands().size(), 1u);
  EXPECT_THAT(waves(), ElementsAre("first"));
  ASSERT_TRUE(journal->append(command(WaveVerb::hold, "third")));
  EXPECT_THAT(waves(), ElementsAre("first", "third"));
  EXPECT_TRUE(complaints.empty());
}

TEST_F(WaveJournalTest, WhatCannotBeOpenedIsNamed) {
  path = folder.path() + "/nowhere/waves.journal";
  auto journal = open();
  const auto refused = journal->append(command());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("cannot open " + path));
  EXPECT_TRUE(journal->commands().empty());
  path = folder.path();
  journal = open();
  ASSERT_EQ(journal->damage().size(), 1u) << "a folder";
  EXPECT_THAT(journal->damage()[0], HasSubstr(path));
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
  EXPECT_THAT(trouble(R"(,"members":["a"],"targets":"b")"), HasSubstr("'targets'"));
  EXPECT_THAT(trouble(R"(,"members":["a"],"targets":["b","c"])"), HasSubstr("'targets'"));
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
