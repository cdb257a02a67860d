// An entry with several targets changes while a copy waits: each recipient keeps the address that
// it was accepted for. Nobody gets the message twice, nobody who is still a target loses it.
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

using routing::EntryState;
using Names = std::vector<std::string>;

mail::Mailbox address(const std::string& name) { return {name, "t.example"}; }

struct Row {
  std::string user;
  Names targets;
  EntryState state = EntryState::active;
};

std::shared_ptr<const routing::Router> table(const std::vector<Row>& rows) {
  routing::Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"t.example", "h0"}};
  options.pending_next_hop = "h2";
  auto& source = options.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  for (const Row& row : rows) {
    routing::Entry entry;
    entry.address = {row.user, "corp.example"};
    entry.target = address(row.targets.at(0));
    entry.state = row.state;
    entry.has_state = true;
    for (std::size_t k = 1; k < row.targets.size(); ++k)
      entry.copies.push_back(address(row.targets[k]));
    source.entries.push_back(entry);
  }
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return *router;
}

class CopyTargets : public QueueTest {
 protected:
  Names waits;  // whose mailboxes are full

  CopyTargets() {
    h0.judge = [this](const std::string& target) {
      return std::count(waits.begin(), waits.end(), target.substr(0, target.find('@'))) > 0
                 ? deferred("452 4.2.2 full")
                 : take(target);
    };
    options.backoff = {minutes(10)};
    options.delay_notice = Duration::zero();
  }
  std::map<std::string, int> taken;
  mail::Outcome take(const std::string& target) {
    ++taken[target.substr(0, target.find('@'))];
    return delivered();
  }
  /// As inbound makes it of these rows.
  mail::Envelope mail_to(const std::vector<Row>& rows) {
    router.set(table(rows));
    auto made = envelope({});
    for (const Row& row : rows) {
      for (std::size_t k = 0; k < row.targets.size(); ++k) {
        mail::Recipient one;
        one.original = {row.user, "corp.example"};
        one.target = address(row.targets[k]);
        one.next_hop = "h0";
        one.copy = static_cast<std::uint8_t>(k);
        if (k > 0) one.notify = mail::kNotifyNever;
        made.recipients.push_back(one);
      }
    }
    return made;
  }
  void reload(const std::vector<Row>& rows) {
    router.set(table(rows));
    queue->routes_changed();
    settle();
  }
  void restart(std::uint64_t id) {
    finish();
    start();
    queue->restore(spool.kept.at(id).stored);
    settle();
  }
  bool is_done() const { return queue->stats().messages == 0; }
};

TEST_F(CopyTargets, ASelectionByTargetFindsAllThatGoThereNow) {
  start();
  waits = {"c1", "c2"};
  submit(mail_to({{"c", {"c1", "c2"}}}));
  Selector to_c1, to_c2;
  to_c1.recipient = "c1@t.example";
  to_c2.recipient = "c2@t.example";
  const auto count = [&](const Selector& selector) {
    std::size_t open = 0;
    for (const auto& one : queue->list(selector, Slice{0, 100}).messages) open += one.open.size();
    return open;
  };
  EXPECT_EQ(count(to_c1), 1u);
  EXPECT_EQ(count(to_c2), 1u) << "a copy keeps its own address";
  reload({{"c", {"c2"}}});
  EXPECT_EQ(count(to_c1), 0u);
  EXPECT_EQ(count(to_c2), 2u) << "the copy, and who waits for what becomes of it";
}

struct Variant {
  const char* name;
  Names before, waiting, after;
  std::map<std::string, int> got;
};

class ChangedEntry : public CopyTargets,
                     public ::testing::WithParamInterface<std::tuple<Variant, bool>> {};

TEST_P(ChangedEntry, GivesToEachStillMeantOnce) {
  const auto& [variant, over_a_restart] = GetParam();
  start();
  waits = variant.waiting;
  const auto id = submit(mail_to({{"c", variant.before}}));
  if (over_a_restart) restart(id);
  reload({{"c", variant.after}});
  if (over_a_restart) restart(id);
  waits.clear();
  advance(hours(3));
  EXPECT_EQ(taken, variant.got) << variant.name;
  EXPECT_TRUE(is_done());
  EXPECT_TRUE(spool.committed.empty()) << report();
}

INSTANTIATE_TEST_SUITE_P(
    Variants, ChangedEntry,
    ::testing::Combine(
        ::testing::Values(
            Variant{"a_ends", {"c1", "c2"}, {"c2"}, {"c2"}, {{"c1", 1}, {"c2", 1}}},
            Variant{"b_swapped", {"c1", "c2"}, {"c2"}, {"c2", "c1"}, {{"c1", 1}, {"c2", 1}}},
            Variant{"c_leaves", {"c1", "c2", "c3"}, {"c2"}, {"c1", "c3"}, {{"c1", 1}, {"c3", 1}}},
            Variant{"d_moves_up",
                    {"c1", "c2", "c3"},
                    {"c3"},
                    {"c1", "c3"},
                    {{"c1", 1}, {"c2", 1}, {"c3", 1}}},
            Variant{
                "e_moves_down", {"c1", "c3"}, {"c3"}, {"c1", "c2", "c3"}, {{"c1", 1}, {"c3", 1}}},
            Variant{"f_first_waits", {"c1", "c2"}, {"c1"}, {"c2", "c1"}, {{"c1", 1}, {"c2", 1}}},
            Variant{"g_copies_swapped",
                    {"c1", "c2", "c3"},
                    {"c2"},
                    {"c1", "c3", "c2"},
                    {{"c1", 1}, {"c2", 1}, {"c3", 1}}},
            Variant{"g_the_other",
                    {"c1", "c2", "c3"},
                    {"c3"},
                    {"c1", "c3", "c2"},
                    {{"c1", 1}, {"c2", 1}, {"c3", 1}}},
            Variant{"first_leaves_and_waits", {"c1", "c2"}, {"c1"}, {"c2"}, {{"c2", 1}}},
            Variant{"both_wait", {"c1", "c2"}, {"c1", "c2"}, {"c2"}, {{"c2", 1}}},
            Variant{"both_wait_swapped",
                    {"c1", "c2"},
                    {"c1", "c2"},
                    {"c2", "c1"},
                    {{"c1", 1}, {"c2", 1}}},
            Variant{
                "first_corrected", {"c1", "c2"}, {"c1"}, {"c1b", "c2"}, {{"c1b", 1}, {"c2", 1}}},
            Variant{"new_first", {"c1", "c2"}, {"c2"}, {"c9", "c2"}, {{"c1", 1}, {"c2", 1}}},
            Variant{"all_new", {"c1", "c2"}, {"c2"}, {"c8", "c9"}, {{"c1", 1}}},
            Variant{"spelt_otherwise", {"c1", "c2"}, {"c2"}, {"C2", "c1"}, {{"c1", 1}, {"C2", 1}}}),
        ::testing::Bool()),
    [](const auto& chosen) {
      return std::string(std::get<0>(chosen.param).name) +
             (std::get<1>(chosen.param) ? "_over_a_restart" : "");
    });

TEST_F(CopyTargets, TheRecipientWaitsForTheCopyAtItsNewAddressInWhateverState) {
  start();
  waits = {"c1", "c2"};
  const auto id = submit(mail_to({{"c", {"c1", "c2"}}}));
  reload({{"c", {"c2"}}});
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  const ListResult listed = queue->list({}, Slice{0, 10});
  ASSERT_EQ(listed.messages.size(), 1u);
  EXPECT_EQ(listed.messages[0].open.size(), 2u);
  waits.clear();
  advance(minutes(30));
  EXPECT_EQ(taken, (std::map<std::string, int>{{"c2", 1}}));
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
}

TEST_F(CopyTargets, ACopyThatIsRefusedIsTriedForTheRecipientAndTold) {
  start();
  waits = {"c1", "c2"};
  const auto id = submit(mail_to({{"c", {"c1", "c2"}}}));
  reload({{"c", {"c2"}}});
  h0.judge = [](const std::string&) { return failed(); };
  advance(hours(1));
  EXPECT_EQ(state(id, 1), spool::Settlement::failed);
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
  EXPECT_EQ(spool.committed.size(), 1u);
}

TEST_F(CopyTargets, TheFailureOfWhatIsTheMailboxByNowIsTold) {
  start();
  waits = {"c2"};
  const auto id = submit(mail_to({{"c", {"c1", "c2"}}}));
  reload({{"c", {"c2"}}});
  h0.judge = [](const std::string&) { return failed(); };
  advance(hours(1));
  EXPECT_EQ(state(id, 1), spool::Settlement::reported);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_NE(report().find("c@corp.example"), std::string::npos);
}

TEST_F(CopyTargets, ACopyThatSeveralShareGoesAsLongAsAnyOfThemHasIt) {
  for (const bool still_shared : {true, false}) {
    finish();
    taken.clear();
    start();
    waits = {"x"};
    auto what = mail_to({{"d", {"d1", "x"}}, {"e", {"e1"}}});
    what.shared_copies = {{1, 2}};
    router.set(table({{"d", {"d1", "x"}}, {"e", {"e1", "x"}}}));
    const auto id = submit(what);
    restart(id);
    reload({{"d", {"d1"}}, {"e", still_shared ? Names{"e1", "x"} : Names{"e1"}}});
    waits.clear();
    advance(hours(1));
    EXPECT_EQ(taken["x"], still_shared ? 1 : 0);
    EXPECT_EQ(taken["d1"], 1);
    EXPECT_TRUE(is_done());
  }
}

TEST_F(CopyTargets, ACopyThatSeveralShareIsNotHeldForOneWhoIsOnTheMove) {
  start();
  waits = {"x"};
  auto what = mail_to({{"d", {"d1", "x"}}, {"e", {"e1"}}, {"f", {"f1"}}});
  what.shared_copies = {{1, 2}, {1, 3}};
  router.set(table({{"d", {"d1", "x"}}, {"e", {"e1", "x"}}, {"f", {"f1", "x"}}}));
  submit(what);
  waits.clear();
  const Row moving{"e", {"e1", "x"}, EntryState::migrating};
  reload({{"d", {"d1"}}, moving, {"f", {"f1"}}});
  EXPECT_EQ(taken["x"], 0) << "who is on the move is the only one who has it";
  reload({{"d", {"d1"}}, moving, {"f", {"f1", "x"}}});
  EXPECT_EQ(taken["x"], 1);
}

TEST_F(CopyTargets, OneDeliveryForEachAddressOfAMessage) {
  start();
  // As an older version has stored it, and a person who is a copy, too.
  const auto id =
      submit(mail_to({{"d", {"d1", "x"}}, {"e", {"e1", "x"}}, {"f", {"x"}}, {"g", {"e1"}}}));
  ASSERT_EQ(h0.seen.size(), 1u);
  Names named = h0.seen[0].targets;
  std::sort(named.begin(), named.end());
  EXPECT_EQ(named, (Names{"d1@t.example", "e1@t.example", "x@t.example"}));
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(state(id, i), spool::Settlement::delivered);
}

TEST_F(CopyTargets, WhoWantsToHearOfSuccessIsNamedForThemselves) {
  start();
  auto what = mail_to({{"d", {"d1", "x"}}, {"f", {"x"}}, {"g", {"x"}}});
  what.recipients[2].notify = mail::kNotifySuccess;
  what.recipients[3].notify = mail::kNotifySuccess;
  const auto id = submit(what);
  EXPECT_EQ(h0.seen.at(0).targets.size(), 3u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(state(id, i), spool::Settlement::delivered);
}

TEST_F(CopyTargets, ACopyThatEndsIsListedByItsAddress) {
  start();
  waits = {"c2"};
  submit(mail_to({{"c", {"c1", "c2"}}}));
  router.set(table({{"c", {"c1"}}}));  // before anybody has asked
  const ListResult listed = queue->list({}, Slice{0, 10});
  ASSERT_EQ(listed.messages.size(), 1u);
  ASSERT_EQ(listed.messages[0].open.size(), 1u);
  EXPECT_EQ(listed.messages[0].open[0].target, "c2@t.example");
}

}  // namespace
}  // namespace waypost::queue::testing
