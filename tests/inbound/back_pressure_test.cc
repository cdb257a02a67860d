#include "inbound/session_fixture.h"

namespace waypost::inbound::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBig = 39 * 1024 * 1024;

TEST_F(SessionFixture, LargeMessageStreamsThroughBoundedMemory) {
  spool.keep_content = false;
  spool.threshold = 1024 * 1024;
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT " + std::to_string(kBig) + " LAST\r\n");
  const std::string piece(1024 * 1024, 'x');
  for (std::size_t sent = 0; sent < kBig; sent += piece.size())
    ASSERT_EQ(client.push(piece), piece.size());
  EXPECT_TRUE(client.hear().starts_with("250 2.6.0 "));
  EXPECT_GT(spool.octets, kBig);
  EXPECT_GE(spool.flushes, 30u);
  EXPECT_LE(spool.most_memory, spool.threshold + ShardDoor::kReadBuffer + 2 * kBlockSize);
}

class TinyBudget : public SessionFixture {
 protected:
  /// Somebody else has all of it.
  void take_all() { budget.take(budget.limit()); }
  void give_all() { budget.give_back(budget.limit()); }
};

TEST_F(TinyBudget, SessionStopsReadingAndGoesOnWhenMemoryIsBack) {
  Client client = enter();
  client.say(kToBob);
  const std::string content(400'000, 'x');
  client.say("BDAT " + std::to_string(content.size()) + " LAST\r\n");
  take_all();
  // What fits into the pipe, and what one read took: the rest is pushed back.
  const std::size_t taken = client.push(content);
  EXPECT_LT(taken, 300'000u);
  EXPECT_EQ(client.push(std::string_view(content).substr(taken)), 0u);
  EXPECT_TRUE(spool.stored.empty());
  give_all();
  advance(milliseconds(64));
  std::size_t sent = taken;
  sent += client.push(std::string_view(content).substr(sent));
  EXPECT_EQ(sent, content.size());
  EXPECT_TRUE(client.hear().starts_with("250 2.6.0 "));
}

TEST_F(TinyBudget, MemoryThatNeverComesBackSlowsButDoesNotStop) {
  Client client = enter();
  client.say(kToBob);
  const std::string content(200'000, 'x');
  client.say("BDAT " + std::to_string(content.size()) + " LAST\r\n");
  take_all();
  std::size_t sent = 0;
  std::string heard;
  int waited = 0;
  for (; waited < 60 && heard.empty(); ++waited) {
    sent += client.push(std::string_view(content).substr(sent));
    // The wait is a chain of short ones.
    for (int i = 0; i < 20; ++i) advance(milliseconds(64));
    heard = client.hear();
  }
  EXPECT_TRUE(heard.starts_with("250 2.6.0 ")) << heard;
  EXPECT_GT(waited, 3);
  EXPECT_LE(spool.most_memory, budget.limit() + 12 * kBlockSize);
  give_all();
}

TEST_F(TinyBudget, StalledSessionGivesItsMemoryUpWhenItIsWanted) {
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 900000 LAST\r\n" + std::string(500'000, 'x'));
  const std::size_t held = budget.used();
  EXPECT_GE(held, 500'000u);
  advance(seconds(2));
  EXPECT_EQ(budget.used(), held);  // nobody wants it
  budget.take(budget.limit() - held);
  advance(seconds(2));
  EXPECT_LE(budget.used(), budget.limit() - held + kBlockSize);
  EXPECT_EQ(spool.flushes, 1u);
  budget.give_back(budget.limit() - held);
  EXPECT_TRUE(client.say(std::string(400'000, 'y')).starts_with("250 2.6.0 "));
}

class SmallBudget : public SessionFixture {
 protected:
  SmallBudget() : SessionFixture(128 * 1024) {}
  /// Recipients until one is refused for want of memory.
  int recipients_until_full(Client& client) {
    client.say("MAIL FROM:<ann@ext.example>\r\n");
    const std::string rcpt =
        "RCPT TO:<bob@corp.example> ORCPT=rfc822;" + std::string(480, 'x') + "\r\n";
    for (int taken = 0; taken < 900; ++taken)
      if (client.say(rcpt).starts_with("452 4.3.1 ")) return taken;
    return 900;
  }
};

TEST_F(SmallBudget, RecipientsCountInTheBudget) {
  Client greedy = enter();
  const int taken = recipients_until_full(greedy);
  EXPECT_GT(taken, 10);
  EXPECT_LT(taken, 900);
  // One client has a quarter, in all of its sessions; each message may have one recipient.
  EXPECT_GE(budget.used(), budget.limit() / 4);
  EXPECT_LE(budget.used(), budget.limit() / 4 + 4096);
  Client second = enter();
  EXPECT_EQ(recipients_until_full(second), 1);
  EXPECT_TRUE(second.say(bdat("Subject: x\r\n\r\n")).starts_with("250 2.6.0 "));
  EXPECT_EQ(tracking.count({"\"refused\"", "452 4.3.1", "memory_for_content"}), 2u);
  // What was named is kept, and goes with its transaction.
  EXPECT_TRUE(greedy.say("RSET\r\n").starts_with("250 "));
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(recipients_until_full(greedy), taken);
  EXPECT_TRUE(greedy.say(bdat("Subject: x\r\n\r\n")).starts_with("250 2.6.0 "));
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(recipients_until_full(greedy), taken);
  greedy.close();
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(SmallBudget, RecipientsOfAllClientsLeaveHalfToContent) {
  options.listeners[0].proxy_networks = {"192.0.2.0/24"};
  options.admission.networks = {"10.0.0.0/8"};
  std::vector<Client> clients_;
  for (int i = 1; i <= 4; ++i) {
    clients_.push_back(connect());
    Client& client = clients_.back();
    client.say("PROXY TCP4 10.0.0." + std::to_string(i) + " 192.0.2.1 1 25\r\n");
    client.say("EHLO x\r\n");
    const int taken = recipients_until_full(client);
    EXPECT_TRUE(i < 3 ? taken > 10 : taken <= 2) << taken;
  }
  EXPECT_LE(budget.used(), budget.limit() / 2 + 3 * 4096);
  EXPECT_TRUE(clients_.back().say(bdat("Subject: x\r\n\r\n")).starts_with("250 2.6.0 "));
}

TEST_F(TinyBudget, CutEndsTheWaitForMemory) {
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 900000 LAST\r\nx");
  take_all();
  client.push(std::string(200'000, 'x'));
  ASSERT_EQ(door.sessions.size(), 1u);
  (*door.sessions.begin())->cut();
  poll();
  EXPECT_TRUE(door.sessions.empty());
  give_all();
}

TEST_F(TinyBudget, CommandsAreAnsweredWithoutMemory) {
  take_all();
  Client client = enter();
  EXPECT_TRUE(has(client.say(kToBob), "250 2.1.5 "));
  EXPECT_TRUE(has(client.say("RSET\r\n"), "250 "));
  give_all();
}

TEST_F(TinyBudget, RefusedContentIsDroppedWithoutMemory) {
  spool.threshold = 64 * 1024;
  spool.flush_error = Error{ErrorKind::read_only, "sync failed"};
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 2000000 LAST\r\n" + std::string(100'000, 'x'));
  take_all();
  EXPECT_EQ(client.push(std::string(1'900'000, 'x')), 1'900'000u);
  EXPECT_TRUE(client.hear().starts_with("452 4.3.0 "));
  give_all();
}

}  // namespace
}  // namespace waypost::inbound::testing
