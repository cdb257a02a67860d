// What operators say, what it does, and what is left of it after a restart.
#include "waypost/queue/control_json.h"

#include "queue/selector.h"
#include "queue_fixture.h"

#include <unistd.h>

#include <fstream>

namespace waypost::queue::testing {
namespace {

class Control : public QueueTest {
 protected:
  std::vector<Touched> done;

  static Command command(Verb verb, Selector selector = {}) {
    Command made;
    made.verb = verb;
    made.selector = std::move(selector);
    made.by = "ann";
    return made;
  }
  std::uint64_t say(const Command& what, std::uint32_t step = 3) {
    std::uint64_t recipients = 0;
    done.clear();
    const bool standing = what.verb == Verb::suspend || what.verb == Verb::resume;
    if (standing && !what.dry_run) queue->stand(what);
    for (Slice slice{0, step};;) {
      const ControlResult result = queue->control(what, slice);
      recipients += result.recipients;
      done.insert(done.end(), result.touched.begin(), result.touched.end());
      slice.from = result.next;
      if (slice.from == 0) break;
    }
    settle();
    return recipients;
  }
  std::vector<ListedMessage> listed(const Selector& selector = {}) {
    std::vector<ListedMessage> all;
    for (Slice slice{0, 2};;) {
      ListResult result = queue->list(selector, slice);
      for (auto& one : result.messages) all.push_back(std::move(one));
      slice.from = result.next;
      if (slice.from == 0) return all;
    }
  }
  static Selector to(const std::string& recipient) {
    Selector selector;
    selector.recipient = recipient;
    return selector;
  }
};

TEST_F(Control, ListsWhereEachRecipientIsAndWhy) {
  h0.judge = [](const std::string&) { return deferred("450 4.2.0 mailbox busy"); };
  h1.blocked = true;
  router.set(users(false, {5}));
  start();
  submit(envelope({0, 1, 5}));
  const auto all = listed();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].sender, "sender@outside.example");
  EXPECT_EQ(all[0].recipients, 3u);
  ASSERT_EQ(all[0].open.size(), 3u);
  for (const auto& one : all[0].open) {
    if (one.address == "u0@corp.example") {
      EXPECT_EQ(one.state, RecipientState::waiting);
      EXPECT_EQ(one.why, "450 4.2.0 mailbox busy");
      EXPECT_EQ(one.target, "u0@t0.example");
      EXPECT_EQ(one.attempts, 1u);
      EXPECT_EQ(one.next_attempt, clock.now() + seconds(30));
    } else if (one.address == "u1@corp.example") {
      EXPECT_EQ(one.state, RecipientState::active);
    } else {
      EXPECT_EQ(one.state, RecipientState::held);
      EXPECT_EQ(one.wave, "w1");
    }
  }
  EXPECT_NE(to_json(all[0]).find("\"state\":\"held\""), std::string::npos);
}

TEST_F(Control, WhoIsInDeliveryIsLeftAloneAndCounted) {
  h0.judge = [](const std::string&) { return deferred(); };
  h1.blocked = true;
  start();
  submit(envelope({0, 1}));
  for (const Verb verb : {Verb::hold, Verb::bounce, Verb::remove}) {
    Command what = command(verb, to("u1@*"));
    EXPECT_EQ(queue->control(what, {}).in_delivery, 1u) << to_string(verb);
    what.selector = to("u0@*");
    what.dry_run = true;
    const auto waits = queue->control(what, {});
    EXPECT_EQ(waits.in_delivery, 0u);
    EXPECT_EQ(waits.recipients, 1u);
  }
  Command stop = command(Verb::suspend);
  stop.selector.next_hop = "h1";
  stop.dry_run = true;
  EXPECT_EQ(queue->control(stop, {}).in_delivery, 1u);
  EXPECT_EQ(queue->control(stop, {}).suspended, 0u);
  EXPECT_EQ(queue->control(command(Verb::flush), {}).in_delivery, 0u) << "it goes already";
}

TEST_F(Control, SelectsByEverythingThatIsKnown) {
  h0.judge = [](const std::string&) { return deferred("450 4.2.0 mailbox BUSY"); };
  h1.judge = [](const std::string&) { return deferred("451 4.3.0 later"); };
  router.set(users(false, {5}));
  start();
  const auto first = submit(envelope({0}));
  advance(seconds(20));
  submit(envelope({1}, true));
  submit(envelope({5}));
  const auto count = [&](auto&& change) {
    Selector selector;
    change(selector);
    return listed(selector).size();
  };
  EXPECT_EQ(count([](Selector&) {}), 3u);
  EXPECT_EQ(count([](Selector& s) { s.next_hop = "h1"; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.sender = "<>"; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.sender = "*@OUTSIDE.example"; }), 2u);
  EXPECT_EQ(count([](Selector& s) { s.recipient = "u?@t0.example"; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.domain = "Corp.Example"; }), 3u);
  EXPECT_EQ(count([](Selector& s) { s.domain = "t1.example"; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.wave = "w1"; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.reply = "*busy*"; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.state = RecipientState::held; }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.older_than = seconds(10); }), 1u);
  EXPECT_EQ(count([](Selector& s) { s.younger_than = seconds(10); }), 2u);
  EXPECT_EQ(count([&](Selector& s) { s.ids = {QueueId{first}}; }), 1u);
}

TEST_F(Control, DryRunTellsAndTouchesNothing) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0, 3}));
  Command what = command(Verb::remove);
  what.dry_run = true;
  EXPECT_EQ(say(what), 2u);
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  EXPECT_EQ(tracking.count("control"), 0u);
}

TEST_F(Control, HoldsOnlyTheRecipientThatIsMeantAndReleasesIt) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0, 3}));
  EXPECT_EQ(say(command(Verb::hold, to("u3@*"))), 1u);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].recipients, std::vector<std::uint32_t>{1});
  h0.judge = [](const std::string&) { return delivered(); };
  advance(minutes(5));
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
  queue->routes_changed();  // lets go of waves only
  settle();
  EXPECT_EQ(state(id, 1), spool::Settlement::open);
  EXPECT_EQ(say(command(Verb::release)), 1u);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_EQ(tracking.count("\"event\":\"control\""), 2u);
  EXPECT_EQ(tracking.count("\"by\":\"ann\""), 3u);  // and the release of each recipient
}

TEST_F(Control, ASuspendedNextHopGetsNothingUntilItIsResumed) {
  start();
  Selector h0_only;
  h0_only.next_hop = "h0";
  say(command(Verb::suspend, h0_only));
  const auto id = submit(envelope({0, 1}));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  EXPECT_EQ(state(id, 1), spool::Settlement::delivered);
  EXPECT_TRUE(hop("h0").suspended);
  say(command(Verb::resume, h0_only));
  EXPECT_EQ(state(id, 0), spool::Settlement::delivered);
}

TEST_F(Control, ASuspensionOfOneSenderCatchesWhatComesLater) {
  start();
  Selector sender;
  sender.sender = "sender@*";
  say(command(Verb::suspend, sender));
  const auto caught = submit(envelope({0}));
  const auto free = submit(envelope({0}, true));
  EXPECT_EQ(state(caught), spool::Settlement::open);
  EXPECT_EQ(state(free), spool::Settlement::delivered);
  EXPECT_EQ(say(command(Verb::resume, sender)), 1u);
  EXPECT_EQ(state(caught), spool::Settlement::delivered);
}

TEST_F(Control, BounceTellsTheSenderAndDeleteDoesNot) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto id = submit(envelope({0, 3, 6}));
  Command bounce = command(Verb::bounce, to("u0@*"));
  bounce.reason = "the mailbox was closed";
  EXPECT_EQ(say(bounce), 1u);
  EXPECT_EQ(say(command(Verb::remove, to("u3@*"))), 1u);
  advance(seconds(20));
  EXPECT_EQ(state(id, 0), spool::Settlement::reported);
  EXPECT_EQ(state(id, 1), spool::Settlement::failed);
  EXPECT_EQ(state(id, 2), spool::Settlement::open);
  ASSERT_EQ(spool.committed.size(), 1u);
  EXPECT_NE(report().find("the mailbox was closed"), std::string::npos);
  EXPECT_EQ(report().find("u3@corp.example"), std::string::npos);
}

TEST_F(Control, FlushBringsForwardWhatIsMeant) {
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  submit(envelope({0}));
  submit(envelope({3}));
  EXPECT_EQ(say(command(Verb::flush, to("u3@*"))), 1u);
  EXPECT_EQ(h0.seen.size(), 3u);
}

TEST_F(Control, RerouteSendsTheSameAddressAnotherWay) {
  h0.site_trouble = true;
  start();
  const auto id = submit(envelope({0}));
  Command reroute = command(Verb::reroute, to("u0@*"));
  reroute.next_hop = "h2";
  EXPECT_EQ(say(reroute), 1u);
  EXPECT_EQ(state(id), spool::Settlement::delivered);
  ASSERT_EQ(h2.seen.size(), 1u);
  EXPECT_EQ(h2.seen[0].targets, std::vector<std::string>{"u0@t0.example"});
}

TEST_F(Control, ARunningAttemptIsLeftAlone) {
  h0.blocked = true;
  start();
  const auto id = submit(envelope({0}));
  EXPECT_EQ(say(command(Verb::remove)), 0u);
  h0.release();
  settle();
  EXPECT_EQ(state(id), spool::Settlement::delivered);
}

TEST_F(Control, HoldsSuspensionsAndWaysSurviveARestart) {
  const std::string path = ::testing::TempDir() + "control-" + std::to_string(::getpid());
  ::unlink(path.c_str());
  const auto complain = [](const std::string& line) { ADD_FAILURE() << line; };
  h0.judge = [](const std::string&) { return deferred(); };
  start();
  const auto held = submit(envelope({0, 3}));
  const auto rerouted = submit(envelope({6}));
  {
    auto journal = Journal::open(Disk::system(), path, {}, complain);
    ASSERT_TRUE(journal);
    Command reroute = command(Verb::reroute, to("u6@*"));
    reroute.next_hop = "h2";
    h2.site_trouble = true;
    Selector h1_only;
    h1_only.next_hop = "h1";
    for (const Command& what :
         {command(Verb::hold, to("u3@*")), reroute, command(Verb::suspend, h1_only)}) {
      say(what);
      ASSERT_TRUE(journal->append(what, done));
    }
  }
  finish();
  std::ofstream(path, std::ios::app) << "{\"verb\":\"hold\",\"sel";  // torn by a crash
  std::size_t complaints = 0;
  auto journal = Journal::open(Disk::system(), path, {}, [&](const std::string&) { ++complaints; });
  ASSERT_TRUE(journal);
  EXPECT_EQ(complaints, 1u);
  ASSERT_TRUE(journal->compact([&](std::uint64_t id) { return id == held || id == rerouted; }));
  journal = Journal::open(Disk::system(), path, {}, complain);
  ASSERT_TRUE(journal);
  h0.judge = [](const std::string&) { return delivered(); };
  h2.site_trouble = false;
  queue = Queue::make(options, Context{shard, spool, router, deliverers, metrics, tracking, ids,
                                       "gw.corp.example", &journal->state()});
  ended = false;
  boost::asio::co_spawn(shard.io, run(), boost::asio::detached);
  for (const auto id : {held, rerouted}) queue->restore(spool.kept.at(id).stored);
  const auto stopped = submit(envelope({1}));
  settle();
  EXPECT_EQ(state(held, 0), spool::Settlement::delivered);
  EXPECT_EQ(state(held, 1), spool::Settlement::open);
  EXPECT_EQ(state(rerouted), spool::Settlement::delivered);
  ASSERT_EQ(h2.seen.size(), 2u);
  EXPECT_EQ(state(stopped), spool::Settlement::open);
  EXPECT_EQ(say(command(Verb::release)), 1u);
  EXPECT_EQ(state(held, 1), spool::Settlement::delivered);
  ::unlink(path.c_str());
}

TEST_F(Control, ASuspensionMustBeAbleToJudgeMailThatIsStillToCome) {
  for (const char* about : {R"("ids":["01KAB3C4D5E6"])", R"("state":"held")", R"("reply":"*")",
                            R"("older_us":1)", R"("younger_us":1)"}) {
    for (const char* verb : {"suspend", "resume"}) {
      const auto read = command_from_json("{\"verb\":\"" + std::string(verb) +
                                          "\",\"selector\":{\"sender\":\"a@*\"," + about + "}}");
      ASSERT_FALSE(read) << about;
      EXPECT_NE(read.error().message.find("use hold"), std::string::npos) << read.error().message;
    }
    EXPECT_TRUE(command_from_json("{\"verb\":\"hold\",\"selector\":{" + std::string(about) + "}}"))
        << about;
  }
  EXPECT_TRUE(command_from_json(
      R"({"verb":"suspend","selector":{"sender":"a@*","recipient":"b@*","domain":"c","wave":"w","next_hop":"h"}})"));
}

std::string normal(std::string Selector::* member, std::string text) {
  Selector selector;
  selector.*member = std::move(text);
  const auto troubles = normalise(selector);
  return troubles.empty() ? selector.*member : "wrong " + troubles[0].member;
}

TEST(SelectorText, IsComparedAsMailIs) {
  for (const auto& [given, is] :
       {std::pair{"CORP.example.", "corp.example"},
        std::pair{"büro.example", "xn--bro-hoa.example"},
        std::pair{"Büro.Example", "xn--bro-hoa.example"}, std::pair{"[192.0.2.1]", "[192.0.2.1]"},
        std::pair{"localhost", "localhost"}})
    EXPECT_EQ(normal(&Selector::domain, given), is);
  for (const auto& [given, is] :
       {std::pair{"u@büro.example", "u@xn--bro-hoa.example"}, std::pair{"Bob@*", "bob@*"},
        std::pair{"*@CORP.example.", "*@corp.example"}, std::pair{"p*", "p*"},
        std::pair{"*@*.büro.example", "*@*.xn--bro-hoa.example"},
        std::pair{"[a-c]*@corp.example", "[a-c]*@corp.example"}, std::pair{"[@]b@c", "[@]b@c"},
        std::pair{"[]@]*", "[]@]*"}, std::pair{"a@[192.0.2.1]", "a@\\[192.0.2.1\\]"},
        std::pair{"Postmaster", "postmaster"}, std::pair{"a\\[b@c.example", "a\\[b@c.example"}}) {
    EXPECT_EQ(normal(&Selector::sender, given), is);
    EXPECT_EQ(normal(&Selector::recipient, given), is);
  }
  EXPECT_EQ(normal(&Selector::sender, "<>"), "<>");
}

TEST(SelectorText, ThatCanFitNothingIsAMistake) {
  for (const auto* text :
       {"@corp.example", "*.example", "corp..example", "a b.example", "p@corp.example"})
    EXPECT_EQ(normal(&Selector::domain, text), "wrong domain") << text;
  for (const auto* text : {"<ann@ext.example>", "ann@ext.example>", "ann", "bob@", "[a-", "*@[a-c",
                           "bob@corp..example", "a@b*ü.example", "bob@corp.example\\"}) {
    EXPECT_EQ(normal(&Selector::sender, text), "wrong sender") << text;
    EXPECT_EQ(normal(&Selector::recipient, text), "wrong recipient") << text;
  }
  EXPECT_EQ(normal(&Selector::recipient, "<>"), "wrong recipient");
}

TEST(SelectorText, FitsAnAddressInWhateverSpelling) {
  const mail::Mailbox unicode{"u0", "Büro.example"}, wire{"u1", "XN--BRO-HOA.example"};
  for (const auto* domain : {"büro.example", "xn--bro-hoa.example"}) {
    for (const std::string pattern : {"", "U?@"}) {
      Selector selector;
      (pattern.empty() ? selector.domain : selector.recipient) = pattern + domain;
      EXPECT_TRUE(normalise(selector).empty());
      EXPECT_TRUE(fits_address(unicode, nullptr, selector)) << pattern << domain;
      EXPECT_TRUE(fits_address(wire, nullptr, selector)) << pattern << domain;
      EXPECT_FALSE(fits_address({"u1", "buro.example"}, &wire, selector) &&
                   fits_address({"u1", "buro.example"}, nullptr, selector));
    }
  }
}

TEST_F(Control, CommandsAreTheSameAfterJson) {
  Command what = command(Verb::reroute);
  what.next_hop = "h2";
  what.reason = "because";
  what.selector.ids = {QueueId{123456}};
  what.selector.sender = "<>";
  what.selector.reply = "*busy*";
  what.selector.state = RecipientState::waiting;
  what.selector.older_than = hours(2);
  const auto read = command_from_json(to_json(what));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->selector, what.selector);
  EXPECT_EQ(read->next_hop, "h2");
  EXPECT_EQ(read->reason, "because");
  for (const char* wrong :
       {"", "[]", "{}", R"({"verb":"burn"})", R"({"verb":"hold","selector":{"colour":"red"}})",
        R"({"verb":"reroute"})", R"({"verb":"hold","selector":{"ids":["?"]}})"}) {
    EXPECT_FALSE(command_from_json(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace waypost::queue::testing
