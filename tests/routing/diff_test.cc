#include "routing/routing_fixture.h"

namespace waypost::routing {
namespace {

TEST(TableDiff, EqualTablesDoNotDiffer) {
  const auto one = table_of({entry("A@corp.example", "a@t.example")});
  const auto other = table_of({entry("a@Corp.example", "A@T.example", EntryState::active, {}, 9)});
  const auto changes = diff(*one, *other);
  EXPECT_EQ(changes.summary(), "no change");
  EXPECT_TRUE(changes.added.empty() && changes.removed.empty() && changes.changed.empty());
}

TEST(TableDiff, NamesWhatWasAddedRemovedAndChanged) {
  const auto before =
      table_of({entry("a@corp.example", "a@t.example"), entry("b@corp.example", "b@t.example"),
                entry("c@corp.example", "c@t.example"),
                entry("d@corp.example", "d@t.example", EntryState::pending)});
  const auto after =
      table_of({entry("a@corp.example", "a@t.example"), entry("c@corp.example", "cc@t.example"),
                entry("d@corp.example", "d@t.example"), entry("z@corp.example", "z@t.example"),
                entry("e@corp.example", "e@t.example")});
  const auto changes = diff(*before, *after);
  ASSERT_EQ(changes.added.size(), 2u);
  EXPECT_EQ(changes.added[0].address.local_part, "e");
  EXPECT_EQ(changes.added[1].address.local_part, "z");
  ASSERT_EQ(changes.removed.size(), 1u);
  EXPECT_EQ(changes.removed[0].address.local_part, "b");
  ASSERT_EQ(changes.changed.size(), 2u);
  EXPECT_EQ(changes.changed[0].first.target.local_part, "c");
  EXPECT_EQ(changes.changed[0].second.target.local_part, "cc");
  EXPECT_EQ(changes.summary(), "2 added, 1 removed, 1 target changed, 1 state or wave changed");
}

TEST(TableDiff, CountsInThePlural) {
  const auto before =
      table_of({entry("a@corp.example", "a@t.example"), entry("b@corp.example", "b@t.example")});
  const auto after =
      table_of({entry("a@corp.example", "x@t.example"), entry("b@corp.example", "y@t.example")});
  EXPECT_EQ(diff(*before, *after).summary(), "0 added, 0 removed, 2 targets changed");
}

TEST(TableDiff, CountsAllAndNamesAsManyAsWereAskedFor) {
  std::vector<Entry> many;
  for (int n = 0; n < 20; ++n)
    many.push_back(entry("u" + std::to_string(n) + "@corp.example", "t@t.example"));
  const auto changes = diff(*TableBuilder().build(), *table_of(many), 3);
  EXPECT_EQ(changes.added.size(), 3u);
  EXPECT_EQ(changes.added_count, 20u);
  EXPECT_EQ(changes.summary(), "20 added, 0 removed, 0 targets changed");
}

TEST(TableDiff, FromNothing) {
  const auto after = table_of({entry("a@corp.example", "x@t.example")});
  EXPECT_EQ(diff(*TableBuilder().build(), *after).summary(),
            "1 added, 0 removed, 0 targets changed");
}

}  // namespace
}  // namespace waypost::routing
