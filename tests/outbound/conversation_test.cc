// What servers do with a conversation, beyond what the RFCs foresee, and that nobody gets a message
// twice or not at all because of it.
#include "deliverer_fixture.h"

namespace waypost::outbound {
namespace {

using std::chrono::minutes;

constexpr const char* kModern =
    "250-mx.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n";

class Conversation : public DelivererTest {
 protected:
  Conversation() { spool.content = "Subject: x\r\n\r\nbody\r\n"; }
  void change(mail::Envelope& envelope) override { envelope.content_size = spool.content.size(); }
  void all(void (*arrange)(Host&)) {
    for (auto& host : hosts) arrange(host.second);
  }
  static std::vector<std::string> people(std::size_t count, std::size_t domains = 1) {
    std::vector<std::string> list;
    for (std::size_t i = 0; i < count; ++i)
      list.push_back("u" + std::to_string(i) + "@d" + std::to_string(i % domains) + ".example");
    return list;
  }
  void expect_all(const AttemptResult& result, mail::Fate fate) {
    for (const auto& outcome : result.outcomes) EXPECT_EQ(outcome.fate, fate) << outcome.reply;
  }
};

TEST_F(Conversation, ARefusedResetCostsAConnectionAndNoSecondCopy) {
  for (const char* ehlo : {kModern, "250-mx.example\r\n250 PIPELINING\r\n", "250 mx.example\r\n"}) {
    for (auto& host : hosts) host.second.ehlo = ehlo;
    all([](Host& host) {
      host.replies = {{"RSET", "503 no\r\n"}, {"RCPT", "550 no\r\n"}, {"DATA", "503 no\r\n"}};
    });
    deliverer.reset();
    connects.clear();
    commands.clear();
    EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::failed);
    EXPECT_EQ(said("BDAT"), 0u);
    all([](Host& host) { host.replies = {{"RSET", "503 no\r\n"}}; });
    const auto second = attempt();
    EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::delivered);
    EXPECT_FALSE(second.site_trouble);
    EXPECT_EQ(connects.size(), 2u);
    EXPECT_EQ(said("BDAT") + said("."), 1u) << ehlo;  // one copy
  }
}

TEST_F(Conversation, ARefusedResetBetweenPartsOfAMessageIsNobodysTrouble) {
  all([](Host& host) {
    host.ehlo = kModern;
    host.replies = {{"RSET", "503 5.5.0 no\r\n"}, {"RCPT", "550 5.1.1 no\r\n"}};
  });
  options.max_recipients = 2;
  const auto result = attempt(people(5));
  expect_all(result, mail::Fate::failed);
  EXPECT_FALSE(result.site_trouble);
  EXPECT_EQ(connects.size(), 3u);
}

TEST_F(Conversation, WhoeverTakesFewRecipientsGetsTheRestAtOnceAndFewerNextTime) {
  all([](Host& host) { host.takes = 10; });
  for (const char* ehlo : {kModern, "250 mx.example\r\n"}) {
    for (auto& host : hosts) host.second.ehlo = ehlo;
    deliverer.reset();
    commands.clear();
    const auto result = attempt(people(95));
    expect_all(result, mail::Fate::delivered);
    EXPECT_FALSE(result.asks_for_less);
    EXPECT_EQ(said("MAIL"), 10u);
    EXPECT_EQ(said("RCPT"), 95u + 85u);  // all at the first time, then ten each
    EXPECT_EQ(deliverer->recipients_at_once(), 10u);
    clock.advance(options.remember_failures + minutes(1));
    EXPECT_EQ(deliverer->recipients_at_once(), 100u);
  }
}

TEST_F(Conversation, WhoeverTakesOneKindOfRecipientsGetsTheOthersAtOnce) {
  all([](Host& host) { host.one_domain = true; });
  const auto result = attempt(people(40, 4));
  expect_all(result, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL"), 4u);
  EXPECT_EQ(deliverer->recipients_at_once(), 100u);  // it is not their number
}

TEST_F(Conversation, WhoeverTakesNobodyIsAskedOnce) {
  for (const char* no : {"452 4.5.3 no\r\n", "452 no\r\n", "552 no\r\n"}) {
    for (auto& host : hosts) host.second.replies["RCPT"] = no;
    commands.clear();
    expect_all(attempt(people(5)), mail::Fate::deferred);
    EXPECT_EQ(said("MAIL"), 1u) << no;
  }
}

TEST_F(Conversation, RefusedContentIsNoProgressForThoseWhoWait) {
  all([](Host& host) {
    host.takes = 2;
    host.replies["."] = "451 4.3.0 later\r\n";
  });
  expect_all(attempt(people(5)), mail::Fate::deferred);
  EXPECT_EQ(said("MAIL"), 1u);
}

TEST_F(Conversation, FewRecipientsGoOverAsManyConnectionsAsItTakes) {
  all([](Host& host) { host.takes = 1; });
  options.max_messages_per_connection = 2;
  expect_all(attempt(people(5)), mail::Fate::delivered);
  EXPECT_EQ(connects.size(), 3u);
}

TEST_F(Conversation, WhoeverOffersChunkingAndDoesNotKnowBdatGetsData) {
  for (const char* no : {"500 5.5.1 what\r\n", "502 5.5.1 not here\r\n"}) {
    for (auto& host : hosts) {
      host.second.ehlo = kModern;
      host.second.knows_bdat = false;
      host.second.replies["BDAT"] = no;
    }
    deliverer.reset();
    connects.clear();
    commands.clear();
    const auto result = attempt();
    expect_all(result, mail::Fate::delivered);
    EXPECT_FALSE(result.site_trouble);
    EXPECT_EQ(connects.size(), 2u);
    expect_all(attempt(), mail::Fate::delivered);
    EXPECT_EQ(said("BDAT"), 1u);  // and never again
    EXPECT_EQ(said("DATA"), 2u);
  }
}

TEST_F(Conversation, ABdatThatIsRefusedForTheMessageIsAVerdict) {
  for (auto& host : hosts) {
    host.second.ehlo = kModern;
    host.second.replies["BDAT"] = "554 5.7.1 spam\r\n";
  }
  expect_all(attempt(), mail::Fate::failed);
  EXPECT_EQ(said("BDAT"), 1u);
}

TEST_F(Conversation, EndsWithQuitWhereverTheServerStillHears) {  // RFC 5321 §4.1.1.10
  const auto quits = [&] {
    deliverer.reset();
    connects.clear();
    commands.clear();
    attempt();
    EXPECT_EQ(said("QUIT"), connects.size());
  };
  const auto reset = [&](void (*arrange)(Host&)) {
    for (auto& host : hosts) {
      host.second = Host{};
      arrange(host.second);
    }
    quits();
  };
  options.idle_connection = Duration::zero();
  reset([](Host&) {});
  reset([](Host& host) { host.greeting = "554 5.7.1 not you\r\n"; });
  reset([](Host& host) { host.greeting = "hello\r\n"; });
  reset([](Host& host) { host.ehlo = "451 4.3.0 later\r\n"; });
  reset([](Host& host) { host.greeting = "220 gw.corp.example\r\n"; });
  reset([](Host& host) { host.replies["MAIL"] = "nonsense\r\n"; });
  reset([](Host& host) { host.replies["RCPT"] = "354 what\r\n"; });
  reset([](Host& host) { host.replies["."] = "nonsense\r\n"; });
  options.tls.policy = net::TlsPolicy::require;
  reset([](Host&) {});
  reset([](Host& host) {
    host.ehlo = "250-mx.example\r\n250 STARTTLS\r\n";
    host.replies["STAR"] = "454 4.7.0 not now\r\n";
  });
}

TEST_F(Conversation, NeverSaysQuitInsideContentOrInsteadOfAHandshake) {
  options.content_timeout = std::chrono::seconds(2);
  patience = 300;
  spool.content.assign(500'000, 'x');
  for (auto& host : hosts) host.second.reads_every = std::chrono::hours(1);
  expect_all(attempt(), mail::Fate::deferred);
  spool.content = "Subject: x\r\n";
  spool.unreadable = true;
  for (auto& host : hosts) host.second = Host{};
  expect_all(attempt(), mail::Fate::deferred);
  EXPECT_EQ(said("QUIT"), 0u);
  options.tls.policy = net::TlsPolicy::require;
  for (auto& host : hosts) {
    host.second.ehlo = "250-mx.example\r\n250 STARTTLS\r\n";
    host.second.replies["STAR"] = "220 go\r\n250 evil\r\n";
  }
  deliverer.reset();
  commands.clear();
  expect_all(attempt(), mail::Fate::deferred);
  EXPECT_EQ(said("QUIT"), 0u);
}

}  // namespace
}  // namespace waypost::outbound
