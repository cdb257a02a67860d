#include "inbound/session_fixture.h"

namespace waypost::inbound::testing {
namespace {

using std::chrono::seconds;

TEST_F(SessionFixture, IdleSessionsHear421AtOnce) {
  Client idle = enter();
  Client fresh = connect();
  fresh.hear();
  stop_accepting();
  EXPECT_TRUE(idle.hear().starts_with("421 4.3.2 "));
  EXPECT_TRUE(fresh.hear().starts_with("421 4.3.2 "));
  EXPECT_TRUE(door.sessions.empty());
}

TEST_F(SessionFixture, OpenTransactionFinishesAndThenHears421) {
  for (const bool inside_content : {false, true}) {
    door.stopping = false;
    Client client = enter();
    client.say(kToBob);
    if (inside_content) client.say("BDAT 20\r\n0123456789");
    stop_accepting();
    EXPECT_FALSE(client.ended());
    std::string heard;
    if (inside_content) heard = client.say("0123456789");
    heard += client.say("BDAT 4 LAST\r\nend.");
    EXPECT_TRUE(has(heard, "250 2.6.0 "));
    EXPECT_TRUE(has(heard, "421 4.3.2 "));
    EXPECT_LT(heard.find("250 2.6.0 "), heard.find("421 4.3.2 "));
    EXPECT_TRUE(client.ended());
  }
  EXPECT_EQ(handed_over.size(), 2u);
}

TEST_F(SessionFixture, RecipientsMayStillBeNamedInAShutdown) {
  Client client = enter();
  client.say("MAIL FROM:<>\r\n");
  stop_accepting();
  EXPECT_EQ(client.say("RCPT TO:<bob@corp.example>\r\n"), "250 2.1.5 recipient OK\r\n");
  EXPECT_TRUE(has(client.say(bdat("Subject: x\r\n\r\n")), "250 2.6.0 "));
}

TEST_F(SessionFixture, NoSecondTransactionInAShutdown) {
  Client client = enter();
  client.say(kToBob);
  stop_accepting();
  const std::string heard =
      client.say(bdat("Subject: x\r\n\r\n") + std::string(kToBob) + bdat("Subject: y\r\n\r\n"));
  EXPECT_TRUE(has(heard, "421 4.3.2 "));
  EXPECT_EQ(spool.stored.size(), 1u);
}

TEST_F(SessionFixture, WhoComesInAShutdownHears421) {
  stop_accepting();
  Client client = connect();
  EXPECT_TRUE(client.hear().starts_with("421 gw.corp.example is shutting down"));
  EXPECT_TRUE(client.ended());
}

TEST_F(SessionFixture, SessionsThatAreNotGreetedAreLetGo) {
  options.limits.greeting_delay = seconds(10);
  options.listeners[0].proxy_networks = {"192.0.2.1"};
  Client in_header = connect();
  in_header.say("PROXY ");
  Client in_delay = connect();
  in_delay.say("PROXY UNKNOWN\r\n");
  EXPECT_EQ(door.sessions.size(), 2u);
  stop_accepting();
  EXPECT_TRUE(door.sessions.empty());
}

TEST_F(SessionFixture, CutEndsTransactionsAndQueuesNothing) {
  Client in_content = enter();
  in_content.say(kToBob);
  in_content.say("BDAT 1000 LAST\r\nhalf");
  Client in_envelope = enter();
  in_envelope.say(kToBob);
  stop_accepting();
  EXPECT_EQ(door.sessions.size(), 2u);
  for (Session* session : std::vector<Session*>(door.sessions.begin(), door.sessions.end()))
    session->cut();
  poll();
  EXPECT_TRUE(door.sessions.empty());
  EXPECT_TRUE(spool.stored.empty());
  EXPECT_EQ(tracking.count({"\"abandoned\"", "cut by our shutdown inside the content"}), 1u)
      << tracking.all();
}

}  // namespace
}  // namespace waypost::inbound::testing
