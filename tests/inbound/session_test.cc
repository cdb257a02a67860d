#include "inbound/session_fixture.h"

namespace waypost::inbound::testing {
namespace {

using namespace std::string_literals;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kMessage =
    "Message-ID: <m1@ext.example>\r\nSubject: x\r\n\r\n.dots stay\r\n";

TEST_F(SessionFixture, MessageIsStoredHandedOverAndTracked) {
  Client client = enter();
  EXPECT_EQ(client.say(kToBob), "250 2.1.0 sender OK\r\n250 2.1.5 recipient OK\r\n");
  const std::string verdict = client.say(bdat(kMessage));
  ASSERT_EQ(spool.stored.size(), 1u);
  const auto& stored = spool.stored.front();
  const std::string id = stored.ref.id.to_string();
  EXPECT_EQ(verdict, "250 2.6.0 <m1@ext.example> queued as " + id + "\r\n");
  // One Received field on top, and not another octet.
  const std::string& content = stored.content;
  ASSERT_GT(content.size(), kMessage.size());
  EXPECT_EQ(content.substr(content.size() - kMessage.size()), kMessage);
  const std::string field = content.substr(0, content.size() - kMessage.size());
  EXPECT_TRUE(has(field,
                  "Received: from ex1.corp.example ([192.0.2.1])\r\n\tby gw.corp.example "
                  "with ESMTP id " +
                      id + ";"));
  const auto envelope = mail::decode_envelope(stored.envelope);
  ASSERT_TRUE(envelope);
  EXPECT_EQ(mail::to_string(envelope->reverse_path), "ann@ext.example");
  EXPECT_EQ(envelope->message_id, "<m1@ext.example>");
  EXPECT_EQ(envelope->client, "ex1.corp.example[192.0.2.1]");
  EXPECT_EQ(envelope->content_size, content.size());
  ASSERT_EQ(envelope->recipients.size(), 1u);
  EXPECT_EQ(envelope->recipients[0].original.to_string(), "bob@corp.example");
  EXPECT_EQ(envelope->recipients[0].target.to_string(), "bob@orgname.awsapps.com");
  EXPECT_EQ(envelope->recipients[0].next_hop, "workmail");
  ASSERT_EQ(handed_over.size(), 1u);
  EXPECT_EQ(handed_over[0].first.id, stored.ref.id);
  EXPECT_EQ(tracking.count({"\"received\"", id, "<m1@ext.example>", "ann@ext.example", "took"}), 1u)
      << tracking.all();
  EXPECT_EQ(
      tracking.count({"\"routed\"", id, "bob@corp.example", "bob@orgname.awsapps.com", "workmail"}),
      1u)
      << tracking.all();
  EXPECT_EQ(counted("waypost_inbound_messages_total"), 1u);
  EXPECT_EQ(counted("waypost_inbound_bytes_total"), content.size());
  EXPECT_EQ(counted("waypost_inbound_time_to_250_seconds_count"), 1u);
  EXPECT_TRUE(has(client.say("QUIT\r\n"), "221 2.0.0 "));
  EXPECT_TRUE(client.ended());
}

TEST_F(SessionFixture, WhatTheHeaderNeedsIsLookedAtWhereSmtputf8WasDeclared) {  // RFC 6531 §3.4
  using mail::HeaderText;
  const std::string mixed =
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nj\xC3\xBC\r\n--b\r\nX: ";
  const std::tuple<std::string, std::string, HeaderText> cases[] = {
      {"", "Subject: j\xC3\xBC\r\n\r\n", HeaderText::unknown},
      {" SMTPUTF8", "Subject: ju\r\n\r\nj\xC3\xBC\r\n", HeaderText::ascii},
      {" SMTPUTF8", "Subject: j\xC3\xBC\r\n\r\n", HeaderText::utf8},
      {" SMTPUTF8", mixed + "y\r\n\r\n--b--\r\n", HeaderText::ascii},
      {" SMTPUTF8", mixed + "\xC3\xBC\r\n\r\n--b--\r\n", HeaderText::utf8}};
  Client client = enter();
  for (const auto& [parameter, content, expected] : cases) {
    client.say("MAIL FROM:<ann@ext.example>" + parameter + "\r\nRCPT TO:<bob@corp.example>\r\n");
    EXPECT_TRUE(client.say(bdat(content)).starts_with("250 2.6.0 ")) << content;
    const auto envelope = mail::decode_envelope(spool.stored.back().envelope);
    ASSERT_TRUE(envelope);
    EXPECT_EQ(envelope->header, expected) << content;
  }
}

TEST_F(SessionFixture, AHungDiskRefusesNewMailAndLetsGoWhoWaits) {
  net::Timers::Sleeper sleeper(shard.timers);
  spool.waiting = &sleeper;
  spool.threshold = 1000;
  for (const bool streaming : {false, true}) {
    Client waits = enter();
    Client later = enter();
    waits.say(kToBob);
    const std::string chunk = bdat(std::string(streaming ? 100'000 : 500, 'x'));
    waits.say(chunk.substr(0, 400));  // from here on it can't be refused any more
    spool.hangs = true;
    EXPECT_EQ(waits.say(chunk.substr(400)), "");
    EXPECT_TRUE(later.say("MAIL FROM:<ann@ext.example>\r\n").starts_with("452 4.3.0 "));
    advance(seconds(119));
    EXPECT_FALSE(waits.ended());
    advance(seconds(2));
    EXPECT_EQ(waits.hear(), "");  // no verdict is no acknowledgement: it will send again
    EXPECT_TRUE(waits.ended());
    spool.hangs = false;
    sleeper.wake();
    poll();
    // What is stored after all is delivered: a duplicate perhaps, never a loss.
    EXPECT_EQ(handed_over.size(), 1u);
    EXPECT_TRUE(later.say("MAIL FROM:<ann@ext.example>\r\n").starts_with("250 "));
    later.say("QUIT\r\n");
  }
  EXPECT_EQ(counted("waypost_inbound_unanswered_total"), 2u);
}

TEST_F(SessionFixture, ConversationIsTheSameHoweverItIsCut) {
  const std::string conversation = "EHLO ex1.corp.example\r\n" + std::string(kToBob) +
                                   bdat(kMessage) + std::string(kToBob) +
                                   "DATA\r\nSubject: y\r\n\r\n..dot\r\n.\r\nNOOP\r\nQUIT\r\n";
  std::string first;
  for (const std::size_t piece : {4096, 1, 2, 3, 5, 17, 100}) {
    spool.stored.clear();
    Client client = connect();
    std::string heard = client.hear();
    for (std::size_t at = 0; at < conversation.size(); at += piece)
      heard += client.say(std::string_view(conversation).substr(at, piece));
    ASSERT_EQ(spool.stored.size(), 2u) << "in pieces of " << piece;
    EXPECT_TRUE(spool.stored[0].content.ends_with(kMessage));
    EXPECT_TRUE(spool.stored[1].content.ends_with("Subject: y\r\n\r\n.dot\r\n"));
    for (const auto& stored : spool.stored) {
      const std::string id = stored.ref.id.to_string();
      const auto at = heard.find(id);
      ASSERT_NE(at, std::string::npos);
      heard.replace(at, id.size(), "ID");
    }
    if (first.empty()) first = heard;
    EXPECT_EQ(heard, first) << "in pieces of " << piece;
    EXPECT_TRUE(client.ended());
  }
}

TEST_F(SessionFixture, TwentyPipelinedMessagesInOneArrival) {
  Client client = enter();
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += std::string(kToBob) + bdat("Message-ID: <" + std::to_string(i) + "@x>\r\n\r\nx\r\n");
  }
  const std::string heard = client.say(all + "QUIT\r\n");
  ASSERT_EQ(spool.stored.size(), 20u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(has(heard, "250 2.6.0 <" + std::to_string(i) + "@x> queued as " +
                               spool.stored[i].ref.id.to_string()));
  }
  EXPECT_TRUE(has(heard, "221 "));
}

TEST_F(SessionFixture, EachRecipientIsDecided) {
  Client client = enter();
  client.say("MAIL FROM:<>\r\n");
  EXPECT_EQ(client.say("RCPT TO:<bob@corp.example>\r\n"), "250 2.1.5 recipient OK\r\n");
  EXPECT_EQ(client.say("RCPT TO:<erin@corp.example>\r\n"), "250 2.1.5 recipient OK\r\n");
  EXPECT_EQ(client.say("RCPT TO:<x@orgname.awsapps.com>\r\n"), "250 2.1.5 recipient OK\r\n");
  EXPECT_TRUE(client.say("RCPT TO:<nobody@corp.example>\r\n").starts_with("550 5.1.1 "));
  EXPECT_TRUE(client.say("RCPT TO:<x@elsewhere.example>\r\n").starts_with("550 5.7.1 "));
  EXPECT_TRUE(client.say(bdat(kMessage)).starts_with("250 2.6.0 "));
  ASSERT_EQ(spool.stored.size(), 1u);
  EXPECT_EQ(spool.stored[0].ref.recipients, 3u);
  EXPECT_EQ(tracking.count({"\"refused\"", "nobody@corp.example", "550 5.1.1"}), 1u);
  EXPECT_EQ(tracking.count({"\"refused\"", "x@elsewhere.example", "550 5.7.1"}), 1u);
  EXPECT_EQ(tracking.count({"\"routed\""}), 3u);
  EXPECT_EQ(tracking.count({"\"routed\"", "erin@corp.example", "\"w1\""}), 1u) << tracking.all();
  EXPECT_EQ(counted("waypost_inbound_recipients_total{answer=\"accepted\"}"), 3u);
  EXPECT_EQ(counted("waypost_inbound_recipients_total{answer=\"unknown\"}"), 1u);
  EXPECT_EQ(counted("waypost_inbound_recipients_total{answer=\"relay_denied\"}"), 1u);
}

/// Bob has two targets more; Pat waits for a wave in shadow mode.
std::shared_ptr<const routing::Router> router_with_copies() {
  routing::Options table;
  table.own_domains = {"corp.example"};
  table.target_domains = {{"orgname.awsapps.com", "workmail"}, {"second.example", "second"}};
  table.pending_next_hop = "exchange";
  table.waves.emplace_back().name = "w9";
  table.waves.back().shadow = true;
  routing::Entry bob, pat;
  bob.address = {"bob", "corp.example"};
  bob.target = {"bob", "orgname.awsapps.com"};
  bob.copies = {{"bob", "second.example"}, {"bob.archive", "orgname.awsapps.com"}};
  pat.address = {"pat", "corp.example"};
  pat.target = {"pat", "orgname.awsapps.com"};
  pat.wave = "w9";
  auto& source = table.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = {bob, pat};
  std::vector<routing::Problem> problems;
  auto loaded = routing::Router::load(table, problems);
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
  return *loaded;
}

TEST_F(SessionFixture, EachFurtherTargetIsARecipientThatTheClientNeverSees) {
  options.limits.recipients = 1;
  router.set(router_with_copies());
  Client client = enter();
  client.say("MAIL FROM:<ann@ext.example>\r\n");
  EXPECT_EQ(
      client.say("RCPT TO:<bob+x@corp.example> NOTIFY=SUCCESS ORCPT=rfc822;r@corp.example\r\n"),
      "250 2.1.5 recipient OK\r\n");
  EXPECT_TRUE(client.say("RCPT TO:<pat@corp.example>\r\n").starts_with("452 "))
      << "the limit counts what the client names";
  EXPECT_TRUE(client.say(bdat(kMessage)).starts_with("250 2.6.0 "));
  ASSERT_EQ(spool.stored.size(), 1u);
  EXPECT_EQ(spool.stored[0].ref.recipients, 3u);
  const auto envelope = mail::decode_envelope(spool.stored[0].envelope);
  ASSERT_TRUE(envelope && envelope->recipients.size() == 3u);
  const auto& [first, second, third] =
      std::tie(envelope->recipients[0], envelope->recipients[1], envelope->recipients[2]);
  EXPECT_EQ(first.copy, 0);
  EXPECT_EQ(first.notify, mail::kNotifySuccess);
  EXPECT_EQ(second.copy, 1);
  EXPECT_EQ(second.notify, mail::kNotifyNever);
  EXPECT_EQ(second.original, first.original);
  EXPECT_EQ(second.target.to_string(), "bob+x@second.example");
  EXPECT_EQ(second.next_hop, "second");
  EXPECT_EQ(third.copy, 2);
  EXPECT_EQ(third.target.to_string(), "bob.archive+x@orgname.awsapps.com");
  EXPECT_EQ(tracking.count({"\"received\"", "\"recipients\":1"}), 1u) << tracking.all();
  EXPECT_EQ(tracking.count({"\"routed\""}), 3u);
  EXPECT_EQ(tracking.count({"\"routed\"", "bob+x@second.example", "\"copy 1: "}), 1u)
      << tracking.all();
  EXPECT_EQ(counted("waypost_inbound_recipients_total{answer=\"accepted\"}"), 1u);
}

TEST_F(SessionFixture, AWaveInShadowModeIsLoggedAndNotFollowed) {
  router.set(router_with_copies());
  Client client = enter();
  client.say("MAIL FROM:<>\r\nRCPT TO:<pat@corp.example>\r\n");
  EXPECT_TRUE(client.say(bdat(kMessage)).starts_with("250 2.6.0 "));
  EXPECT_EQ(
      tracking.count({"\"routed\"", "\"target\":\"pat@corp.example\"", "\"next_hop\":\"exchange\"",
                      "\"shadow_target\":\"pat@orgname.awsapps.com\"",
                      "\"shadow_next_hop\":\"workmail\""}),
      1u)
      << tracking.all();
}

TEST_F(SessionFixture, TableOutOfReachDefers) {
  routing::Options table;
  table.own_domains = {"corp.example"};
  router.set(routing::Router::unavailable(table, "lost"));
  Client client = enter();
  client.say("MAIL FROM:<>\r\n");
  EXPECT_TRUE(client.say("RCPT TO:<bob@corp.example>\r\n").starts_with("451 4.3.0 "));
  EXPECT_EQ(counted("waypost_inbound_recipients_total{answer=\"deferred\"}"), 1u);
}

TEST_F(SessionFixture, HeloIsPlainSmtp) {
  Client client = connect();
  client.hear();
  EXPECT_EQ(client.say("HELO ex1\r\n"), "250 gw.corp.example\r\n");
  client.say(kToBob);
  EXPECT_TRUE(client.say("DATA\r\nx: y\r\n\r\n.\r\n")
                  .ends_with("queued as " + spool.stored.at(0).ref.id.to_string() + "\r\n"));
  EXPECT_TRUE(has(spool.stored[0].content, "with SMTP id "));
}

TEST_F(SessionFixture, ReadOnlyOrFullSpoolRefusesAtMailAndBeforeTheContent) {
  Client client = enter();
  spool.sick = true;
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("452 4.3.0 "));
  spool.sick = false;
  spool.room = false;
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("452 4.3.1 "));
  spool.room = true;
  client.say(kToBob);
  spool.room = false;
  EXPECT_TRUE(client.say("DATA\r\n").starts_with("452 4.3.1 "));
  spool.room = true;
  client.say(kToBob);
  spool.sick = true;
  EXPECT_EQ(client.say(bdat(kMessage)).substr(0, 10), "452 4.3.0 ");
  spool.sick = false;
  client.say(kToBob);
  EXPECT_TRUE(client.say(bdat(kMessage)).starts_with("250 2.6.0 "));
}

TEST_F(SessionFixture, FailedCommitIsRefusedAndNotHandedOver) {
  Client client = enter();
  const std::pair<ErrorKind, const char*> kinds[] = {{ErrorKind::exhausted, "452 4.3.1 "},
                                                     {ErrorKind::read_only, "452 4.3.0 "},
                                                     {ErrorKind::io, "452 4.3.0 "}};
  for (const auto& [kind, reply] : kinds) {
    spool.commit_error = Error{kind, "the disk says no"};
    client.say(kToBob);
    EXPECT_TRUE(client.say(bdat(kMessage)).starts_with(reply));
  }
  EXPECT_TRUE(handed_over.empty());
  EXPECT_EQ(tracking.count({"\"refused\"", "the disk says no", "<m1@ext.example>"}), 3u)
      << tracking.all();
  EXPECT_EQ(tracking.count({"\"received\""}), 0u);
  EXPECT_EQ(counted("waypost_inbound_messages_refused_total{reason=\"no_room\"}"), 1u);
  EXPECT_EQ(counted("waypost_inbound_messages_refused_total{reason=\"storage\"}"), 2u);
  EXPECT_EQ(counted("waypost_inbound_messages_total"), 0u);
}

TEST_F(SessionFixture, FailedFlushRefusesTheWholeMessageWithOneReply) {
  spool.threshold = 64 * 1024;
  spool.flush_error = Error{ErrorKind::exhausted, "the disk is full"};
  Client client = enter();
  client.say(kToBob);
  const std::string heard = client.say(bdat("a: b\r\n\r\n" + std::string(1'000'000, 'x')));
  EXPECT_TRUE(heard.starts_with("452 4.3.1 "));
  EXPECT_EQ(heard.find("\r\n"), heard.size() - 2);
  EXPECT_EQ(budget.used(), 0u);
  spool.flush_error.reset();
  client.say(kToBob);
  EXPECT_TRUE(client.say(bdat(kMessage)).starts_with("250 2.6.0 "));
}

std::string received_fields(int count, const std::string& by) {
  std::string fields;
  for (int i = 0; i < count; ++i) {
    fields += "Received: from a.example by " + by + " with ESMTP id " + std::to_string(i) +
              ";\r\n Mon, 01 Dec 2025 10:00:00 +0000\r\n";
  }
  return fields;
}

TEST_F(SessionFixture, LoopsEnd) {
  Client client = enter();
  const auto verdict = [&](const std::string& fields) {
    client.say(kToBob);
    return client.say(bdat(fields + "Subject: x\r\n\r\nbody\r\n"));
  };
  // RFC 5321 §6.3: "normally at least 100 Received entries".
  EXPECT_TRUE(verdict(received_fields(100, "mx.ext.example")).starts_with("250 "));
  EXPECT_TRUE(verdict(received_fields(101, "mx.ext.example")).starts_with("554 5.4.6 "));
  EXPECT_TRUE(verdict(received_fields(2, "gw.corp.example")).starts_with("250 "));
  EXPECT_TRUE(verdict(received_fields(3, "GW.corp.example")).starts_with("554 5.4.6 "));
  EXPECT_EQ(spool.stored.size(), 2u);
  EXPECT_EQ(tracking.count({"\"refused\"", "mail loop", "554 5.4.6"}), 2u);
  EXPECT_EQ(counted("waypost_inbound_messages_refused_total{reason=\"loop\"}"), 2u);
}

TEST_F(SessionFixture, LoopIsFoundHoweverTheHeaderIsCut) {
  Client client = enter();
  client.say(kToBob);
  const std::string content = received_fields(101, "mx.ext.example") + "\r\n" +
                              received_fields(40, "in.the.body") + "end\r\n";
  std::string heard;
  const std::string bytes = bdat(content);
  for (std::size_t at = 0; at < bytes.size(); at += 13) heard += client.say(bytes.substr(at, 13));
  EXPECT_TRUE(heard.starts_with("554 5.4.6 ")) << heard;
  client.say(kToBob);
  EXPECT_TRUE(client.say(bdat("\r\n" + received_fields(140, "body"))).starts_with("250 "));
}

TEST_F(SessionFixture, ALoopNamesWhoseMailGoesInACircle) {
  routing::Options table;
  table.own_domains = {"corp.example"};
  table.target_domains = {{"orgname.awsapps.com", "workmail"}};
  table.pending_next_hop = "exchange";
  const auto entry = [](const std::string& name, routing::EntryState state) {
    routing::Entry one;
    one.address = {name, "corp.example"};
    one.target = {name, "orgname.awsapps.com"};
    one.state = state;
    one.has_state = true;
    return one;
  };
  auto& source = table.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = {entry("bob", routing::EntryState::active),
                    entry("gone", routing::EntryState::rolled_back)};
  std::vector<routing::Problem> problems;
  const auto loaded = routing::Router::load(table, problems);
  ASSERT_TRUE(loaded);
  router.set(*loaded);
  Client client = enter();
  const std::string loop = bdat(received_fields(3, "gw.corp.example") + "\r\nx\r\n");
  client.say(
      "MAIL FROM:<ann@ext.example>\r\nRCPT TO:<bob@corp.example>\r\n"
      "RCPT TO:<gone@corp.example>\r\n");
  EXPECT_EQ(client.say(loop),
            "554 5.4.6 mail loop: the message has passed gw.corp.example 3 times already; "
            "gone@corp.example is rolled_back and 'exchange' sent it back: has it a mailbox there? "
            "(one of 2 recipients)\r\n");
  client.say(kToBob);
  EXPECT_TRUE(has(client.say(loop), "; bob@corp.example goes to 'workmail': does something there"));
  EXPECT_EQ(tracking.count({"\"refused\"", "gone@corp.example is rolled_back"}), 1u);
}

TEST_F(SessionFixture, ContentThatWouldContinueOurFieldIsRefused) {
  Client client = enter();
  for (const char* content : {" for <boss@corp.example>;\r\n\r\nx\r\n", "\tx\r\n", " "}) {
    client.say(kToBob);
    EXPECT_TRUE(client.say(bdat(content)).starts_with("554 5.6.0 ")) << content;
  }
  client.say(kToBob);
  EXPECT_TRUE(client.say("DATA\r\n").starts_with("354 "));
  EXPECT_TRUE(client.say(" x\r\n.\r\n").starts_with("554 5.6.0 "));
  EXPECT_EQ(spool.stored.size(), 0u);
  EXPECT_EQ(counted("waypost_inbound_messages_refused_total{reason=\"malformed\"}"), 4u);
  // What is no blank continues nothing.
  for (const char* content : {"\r\n text\r\n", "x\r\n y\r\n", "", "\n x"}) {
    client.say(kToBob);
    EXPECT_TRUE(client.say(bdat(content)).starts_with("250 2.6.0 ")) << content;
    EXPECT_TRUE(spool.stored.back().content.ends_with(content));
  }
}

TEST_F(SessionFixture, MessageIdIsRepeatedInAscii) {
  Client client = enter();
  const std::string content = "Message-ID: <caf\xC3\xA9.1@ext.example>\r\n\r\nx\r\n";
  client.say(kToBob);
  EXPECT_TRUE(client.say(bdat(content)).starts_with("250 2.6.0 <caf?.1@ext.example> queued as "));
  client.say("MAIL FROM:<ann@ext.example> SMTPUTF8\r\nRCPT TO:<bob@corp.example>\r\n");
  EXPECT_TRUE(
      client.say(bdat(content)).starts_with("250 2.6.0 <caf\xC3\xA9.1@ext.example> queued as "));
}

TEST_F(SessionFixture, ConnectionLostInsideContentQueuesNothingAndIsTracked) {
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 1000 LAST\r\nMessage-ID: <half@x>\r\n\r\nhalf");
  client.close();
  EXPECT_TRUE(door.sessions.empty());
  EXPECT_TRUE(spool.stored.empty());
  EXPECT_EQ(spool.forgotten, 1u);
  EXPECT_EQ(tracking.count({"\"abandoned\"", "<half@x>", "lost inside the content"}), 1u)
      << tracking.all();
  EXPECT_EQ(counted("waypost_inbound_transactions_abandoned_total"), 1u);
}

TEST_F(SessionFixture, MessageWithoutMessageIdStillHearsItsQueueId) {
  Client client = enter();
  client.say(kToBob);
  const std::string heard = client.say(bdat("Subject: x\r\n\r\n"));
  EXPECT_EQ(heard, "250 2.6.0 queued as " + spool.stored.at(0).ref.id.to_string() + "\r\n");
}

TEST_F(SessionFixture, IdleSessionHears421) {
  Client client = enter();
  advance(minutes(5) - seconds(1));
  EXPECT_EQ(client.hear(), "");
  EXPECT_TRUE(has(client.say("NOOP\r\n"), "250 "));
  advance(minutes(5) - seconds(1));
  EXPECT_FALSE(client.ended());
  advance(seconds(2));
  EXPECT_TRUE(has(client.hear(), "421 4.4.2 "));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(counted("waypost_inbound_timeouts_total"), 1u);
}

TEST_F(SessionFixture, DrippingACommandDoesNotBuyTime) {
  Client client = enter();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(client.say("N"), "");
    advance(minutes(1));
  }
  client.say("N");
  advance(minutes(1) + seconds(1));
  EXPECT_TRUE(has(client.hear(), "421 4.4.2 "));
}

TEST_F(SessionFixture, SlowContentHears421) {
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 1000 LAST\r\nSubject: x\r\n");
  advance(minutes(2));
  client.say("more");
  advance(minutes(2));
  EXPECT_EQ(client.hear(), "");
  advance(minutes(1) + seconds(1));
  EXPECT_TRUE(has(client.hear(), "421 4.4.2 "));
  EXPECT_EQ(tracking.count({"\"abandoned\"", "too slow inside the content"}), 1u) << tracking.all();
  EXPECT_TRUE(spool.stored.empty());
}

TEST_F(SessionFixture, WholeMessageHasADeadlineThatADripDoesNotMove) {
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 1000 LAST\r\n");
  std::string heard;
  int passed = 0;
  for (; passed < 100 && heard.empty(); ++passed) {
    client.push("x");
    advance(minutes(1));
    heard = client.hear();
  }
  EXPECT_TRUE(has(heard, "421 4.4.2 "));
  EXPECT_GE(passed, 59);
  EXPECT_LE(passed, 61);
}

TEST_F(SessionFixture, DroppedChunkHasTimeToArrive) {
  Client client = enter();
  EXPECT_EQ(client.say("BDAT 10 LAST\r\n12345"), "");
  advance(seconds(30));
  EXPECT_TRUE(has(client.say("67890"), "503 5.5.1 "));
  client.say("MAIL FROM:<>\r\nRCPT TO:<nobody@corp.example>\r\n");
  EXPECT_EQ(client.say("BDAT 10 LAST\r\n12345"), "");
  advance(seconds(30));
  EXPECT_TRUE(has(client.say("67890"), "554 5.5.1 "));
}

TEST_F(SessionFixture, ClientThatDoesNotReadItsRepliesIsGivenUp) {
  Client client = connect(0, 512);
  client.hear();
  client.push("EHLO x\r\n");
  for (int i = 0; i < 60; ++i) client.push("HELP\r\n");
  EXPECT_EQ(door.sessions.size(), 1u);
  advance(seconds(61));
  EXPECT_TRUE(door.sessions.empty());
}

TEST_F(SessionFixture, UnheardVerdictDoesNotLoseWhatIsStored) {
  Client client = enter();
  client.say(kToBob);
  client.push_and_close(bdat(kMessage));
  ASSERT_EQ(spool.stored.size(), 1u);
  ASSERT_EQ(handed_over.size(), 1u);
  EXPECT_EQ(tracking.count({"\"received\"", "<m1@ext.example>"}), 1u);
  EXPECT_TRUE(door.sessions.empty());
}

TEST_F(SessionFixture, MemoryOfATransactionGoesWithIt) {
  Client client = enter();
  client.say(kToBob);
  client.say("BDAT 5000\r\n" + std::string(5000, 'x'));
  EXPECT_GT(budget.used(), 0u);
  client.say("RSET\r\n");
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace waypost::inbound::testing
