// What was promised is there after every power cut, what was refused is not there after a restart.
#include "waypost/base/durable.h"

#include "base/fault_disk.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

namespace waypost {
namespace {

constexpr const char* kPath = "/var/lib/waypost/notes";

struct Notes {
  explicit Notes(Disk& disk) : journal(disk, kPath) {
    const auto read = journal.read(
        [this](std::string_view line) -> Result<> {
          if (!line.starts_with("say ")) return fail(ErrorKind::invalid, "not a word of ours");
          std::string word(line.substr(4));
          word.erase(word.find_last_not_of(' ') + 1);
          words.push_back(std::move(word));
          return {};
        },
        [this](const AppendJournal::Defect& defect) { defects.push_back(defect); });
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
  }
  bool say(const std::string& word) { return journal.append("say " + word).has_value(); }
  std::vector<std::string> words;
  std::vector<AppendJournal::Defect> defects;
  AppendJournal journal;
};

using Words = std::vector<std::string>;

class Durable : public ::testing::Test {
 protected:
  FaultDisk disk;
  void start_anew() {
    disk.forget();
    disk.restart_counting();
  }
  void cut_power(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    disk.crash(random);
  }
  std::string content() {
    const auto* bytes = disk.bytes(kPath);
    return bytes == nullptr ? "none" : *bytes;
  }
};

TEST_F(Durable, WhatAJournalPromisedSurvivesEveryFailureAndEveryPowerCut) {
  for (std::uint64_t nth = 1; nth < 30; ++nth) {
    for (const auto how : {FaultDisk::Fault::io, FaultDisk::Fault::full}) {
      for (std::uint64_t seed = 0; seed < 8; ++seed) {
        start_anew();
        disk.fail_operation(nth, how);
        Words promised;
        {
          Notes notes(disk);
          for (const std::string& word :
               {std::string("one"), std::string(5000, 'x'), std::string("two")})
            if (notes.say(word)) promised.push_back(word);
          std::string lines;
          for (const auto& word : promised) lines += "say " + word + "\n";
          (void)notes.journal.rewrite(lines);
          if (notes.say("three")) promised.push_back("three");
        }
        cut_power(seed);
        Notes notes(disk);
        std::size_t found = 0;
        for (const auto& word : notes.words)
          if (found < promised.size() && word == promised[found]) ++found;
        ASSERT_EQ(found, promised.size()) << "operation " << nth << " seed " << seed;
        for (const auto& defect : notes.defects) EXPECT_TRUE(defect.last);
        ASSERT_TRUE(notes.say("four"));
        Notes again(disk);
        EXPECT_EQ(again.words.back(), "four");
        EXPECT_TRUE(again.defects.empty()) << "operation " << nth << " seed " << seed;
      }
    }
  }
}

TEST_F(Durable, WhatAJournalRefusedIsNotThereAfterARestart) {
  for (std::uint64_t nth = 1; nth < 12; ++nth) {
    for (const auto how : {FaultDisk::Fault::io, FaultDisk::Fault::full}) {
      start_anew();
      disk.fail_operation(nth, how);
      Words promised;
      {
        Notes notes(disk);
        for (const std::string& word :
             {std::string("one"), std::string(300, 'x'), std::string("two")})
          if (notes.say(word)) promised.push_back(word);
      }
      Notes notes(disk);
      EXPECT_EQ(notes.words, promised) << nth;
      EXPECT_TRUE(notes.defects.empty()) << nth << ": a half line stays";
    }
  }
}

TEST_F(Durable, AfterAFailedSyncAJournalTakesNoMoreUntilARestart) {
  Notes notes(disk);
  ASSERT_TRUE(notes.say("one"));
  disk.restart_counting();
  disk.fail_operation(2, FaultDisk::Fault::io);  // write, then sync
  EXPECT_FALSE(notes.say("two"));
  const auto before = disk.operations();
  const auto refused = notes.journal.append("say three");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::read_only);
  EXPECT_NE(refused.error().message.find("restart"), std::string::npos);
  EXPECT_FALSE(notes.journal.rewrite("say four\n"));
  EXPECT_FALSE(notes.journal.rewrite(""));
  EXPECT_EQ(disk.operations(), before) << "the disk is left alone";
  EXPECT_EQ(Notes(disk).words, Words{"one"});
  EXPECT_TRUE(Notes(disk).say("five"));
}

// The system takes what a failed sync has left for written, and no later sync writes it.
TEST_F(Durable, AStartDoesNotFindWhatOnlyMemoryHas) {
  {
    Notes notes(disk);
    ASSERT_TRUE(notes.say("one"));
    disk.restart_counting();
    disk.fail_operation(2, FaultDisk::Fault::io);  // write, then sync
    disk.stop_at(3);                               // killed before it could wipe the line
    EXPECT_FALSE(notes.say("two"));
  }
  disk.restart_counting();
  EXPECT_EQ(Notes(disk).words, Words{"one"});
  cut_power(1);
  EXPECT_EQ(Notes(disk).words, Words{"one"});
}

TEST_F(Durable, AFailedWriteFailsItsOwnLineOnly) {
  Notes notes(disk);
  ASSERT_TRUE(notes.say("one"));
  disk.set_full(true);
  EXPECT_FALSE(notes.say(std::string(9000, 'x')));
  EXPECT_FALSE(notes.say("two"));
  disk.set_full(false);
  ASSERT_TRUE(notes.journal.usable());
  ASSERT_TRUE(notes.say("three"));
  EXPECT_EQ(Notes(disk).words, (Words{"one", "three"}));
  EXPECT_TRUE(Notes(disk).defects.empty());
}

TEST_F(Durable, ALineThatIsTakenBackIsNotThereAfterAPowerCut) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    start_anew();
    {
      Notes notes(disk);
      ASSERT_TRUE(notes.say("one"));
      ASSERT_TRUE(notes.say("a long word that is taken back"));
      notes.journal.take_back();
      if (seed % 2 == 0) {
        ASSERT_TRUE(notes.say("two"));
        ASSERT_TRUE(notes.say("three"));
      }
    }
    cut_power(seed);
    Notes notes(disk);
    EXPECT_EQ(notes.words, seed % 2 == 0 ? Words({"one", "two", "three"}) : Words({"one"}));
    EXPECT_TRUE(notes.defects.empty());
    ASSERT_TRUE(notes.say("four"));
    EXPECT_EQ(Notes(disk).words.back(), "four");
  }
}

// It may be shorter than the line that a crash tears in its place.
TEST_F(Durable, WhatIsTakenBackDoesNotCutTheNextLineInTwo) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    start_anew();
    {
      Notes notes(disk);
      ASSERT_TRUE(notes.say("one"));
      ASSERT_TRUE(notes.say("x"));
      notes.journal.take_back();
      disk.restart_counting();
      disk.stop_at(2);  // written, not synced
      EXPECT_FALSE(notes.say("a word that is much longer"));
    }
    cut_power(seed);
    for (const auto& defect : Notes(disk).defects) EXPECT_TRUE(defect.last) << seed;
  }
}

TEST_F(Durable, ATornLastLineIsToldOfAndCovered) {
  ASSERT_TRUE(Notes(disk).say("one"));
  const std::string whole = content();
  for (const std::string torn : {"say tw", "s", "\n", "  \n", "nonsense\n", "nonsense\n   \n"}) {
    start_anew();
    (void)disk.open(kPath, true);
    *disk.bytes(kPath) = whole + torn + std::string(torn.back() == '\n' ? 0 : 4000, '\0');
    disk.keep_changes();
    Notes notes(disk);
    EXPECT_EQ(notes.words, Words{"one"});
    if (torn.find_first_not_of(" \n") == std::string::npos) {
      EXPECT_TRUE(notes.defects.empty());
    } else {
      ASSERT_EQ(notes.defects.size(), 1u) << torn;
      EXPECT_TRUE(notes.defects[0].last);
      EXPECT_EQ(notes.defects[0].line, 2u);
    }
    ASSERT_TRUE(notes.say("three"));
    EXPECT_EQ(Notes(disk).words, (Words{"one", "three"})) << torn;
    EXPECT_TRUE(Notes(disk).defects.empty()) << torn;
  }
}

TEST_F(Durable, ALineThatMakesNoSenseWithSoundOnesBehindItIsDamageAndStays) {
  ASSERT_TRUE(Notes(disk).say("one"));
  *disk.bytes(kPath) += "sax two\nsay three\n";
  disk.keep_changes();
  Notes notes(disk);
  ASSERT_EQ(notes.defects.size(), 1u);
  EXPECT_FALSE(notes.defects[0].last);
  EXPECT_EQ(notes.defects[0].line, 2u);
  ASSERT_TRUE(notes.say("four"));
  EXPECT_EQ(Notes(disk).words, (Words{"one", "three", "four"}));
  EXPECT_NE(content().find("sax two"), std::string::npos);
}

TEST_F(Durable, WhatCannotBeReadIsAnError) {
  ASSERT_TRUE(Notes(disk).say("one"));
  disk.fail_reads(kPath, 0, 4096);
  AppendJournal journal(disk, kPath);
  EXPECT_FALSE(journal.read([](std::string_view) { return Result<>(); },
                            [](const AppendJournal::Defect&) {}));
}

TEST_F(Durable, AReplacedFileIsWholeAtEveryPowerCut) {
  for (std::uint64_t nth = 0; nth < 8; ++nth) {
    for (std::uint64_t seed = 0; seed < 16; ++seed) {
      start_anew();
      DurableFile file(disk, kPath);
      const std::string before(6000, 'a');
      const std::string after(9000, 'b');
      ASSERT_TRUE(file.replace(before));
      disk.restart_counting();
      if (nth != 0)
        disk.fail_operation(nth, seed % 2 == 0 ? FaultDisk::Fault::io : FaultDisk::Fault::full);
      const bool replaced = file.replace(after).has_value();
      cut_power(seed);
      const std::string found = content();
      EXPECT_TRUE(found == after || (!replaced && found == before)) << nth << " seed " << seed;
    }
  }
}

TEST_F(Durable, WithoutASyncOfTheFolderTheOldOrTheNewIsThereAndWhole) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    start_anew();
    DurableFile file(disk, kPath);
    ASSERT_TRUE(file.replace("old and long"));
    ASSERT_TRUE(file.replace("new", DurableFile::Lasting::content_only));
    EXPECT_EQ(content(), "new");
    cut_power(seed);
    seen.insert(content());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"new", "old and long"}));
}

TEST_F(Durable, AReplacedFileAcceptsNothingAfterAFailedSync) {
  for (const std::uint64_t sync : {4u, 6u}) {  // remove, open, write, SYNC, rename, SYNC
    start_anew();
    DurableFile file(disk, kPath);
    disk.fail_operation(sync, FaultDisk::Fault::io);
    EXPECT_FALSE(file.replace("one"));
    EXPECT_FALSE(file.usable()) << sync;
    const auto before = disk.operations();
    EXPECT_FALSE(file.replace("two"));
    EXPECT_EQ(disk.operations(), before);
  }
  start_anew();
  DurableFile file(disk, kPath);
  disk.fail_operation(3, FaultDisk::Fault::full);
  EXPECT_FALSE(file.replace("one"));
  EXPECT_TRUE(disk.paths().empty()) << "nothing is left beside it";
  EXPECT_TRUE(file.replace("two"));
  EXPECT_EQ(content(), "two");
}

/// A real folder: only there a name can lead to another file than the one that is open.
TEST(Replaced, AJournalWhoseNameLeadsElsewhereTakesNoLine) {
  namespace fs = std::filesystem;
  std::string folder = "/tmp/waypost-replaced-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/journal", aside = folder + "/aside";
  const auto read = [](AppendJournal& journal) {
    std::string all;
    EXPECT_TRUE(journal.read(
        [&](std::string_view line) -> Result<> {
          all += std::string(line) + ";";
          return {};
        },
        [](const AppendJournal::Defect&) {}));
    return all;
  };
  AppendJournal journal(Disk::system(), path);
  EXPECT_EQ(read(journal), "");
  ASSERT_TRUE(journal.append("one"));
  fs::rename(path, aside);
  const auto gone = journal.append("two");
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().message.find("replaced, moved, removed"), std::string::npos);
  fs::copy_file(aside, path);  // the same octets, but another file
  EXPECT_FALSE(journal.append("three"));
  fs::rename(aside, path);
  EXPECT_TRUE(journal.append("four")) << "the file is back";
  fs::resize_file(path, 0);
  EXPECT_FALSE(journal.append("five"));
  EXPECT_EQ(fs::file_size(path), 0u) << "no hole in front of it";
  AppendJournal later(Disk::system(), path);
  EXPECT_EQ(read(later), "");
  ASSERT_TRUE(later.append("six"));
  AppendJournal last(Disk::system(), path);
  EXPECT_EQ(read(last), "six;");
  fs::remove_all(folder);
}

TEST(SystemDiskLock, HoldsThoughItsFileIsRemoved) {
  std::string folder = ::testing::TempDir() + "lock-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/lock";
  {
    const auto held = Disk::system().lock(path);
    ASSERT_TRUE(held) << held.error().message;
    EXPECT_FALSE(Disk::system().lock(path));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    const auto second = Disk::system().lock(path);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another waypost uses this spool"), std::string::npos);
  }
  EXPECT_TRUE(Disk::system().lock(path)) << "it goes with its holder";
}

}  // namespace
}  // namespace waypost
