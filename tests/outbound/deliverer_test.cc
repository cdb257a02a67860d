// One attempt: what is delivered, deferred and failed.
#include "deliverer_fixture.h"

namespace waypost::outbound {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST_F(DelivererTest, DeliversAndReusesTheConnection) {
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  const auto second = attempt();
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_TRUE(second.reused_connection);
  EXPECT_EQ(connects.size(), 1u);
}

TEST_F(DelivererTest, AnIdleConnectionIsClosedInTime) {
  attempt();
  EXPECT_EQ(said("QUIT"), 0u);
  clock.advance(seconds(11));
  settle();
  EXPECT_EQ(said("QUIT"), 1u);
  EXPECT_FALSE(attempt().reused_connection);
}

TEST_F(DelivererTest, AConnectionThatDiedIsReplacedAndNobodyIsToBlame) {
  hosts["10.0.0.1"].closes_after = 1;
  attempt();
  const auto second = attempt();
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_FALSE(second.site_trouble);
  EXPECT_EQ(connects.size(), 2u);
}

TEST_F(DelivererTest, AReusedConnectionThatBreaksAtMailIsRetriedOnANewOne) {
  attempt();
  hosts["10.0.0.1"].cut_at = "MAIL";
  const auto second = attempt();
  EXPECT_EQ(connects.size(), 2u);  // once more, and only once
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_TRUE(second.site_trouble);
}

TEST_F(DelivererTest, TheNextHostIsTriedAndTheFailedOneComesLast) {
  hosts["10.0.0.1"].refuses = true;
  options.idle_connection = Duration::zero();
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(connects, (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
  attempt();
  EXPECT_EQ(connects.back(), "10.0.0.2");
  EXPECT_EQ(connects.size(), 3u);
  clock.advance(minutes(6));
  attempt();
  EXPECT_EQ(connects.size(), 5u);
}

TEST_F(DelivererTest, ARefusedGreetingIsTheSitesTrouble) {
  for (auto& host : hosts) host.second.greeting = "554 5.7.1 go away\r\n";
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_TRUE(result.site_trouble);
  EXPECT_EQ(connects.size(), 2u);
}

TEST_F(DelivererTest, TlsThatIsDemandedAndNotOfferedDefers) {
  options.tls.policy = net::TlsPolicy::require;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(result.outcomes.at(0).status.subject, 7);
  EXPECT_EQ(said("MAIL"), 0u);
}

TEST_F(DelivererTest, CutAtEachStageDefers) {
  for (const char* stage : {"EHLO", "MAIL", "RCPT", "DATA", "."}) {
    for (auto& host : hosts) host.second.cut_at = stage;
    deliverer.reset();
    const auto result = attempt();
    EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred) << stage;
    EXPECT_EQ(result.site_trouble, std::string(stage) != ".") << stage;
  }
}

TEST_F(DelivererTest, ARefusalInTheMiddleOfTheContentIsTheVerdict) {
  spool.content = std::string(500'000, 'x') + "\r\n";
  spool.content.replace(998, 2, "\r\n");
  for (auto& host : hosts) host.second.last_words = "552 5.3.4 too big for us\r\n";
  const auto closed = attempt().outcomes.at(0);
  EXPECT_EQ(closed.fate, mail::Fate::failed);
  EXPECT_EQ(closed.status.to_string(), "5.3.4");
  EXPECT_EQ(closed.reply, "552 5.3.4 too big for us");
  // It may also keep the connection and read no more.
  for (auto& host : hosts) host.second.stays = true;
  options.content_timeout = seconds(2);
  patience = 100;
  deliverer.reset();
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::failed);
}

TEST_F(DelivererTest, NoOtherWordsInTheMiddleOfTheContentCount) {
  spool.content = std::string(500'000, 'x') + "\r\n";
  spool.content.replace(998, 2, "\r\n");
  options.content_timeout = seconds(2);
  patience = 200;
  for (const char* words : {"250 2.0.0 taken\r\n", "552 5.3.4", "", "nonsense\r\n", "354 more\r\n",
                            "421 4.3.2 closing\r\n", "452 4.3.1 full\r\n"}) {
    for (const bool stays : {false, true}) {
      for (auto& host : hosts) {
        host.second.last_words = words;
        host.second.stays = stays;
        if (host.second.last_words.empty()) host.second.cut_at = ".";
      }
      deliverer.reset();
      EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::deferred) << words << stays;
    }
  }
}

TEST_F(DelivererTest, ContentThatCanNotBeReadDefersAndNothingArrives) {
  spool.unreadable = true;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_NE(result.outcomes.at(0).reply.find("bad sector"), std::string::npos);
  EXPECT_FALSE(result.site_trouble);
  EXPECT_EQ(said("."), 0u);
  spool.unreadable = false;
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
}

TEST_F(DelivererTest, RepairedNewlinesAreCounted) {
  spool.content = "Subject: x\n\nbare\rand\r\n";
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  spool.content = "Subject: x\r\n\r\nnone\r\n";
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_NE(
      metrics.serialize().find("waypost_outbound_bare_newlines_repaired_total{next_hop=\"hop\"} 3"),
      std::string::npos)
      << metrics.serialize();
}

TEST_F(DelivererTest, CutsAreTheSitesTroubleAlsoWhenAllGoesOutInOneGo) {
  for (auto& host : hosts)
    host.second.ehlo = "250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
  for (const char* stage : {"MAIL", "BDAT"}) {
    for (auto& host : hosts) host.second.cut_at = stage;
    deliverer.reset();
    const auto result = attempt();
    EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred) << stage;
    EXPECT_EQ(result.site_trouble, std::string(stage) == "MAIL") << stage;
    EXPECT_EQ(result.asks_for_less, std::string(stage) == "BDAT") << stage;
  }
}

TEST_F(DelivererTest, AReusedConnectionThatDiedOfAgeIsNobodysFault) {
  for (auto& host : hosts) {
    host.second.ehlo = "250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    host.second.closes_after = 1;
  }
  attempt();
  const auto result = attempt();
  EXPECT_FALSE(result.site_trouble);
  EXPECT_FALSE(result.asks_for_less);
}

TEST_F(DelivererTest, MalformedRepliesDefer) {
  for (const char* reply : {"what?\r\n", "25\r\n", "999 no\r\n", "350 what\r\n"}) {
    hosts["10.0.0.1"].replies["MAIL"] = reply;
    deliverer.reset();
    EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::deferred) << reply;
  }
}

TEST_F(DelivererTest, RcptMaxOfTheServerIsHonoured) {
  hosts["10.0.0.1"].ehlo = "250-mx.example\r\n250 LIMITS RCPTMAX=2\r\n";
  const auto result = attempt({"a@t.example", "b@t.example", "c@t.example"});
  for (const auto& outcome : result.outcomes) EXPECT_EQ(outcome.fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL"), 2u);
}

TEST_F(DelivererTest, RcptMaxIsRememberedForTheQueue) {
  make();
  EXPECT_EQ(deliverer->recipients_at_once(), 100u);
  hosts["10.0.0.1"].ehlo = "250-mx.example\r\n250 LIMITS RCPTMAX=2\r\n";
  attempt();
  EXPECT_EQ(deliverer->recipients_at_once(), 2u);
  hosts["10.0.0.1"].ehlo = "250 mx.example\r\n";  // it has changed its mind
  clock.advance(seconds(11));
  settle();
  attempt();
  EXPECT_EQ(deliverer->recipients_at_once(), 100u);
}

TEST_F(DelivererTest, OfAnEndlessListOfMxHostsOnlyTheBestAreTried) {
  options.hosts.clear();
  options.mx_of_recipient = true;
  net::MxAnswer endless;
  for (std::uint16_t n = 1; n <= 20; ++n)
    endless.hosts.push_back({n, "10.9.0." + std::to_string(n)});
  mx_answers.insert({"endless.example", endless});
  EXPECT_EQ(attempt({"a@endless.example"}).outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(connects.size(), 5u);
  attempt({"a@endless.example"});  // what failed comes last: the next five
  ASSERT_EQ(connects.size(), 10u);
  EXPECT_EQ(connects[5], "10.9.0.6");
}

TEST_F(DelivererTest, WhoDripsThroughEveryDeadlineDoesNotKeepAnAttemptForHours) {
  options.hosts.clear();
  options.mx_of_recipient = true;
  net::MxAnswer tarpit;
  for (std::uint16_t n = 1; n <= 5; ++n) {
    const std::string name = "10.9.0." + std::to_string(n);
    tarpit.hosts.push_back({n, name});
    hosts[name].hangs = true;
  }
  mx_answers.insert({"tarpit.example", tarpit});
  patience = 20 * 60 * 20;  // 20 minutes
  EXPECT_EQ(attempt({"a@tarpit.example"}).outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_LE(connects.size(), 3u);  // five minutes each for the greeting
}

TEST_F(DelivererTest, OurselvesByAddressIsALoop) {
  self = "10.0.0.1";
  EXPECT_EQ(attempt().outcomes.at(0).status.to_string(), "5.4.6");
  EXPECT_TRUE(connects.empty());
}

TEST_F(DelivererTest, MxHostsComeInOrderAndNullMxFails) {
  options.hosts.clear();
  options.mx_of_recipient = true;
  hosts["10.0.0.1"].refuses = true;
  mx_answers.insert({"t.example", net::MxAnswer{{{10, "10.0.0.1"}, {20, "10.0.0.2"}}}});
  mx_answers.insert({"null.example", net::MxAnswer{{}, true}});
  const auto result = attempt({"a@t.example", "b@null.example", "c@gone.example"});
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(connects, (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(result.outcomes.at(1).status.to_string(), "5.1.10");
  EXPECT_EQ(result.outcomes.at(2).status.to_string(), "5.1.2");
}

TEST_F(DelivererTest, TroubleOfOneRecipientDomainIsNotThatOfTheNextHop) {
  options.hosts.clear();
  options.mx_of_recipient = true;
  hosts["10.0.0.1"].refuses = true;
  mx_answers.insert({"down.example", net::MxAnswer{{{10, "10.0.0.1"}}}});
  const auto result = attempt({"a@down.example"});
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_FALSE(result.site_trouble);  // else one dead domain would stop mail to all the others
}

TEST_F(DelivererTest, CancelEndsWhatRunsAndOpensNothingMore) {
  for (auto& host : hosts) host.second.hangs = true;
  make();
  std::optional<AttemptResult> result;
  boost::asio::co_spawn(shard.io, keep(input({"a@t.example"}), &result), boost::asio::detached);
  settle();
  EXPECT_FALSE(result);
  EXPECT_FALSE(deliverer->idle());
  deliverer->cancel();
  settle();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(connects.size(), 1u);
  EXPECT_TRUE(deliverer->idle());
}

TEST_F(DelivererTest, EachRewrittenSenderHasItsOwnTransaction) {
  make();
  auto made = input({"a@t.example", "b@t.example", "c@t.example", "d@t.example"});
  made.recipients[1].rewritten_sender = mail::Mailbox{"SRS0=x", "srs.corp.example"};
  made.recipients[3].rewritten_sender = mail::Mailbox{"SRS0=x", "srs.corp.example"};
  hosts["10.0.0.1"].replies["."] = "250 2.0.0 taken\r\n";
  std::optional<AttemptResult> result;
  boost::asio::co_spawn(shard.io, keep(made, &result), boost::asio::detached);
  settle();
  ASSERT_TRUE(result);
  for (const auto& outcome : result->outcomes) EXPECT_EQ(outcome.fate, mail::Fate::delivered);
  EXPECT_EQ(result->outcomes[0].rewritten_sender, "");
  EXPECT_EQ(result->outcomes[1].rewritten_sender, "SRS0=x@srs.corp.example");
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example>"), 1u);
  EXPECT_EQ(said("MAIL FROM:<SRS0=x@srs.corp.example>"), 1u);
  EXPECT_EQ(said("RCPT"), 4u);
  EXPECT_EQ(connects.size(), 1u);
}

}  // namespace
}  // namespace waypost::outbound
