// Whatever happens to the files of a sealed journal: it is seen, or nothing that was acknowledged
// is missing.
#include "waypost/base/sealed_journal.h"

#include "base/fault_disk.h"

#include <gtest/gtest.h>

namespace waypost {
namespace {

using Words = std::vector<std::string>;
constexpr const char* kPath = "/spool/words";
constexpr const char* kMark = "/spool/words.mark";

std::string object_of(const std::string& word) { return "{\"word\":\"" + word + "\"}"; }

struct Reader {
  explicit Reader(FaultDisk& disk) : journal(disk, kPath) {
    disk.keep_changes();  // those of the test
    wrong = journal.read(
        [this](std::string_view line) -> Result<> {
          constexpr std::string_view kBegin = "{\"word\":\"";
          if (!line.starts_with(kBegin)) return fail(ErrorKind::invalid, "not a word of ours");
          words.emplace_back(line.substr(kBegin.size(), line.size() - kBegin.size() - 2));
          return {};
        },
        [this](std::string what) { remarks.push_back(std::move(what)); });
  }
  Result<> say(const std::string& word) { return journal.append(object_of(word)); }
  Words words, wrong, remarks;
  SealedJournal journal;
};

class SealedJournalTest : public ::testing::Test {
 protected:
  FaultDisk disk;

  void say_three() {
    disk.forget();
    Reader reader(disk);
    for (const char* word : {"one", "two", "three"}) ASSERT_TRUE(reader.say(word));
  }
};

TEST_F(SealedJournalTest, WhatIsWholeIsSound) {
  say_three();
  Reader reader(disk);
  EXPECT_EQ(reader.wrong, Words{});
  EXPECT_EQ(reader.remarks, Words{});
  EXPECT_EQ(reader.words, (Words{"one", "two", "three"}));
  ASSERT_TRUE(reader.say("four"));
  EXPECT_EQ(Reader(disk).words, (Words{"one", "two", "three", "four"}));
}

TEST_F(SealedJournalTest, NoFilesAreNoWords) {
  Reader reader(disk);
  EXPECT_EQ(reader.wrong, Words{});
  EXPECT_TRUE(reader.journal.rewrite({}));
  EXPECT_TRUE(disk.paths().empty());
}

TEST_F(SealedJournalTest, EveryChangedOctetShows) {
  say_three();
  const std::size_t size = disk.bytes(kPath)->size();
  for (const char* path : {kPath, kMark}) {
    for (std::size_t at = 0; at < (path == kPath ? size : disk.bytes(kMark)->size()); ++at) {
      say_three();
      (*disk.bytes(path))[at] ^= 4;
      Reader reader(disk);
      EXPECT_NE(reader.wrong, Words{}) << path << " octet " << at;
      EXPECT_FALSE(reader.say("four")) << "nothing is added to what is damaged";
    }
  }
}

TEST_F(SealedJournalTest, EveryCutShows) {
  say_three();
  const std::size_t size = disk.bytes(kPath)->size();
  for (std::size_t cut = 1; cut <= size; ++cut) {
    say_three();
    disk.bytes(kPath)->resize(size - cut);
    EXPECT_NE(Reader(disk).wrong, Words{}) << "cut by " << cut;
  }
  say_three();
  for (const std::size_t left : {0u, 1u, 5u, 12u}) {
    say_three();
    disk.bytes(kMark)->resize(left);
    EXPECT_NE(Reader(disk).wrong, Words{}) << "mark of " << left;
  }
}

TEST_F(SealedJournalTest, EveryMissingLineShows) {
  for (std::size_t gone = 0; gone < 3; ++gone) {
    say_three();
    std::string& text = *disk.bytes(kPath);
    std::size_t begin = 0;
    for (std::size_t line = 0; line < gone; ++line) begin = text.find('\n', begin) + 1;
    text.erase(begin, text.find('\n', begin) + 1 - begin);
    EXPECT_NE(Reader(disk).wrong, Words{}) << gone;
  }
}

TEST_F(SealedJournalTest, AMissingFileShows) {
  for (const char* path : {kPath, kMark}) {
    say_three();
    ASSERT_TRUE(disk.remove(path));
    EXPECT_NE(Reader(disk).wrong, Words{}) << path;
  }
}

TEST_F(SealedJournalTest, OneOfTheTwoFromAnOlderCopyShows) {
  say_three();
  const std::string old_text = *disk.bytes(kPath);
  const std::string old_mark = *disk.bytes(kMark);
  for (const bool text : {true, false}) {
    say_three();
    Reader reader(disk);
    ASSERT_TRUE(reader.say("four"));
    ASSERT_TRUE(reader.say("five"));
    *disk.bytes(text ? kPath : kMark) = text ? old_text : old_mark;
    EXPECT_NE(Reader(disk).wrong, Words{}) << text;
  }
}

TEST_F(SealedJournalTest, ATornLineThatNobodyWasToldOfIsLeftOut) {
  say_three();
  *disk.bytes(kPath) += R"({"word":"fo)";
  Reader reader(disk);
  EXPECT_EQ(reader.wrong, Words{});
  EXPECT_EQ(reader.remarks.size(), 1u);
  EXPECT_EQ(reader.words, (Words{"one", "two", "three"}));
}

TEST_F(SealedJournalTest, LinesOfAnOlderVersionAreTakenAndSealedByARewrite) {
  disk.forget();
  ASSERT_TRUE(disk.open(kPath, true));
  *disk.bytes(kPath) = object_of("one") + "\n" + object_of("two") + "\n";
  Reader reader(disk);
  EXPECT_EQ(reader.wrong, Words{});
  EXPECT_EQ(reader.words, (Words{"one", "two"}));
  ASSERT_TRUE(reader.say("three"));
  EXPECT_EQ(Reader(disk).wrong, Words{});
  ASSERT_TRUE(reader.journal.rewrite({object_of("two")}));
  Reader after(disk);
  EXPECT_EQ(after.wrong, Words{});
  EXPECT_EQ(after.words, Words{"two"});
}

TEST_F(SealedJournalTest, AfterDamageARewriteBeginsAnewAndACopyIsKept) {
  say_three();
  disk.bytes(kPath)->clear();
  Reader reader(disk);
  ASSERT_NE(reader.wrong, Words{});
  EXPECT_EQ(reader.journal.copy_aside().value(), "/spool/words.damaged");
  EXPECT_EQ(reader.journal.copy_aside().value(), "/spool/words.damaged-2");
  EXPECT_FALSE(reader.journal.usable());
  ASSERT_TRUE(reader.journal.rewrite({object_of("anew")}));
  ASSERT_TRUE(reader.say("more"));
  Reader after(disk);
  EXPECT_EQ(after.wrong, Words{});
  EXPECT_EQ(after.words, (Words{"anew", "more"}));
}

/// Every failure and every power cut, with a rewrite in the midst: what was acknowledged is there,
/// and nothing is taken for damage.
TEST_F(SealedJournalTest, NoFailureAndNoPowerCutLooksLikeDamage) {
  for (std::uint64_t nth = 0; nth < 40; ++nth) {
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
      disk.forget();
      disk.restart_counting();
      const auto how = seed % 2 == 0 ? FaultDisk::Fault::io : FaultDisk::Fault::full;
      if (seed % 3 == 0)
        disk.stop_at(nth + 1);
      else
        disk.fail_operation(nth, how);
      Words said;
      {
        Reader reader(disk);
        for (const char* word : {"one", "two", "three"})
          if (reader.say(word)) said.emplace_back(word);
        std::vector<std::string> objects;
        for (const std::string& word : said) objects.push_back(object_of(word));
        static_cast<void>(reader.journal.rewrite(objects));
        if (reader.say("four")) said.emplace_back("four");
      }
      std::mt19937_64 random(seed + 100 * nth);
      disk.crash(random);
      Reader reader(disk);
      EXPECT_EQ(reader.wrong, Words{}) << "operation " << nth << " seed " << seed;
      for (const std::string& word : said)
        EXPECT_NE(std::find(reader.words.begin(), reader.words.end(), word), reader.words.end())
            << word << " at operation " << nth << " seed " << seed;
      EXPECT_TRUE(reader.say("more")) << "operation " << nth << " seed " << seed;
    }
  }
}

}  // namespace
}  // namespace waypost
