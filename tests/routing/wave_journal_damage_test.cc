// The journal of waves and its mark: what is told apart when one of them, or both, are not what
// they were, and that no crash and no failing disk looks like damage.
#include "base/fault_disk.h"
#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

#include <sstream>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;

WaveCommand word(WaveVerb verb, std::string wave) {
  WaveCommand made;
  made.verb = verb;
  made.wave = std::move(wave);
  made.said_at = WallTime(std::chrono::microseconds(1'796'126'400'000'001));
  made.by = "root (uid 0)";
  return made;
}

std::vector<std::string> waves_of(const std::vector<WaveCommand>& commands) {
  std::vector<std::string> out;
  for (const auto& one : commands) out.push_back(one.wave);
  return out;
}

/// What is put in the place of a file.
struct As {
  enum What { content, gone, folder } what = content;
  std::string text = {};
};
const As kGone{As::gone, {}}, kUnreadable{As::folder, {}};

class WaveJournalDamage : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  std::string path = folder.path() + "/waves.journal";
  std::string mark_path = path + ".mark";
  std::vector<std::string> complaints;
  bool used = true;  // the spool has had a gateway
  /// After each start and each word, in order.
  std::vector<std::string> journals, marks;

  std::unique_ptr<WaveJournal> start() {
    complaints.clear();
    auto journal = WaveJournal::open(
        Disk::system(), path, [&](const std::string& text) { complaints.push_back(text); }, used);
    EXPECT_TRUE(journal->tell_until(word(WaveVerb::hold, "").said_at));
    return journal;
  }
  static std::string content(const std::string& of) {
    std::ifstream file(of, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
  }
  void keep() {
    journals.push_back(content(path));
    marks.push_back(content(mark_path));
  }
  /// Three words are acknowledged.
  void say_three() {
    used = false;
    const auto journal = start();
    keep();
    for (const auto* wave : {"one", "two", "three"}) {
      ASSERT_TRUE(journal->append(word(WaveVerb::activate, wave)));
      keep();
    }
    used = true;
  }

  static void put(const std::string& where, const As& as) {
    std::filesystem::remove_all(where);
    if (as.what == As::folder) std::filesystem::create_directory(where);
    if (as.what == As::content) std::ofstream(where, std::ios::binary) << as.text;
  }
  /// Without damage: how many of the three words are known. A start that sees damage sees it again
  /// at the next, and changes neither file.
  std::optional<std::size_t> known(const As& journal, const As& mark) {
    put(path, journal);
    put(mark_path, mark);
    const auto looked = read_wave_journal(path, used);
    const auto opened = start();
    const bool damaged = !opened->damage().empty();
    EXPECT_EQ(!looked || !looked->damage.empty(), damaged) << "a look sees what a start sees";
    if (!damaged) return opened->commands().size();
    EXPECT_EQ(complaints, opened->damage());
    EXPECT_FALSE(start()->damage().empty()) << "still";
    if (journal.what == As::content) {
      EXPECT_EQ(content(path), journal.text);
    }
    if (mark.what == As::content) {
      EXPECT_EQ(content(mark_path), mark.text);
    }
    EXPECT_FALSE(opened->append(word(WaveVerb::hold, "four")));
    return std::nullopt;
  }
};

std::string nuls(const std::string& like) { return std::string(like.size(), '\0'); }

constexpr std::optional<std::size_t> kDamage;

TEST_F(WaveJournalDamage, EachOfTheTwoFilesShowsWhatHappenedToTheOther) {
  say_three();
  const std::string whole = journals[3], mark = marks[3];
  const std::string last = whole.substr(journals[2].size());
  const std::vector<std::pair<std::string, As>> no_journals = {
      {"empty", {As::content, ""}},
      {"NULs", {As::content, nuls(whole)}},
      {"blank lines", {As::content, "\n\n"}},
      {"blanks", {As::content, "    "}},
      {"half a line", {As::content, whole.substr(0, 30)}},
      {"half a line with an end", {As::content, whole.substr(30, journals[1].size() - 30)}},
      {"gone", kGone},
      {"unreadable", kUnreadable},
  };
  const std::vector<std::pair<std::string, As>> cut_journals = {
      {"last line lost", {As::content, journals[2]}},
      {"last line torn", {As::content, journals[2] + last.substr(0, 40)}},
      {"last line torn by NULs", {As::content, journals[2] + nuls(last)}},
      {"last line blank", {As::content, journals[2] + std::string(last.size() - 1, ' ') + "\n"}},
      {"last line without end", {As::content, whole.substr(0, whole.size() - 1)}},
      {"only the first", {As::content, journals[1]}},
      {"without the first", {As::content, whole.substr(journals[1].size())}},
      {"only the last", {As::content, last}},
  };
  const std::vector<std::pair<std::string, As>> no_marks = {
      {"empty", {As::content, ""}},
      {"NULs", {As::content, nuls(mark)}},
      {"blank", {As::content, "\n"}},
      {"cut", {As::content, mark.substr(0, mark.size() / 2)}},
      {"NULs behind half", {As::content, mark.substr(0, 20) + nuls(mark.substr(20))}},
      {"gone", kGone},
      {"unreadable", kUnreadable},
  };
  const As good{As::content, whole}, good_mark{As::content, mark};
  EXPECT_EQ(known(good, good_mark), 3u);
  for (const auto& [marked, as] : no_marks) {
    EXPECT_EQ(known(good, as), kDamage) << "journal whole, mark " << marked;
    for (const auto* some : {&no_journals, &cut_journals})
      for (const auto& [name, journal] : *some)
        EXPECT_EQ(known(journal, as), kDamage) << "journal: " << name << ", mark: " << marked;
  }
  for (const auto* some : {&no_journals, &cut_journals})
    for (const auto& [name, journal] : *some)
      EXPECT_EQ(known(journal, good_mark), kDamage) << "journal: " << name << ", mark whole";
}

TEST_F(WaveJournalDamage, WhatACrashLeavesIsNone) {
  say_three();
  const std::string whole = journals[3], last = whole.substr(journals[2].size());
  const auto with = [](const std::string& text) { return As{As::content, text}; };
  EXPECT_EQ(known(with(whole), with(marks[2])), 3u) << "between the line and its mark";
  EXPECT_EQ(known(with(journals[1]), with(marks[0])), 1u) << "the same with the first word";
  EXPECT_EQ(known(kGone, with(marks[0])), 0u) << "nobody has said anything";
  EXPECT_EQ(known(with(""), with(marks[0])), 0u) << "as the first line was to be written";
  EXPECT_EQ(known(with(nuls(journals[1])), with(marks[0])), 0u);
  for (std::size_t cut = 1; cut < last.size(); cut += 1 + cut / 8) {
    ASSERT_EQ(known(with(journals[2] + last.substr(0, cut)), with(marks[2])), 2u) << cut;
    ASSERT_EQ(
        known(with(journals[2] + nuls(last.substr(0, cut)) + last.substr(cut)), with(marks[2])), 2u)
        << cut;
  }
  // Only the mark tells these from a lost line.
  EXPECT_EQ(known(with(whole + std::string(4096, '\0')), with(marks[3])), 3u);
  EXPECT_EQ(known(with(whole + "\n\n   \n"), with(marks[3])), 3u);
}

TEST_F(WaveJournalDamage, AMarkOfAnotherTimeOrJournalIsDamage) {
  say_three();
  const auto with = [](const std::string& text) { return As{As::content, text}; };
  EXPECT_EQ(known(with(journals[3]), with(marks[1])), kDamage);
  EXPECT_THAT(complaints.at(0), HasSubstr("waves.journal.mark: it is older than"));
  EXPECT_EQ(known(with(journals[3]), with(marks[0])), kDamage);
  auto changed = marks[3];
  changed.replace(changed.find("\"commands\":3"), 12, "\"commands\":2");
  EXPECT_EQ(known(with(journals[2]), with(changed)), kDamage);
  EXPECT_THAT(complaints.at(0), HasSubstr("it was changed after it was written"));
  // As many words, but others.
  put(path, kGone);
  put(mark_path, kGone);
  used = false;
  {
    const auto other = start();
    for (const auto* wave : {"one", "two", "four"})
      ASSERT_TRUE(other->append(word(WaveVerb::activate, wave)));
  }
  used = true;
  EXPECT_EQ(known(with(content(path)), with(marks[3])), kDamage);
  EXPECT_THAT(complaints.at(0), HasSubstr("but others than stand there"));
}

TEST_F(WaveJournalDamage, WithoutEitherFileItDependsOnTheSpool) {
  used = true;
  EXPECT_EQ(known(kGone, kGone), kDamage);
  EXPECT_THAT(complaints.at(0), HasSubstr("though this spool has been in use"));
  used = false;
  EXPECT_EQ(known(kGone, kGone), 0u) << "a new one";
  // An empty file that was there is no journal, whatever is known of the spool.
  EXPECT_EQ(known({As::content, ""}, kGone), kDamage);
  EXPECT_EQ(known(kGone, {As::content, ""}), kDamage);
  EXPECT_EQ(known({As::content, ""}, {As::content, ""}), kDamage);
}

// What marks have not been there for looks as if they had never been: so its lines are sealed.
TEST_F(WaveJournalDamage, AJournalOfAnOldVersionIsTakenOnceAndIsSealedThen) {
  const auto one = R"({"time":"2026-11-27T12:00:00.5Z","verb":"activate","wave":"one"})";
  const auto two = R"({"verb":"rollback","time":"2026-11-27T12:00:01Z","wave":"two","later":1})";
  const std::string old = std::string(one) + "\n" + two + "\n";
  EXPECT_EQ(known({As::content, old + "{\"time"}, kGone), 2u);
  const auto sealed = content(path);
  EXPECT_THAT(sealed, HasSubstr("\"later\":1,\"sum\":\""));
  const As marked{As::content, content(mark_path)};
  EXPECT_EQ(known({As::content, old}, marked), 2u) << "a crash before they were sealed";
  EXPECT_EQ(known({As::content, sealed}, kGone), kDamage);
  EXPECT_EQ(known({As::content, sealed}, marked), 2u);
  EXPECT_EQ(known({As::content, one + sealed.substr(sealed.find('\n'))}, kGone), kDamage)
      << "one sealed line tells that there was a mark";
  // A mark of the version before, which knew the number only.
  EXPECT_EQ(known({As::content, sealed}, {As::content, "{\"commands\":2}\n"}), 2u);
  EXPECT_EQ(known({As::content, sealed}, {As::content, "{\"commands\":3}\n"}), kDamage);
}

TEST_F(WaveJournalDamage, WhateverIsDamagedCanBeAccepted) {
  say_three();
  const std::vector<As> states = {{As::content, journals[3]},
                                  {As::content, journals[2]},
                                  {As::content, ""},
                                  {As::content, nuls(journals[3])},
                                  kGone,
                                  kUnreadable};
  const std::vector<std::size_t> left = {3, 2, 0, 0, 0, 0};
  for (std::size_t i = 0; i < states.size(); ++i) {
    for (const As& mark : {As{As::content, ""}, As{As::content, nuls(marks[3])}, kGone}) {
      put(path, states[i]);
      put(mark_path, mark);
      auto journal = start();
      ASSERT_FALSE(journal->damage().empty()) << i;
      const auto aside = journal->accept(word(WaveVerb::hold, "").said_at);
      ASSERT_TRUE(aside) << aside.error().message;
      EXPECT_EQ(aside->empty(), states[i].what == As::gone);
      if (!aside->empty()) {
        EXPECT_TRUE(std::filesystem::exists(*aside));
        std::filesystem::remove_all(*aside);
      }
      ASSERT_TRUE(journal->append(word(WaveVerb::hold, "four")));
      journal = start();
      EXPECT_TRUE(journal->damage().empty());
      EXPECT_EQ(journal->commands().size(), left[i] + 1);
    }
  }
}

// Every operation of the disk fails once, or is the last before a power cut.
class WaveJournalOnABadDisk : public ::testing::Test {
 protected:
  static constexpr const char* kPath = "/var/lib/waypost/waves.journal";
  FaultDisk disk;
  std::vector<std::string> acknowledged;
  bool used = false;
  bool marks_at_start = true;  // else it could not

  std::unique_ptr<WaveJournal> open() {
    return WaveJournal::open(disk, kPath, [](const std::string&) {}, used);
  }
  void say(WaveJournal& journal, const std::string& wave) {
    if (!journal.append(word(WaveVerb::activate, wave))) return;
    acknowledged.push_back(wave);
    used = true;
  }
  void live(const std::string& name) {
    const auto journal = open();
    if (marks_at_start) static_cast<void>(journal->tell_until(word(WaveVerb::hold, "").said_at));
    for (const auto* wave : {"-1", "-2", "-3"}) say(*journal, name + wave);
    static_cast<void>(journal->tell_until(word(WaveVerb::hold, "").said_at));
    say(*journal, name + "-4");
  }
  /// Refused words may be found, too, in their order.
  void expect_all_known(const std::string& when) {
    const auto journal = open();
    ASSERT_TRUE(journal->damage().empty()) << when << ": " << journal->damage().front();
    const auto found = waves_of(journal->commands());
    std::size_t known = 0;
    for (const auto& wave : found)
      if (known < acknowledged.size() && wave == acknowledged[known]) ++known;
    ASSERT_EQ(known, acknowledged.size()) << when;
  }
  void begin() {
    disk.forget();
    disk.restart_counting();
    acknowledged.clear();
    used = false;
  }
};

TEST_F(WaveJournalOnABadDisk, NothingThatFailsLooksLikeDamageOrLosesAWord) {
  for (std::uint64_t nth = 1; nth < 60; ++nth) {
    for (const auto how : {FaultDisk::Fault::io, FaultDisk::Fault::full}) {
      for (std::uint64_t seed = 0; seed < 6; ++seed) {
        begin();
        const auto when = "operation " + std::to_string(nth) + ", seed " + std::to_string(seed);
        disk.fail_operation(nth, how);
        live("a");
        expect_all_known(when + ", restart");
        if (seed % 2 == 0) live("b");
        std::mt19937_64 random(seed);
        disk.crash(random);
        expect_all_known(when + ", power cut");
        live("c");
        expect_all_known(when + ", later");
      }
    }
  }
}

TEST_F(WaveJournalOnABadDisk, NoPowerCutLooksLikeDamageOrLosesAWord) {
  for (std::uint64_t nth = 1; nth < 60; ++nth) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      begin();
      const auto when = "operation " + std::to_string(nth) + ", seed " + std::to_string(seed);
      disk.stop_at(nth);
      marks_at_start = seed % 2 == 0;
      live("a");
      std::mt19937_64 random(seed);
      disk.crash(random);
      expect_all_known(when);
      disk.stop_at(nth % 13 + 1);
      live("b");
      disk.crash(random);
      expect_all_known(when + ", again");
      live("c");
      expect_all_known(when + ", later");
    }
  }
}

// A killed process leaves a line that only the system's memory has, and no sync brings it to the
// disk: a mark that knew it would make its loss look like damage.
TEST_F(WaveJournalOnABadDisk, AWordThatIsNotOnTheDiskIsNotMarked) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    begin();
    auto journal = open();
    say(*journal, "one");
    disk.restart_counting();
    disk.stop_at(2);  // the line is written, not synced
    say(*journal, "two");
    ASSERT_EQ(acknowledged.size(), 1u);
    journal.reset();
    ASSERT_EQ(open()->commands().size(), 2u);
    disk.restart_counting();
    disk.fail_operation(1, FaultDisk::Fault::io);
    EXPECT_FALSE(open()->tell_until(word(WaveVerb::hold, "").said_at));
    std::mt19937_64 random(seed);
    disk.crash(random);
    expect_all_known("seed " + std::to_string(seed));
  }
}

// The line is there, its mark is not: the operator hears that nothing changed, and so it is.
TEST_F(WaveJournalOnABadDisk, AWordWhoseMarkCannotBeWrittenDidNotHappen) {
  // Of the second word of a life: its line, a sync, the old .new goes, the mark is made, written,
  // synced and moved.
  for (const std::uint64_t nth : {4u, 5u, 6u, 7u}) {
    begin();
    auto journal = open();
    say(*journal, "one");
    disk.restart_counting();
    disk.fail_operation(nth, FaultDisk::Fault::io);
    ASSERT_FALSE(journal->append(word(WaveVerb::hold, "in vain"))) << nth;
    EXPECT_EQ(waves_of(journal->commands()), acknowledged);
    EXPECT_EQ(waves_of(open()->commands()), acknowledged);
    if (nth == 6) journal = open();  // after a failed sync only a restart helps
    ASSERT_TRUE(journal->append(word(WaveVerb::hold, "next"))) << nth;
    EXPECT_TRUE(open()->damage().empty());
    EXPECT_EQ(waves_of(open()->commands()), (std::vector<std::string>{"one", "next"}));
  }
}

}  // namespace
}  // namespace waypost::routing
