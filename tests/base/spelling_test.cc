#include "waypost/base/spelling.h"

#include <gtest/gtest.h>

#include <array>

namespace waypost {
namespace {

constexpr std::array<std::string_view, 4> kStates = {"pending", "migrating", "active",
                                                     "rolled_back"};

TEST(EditDistance, CountsInsertionsDeletionsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("abdc", "abcd"), 1u);
  EXPECT_EQ(edit_distance("Rolled-Back", "rolled_back"), 0u);
}

TEST(EditDistance, IsTheSameBothWays) {
  EXPECT_EQ(edit_distance("listenres", "listeners"), edit_distance("listeners", "listenres"));
  EXPECT_EQ(edit_distance("own_domain", "own_domains"), 1u);
}

TEST(EditDistance, OverlongWordsAreFarFromEverything) {
  EXPECT_GT(edit_distance(std::string(1000, 'a'), "a"), 1'000'000u);
  EXPECT_TRUE(nearest_word(std::string(1000, 'a'), kStates).empty());
}

TEST(NearestWord, FindsWhatWasMeant) {
  EXPECT_EQ(nearest_word("actve", kStates), "active");
  EXPECT_EQ(nearest_word("Pendign", kStates), "pending");
  EXPECT_EQ(nearest_word("rolledback", kStates), "rolled_back");
  EXPECT_EQ(nearest_word("rolled", kStates), "rolled_back");
}

TEST(NearestWord, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest_word("banana", kStates), "");
  EXPECT_EQ(nearest_word("", kStates), "");
  EXPECT_EQ(suggestion("banana", kStates),
            "; known are pending, migrating, active and rolled_back");
  EXPECT_EQ(suggestion("activ", kStates), "; did you mean 'active'?");
}

}  // namespace
}  // namespace waypost
