// What a next hop can't do or does not want, and how much of it may be asked.
#include "deliverer_fixture.h"

namespace waypost::outbound {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LimitsTest : public DelivererTest {
 protected:
  mail::Envelope wanted;
  void change(mail::Envelope& envelope) override {
    envelope.smtputf8 = wanted.smtputf8;
    envelope.header = wanted.header;
    if (wanted.reverse_path) envelope.reverse_path = wanted.reverse_path;
    envelope.body = wanted.body;
    envelope.ret = wanted.ret;
    envelope.envid = wanted.envid;
    if (wanted.content_size != 0) envelope.content_size = wanted.content_size;
  }
  void offer(const std::string& words) {
    for (auto& host : hosts) host.second.ehlo = "250-mx.example\r\n" + words;
  }
};

TEST_F(LimitsTest, MessagesPerConnectionAreCounted) {
  options.max_messages_per_connection = 2;
  for (int i = 0; i < 5; ++i) attempt();
  EXPECT_EQ(connects.size(), 3u);
  EXPECT_EQ(said("MAIL"), 5u);
}

TEST_F(LimitsTest, MailMaxOfTheServerIsHonoured) {  // RFC 9422
  offer("250 LIMITS MAILMAX=2\r\n");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(connects.size(), 3u);
}

TEST_F(LimitsTest, AnAttemptGoesOnAnotherConnectionWhenOneIsUsedUp) {
  offer("250 LIMITS MAILMAX=1 RCPTMAX=2\r\n");
  const auto result =
      attempt({"a@t.example", "b@t.example", "c@t.example", "d@t.example", "e@t.example"});
  for (const auto& outcome : result.outcomes) EXPECT_EQ(outcome.fate, mail::Fate::delivered);
  EXPECT_EQ(connects.size(), 3u);
  EXPECT_EQ(said("MAIL"), 3u);
  EXPECT_EQ(said("RCPT"), 5u);
}

TEST_F(LimitsTest, DomainsInATransactionAreLimitedByTheServer) {
  offer("250 LIMITS RCPTDOMAINMAX=1\r\n");
  const auto result = attempt({"a@t.example", "b@T.example", "c@u.example", "d@t.example"});
  for (const auto& outcome : result.outcomes) EXPECT_EQ(outcome.fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL"), 3u);
  EXPECT_EQ(said("RCPT"), 4u);
}

TEST_F(LimitsTest, AServerThatNeverAnswersDefersTheWholeGroup) {
  options.max_recipients = 2;
  hosts["10.0.0.1"].cut_at = "MAIL";
  const auto result = attempt({"a@t.example", "b@t.example", "c@t.example"});
  for (const auto& outcome : result.outcomes) {
    EXPECT_EQ(outcome.fate, mail::Fate::deferred);
    EXPECT_FALSE(outcome.reply.empty());
  }
  EXPECT_TRUE(result.site_trouble);
}

TEST_F(LimitsTest, MessagesPerSecondAreSpacedAndNeverFail) {
  options.max_messages_per_second = 10;
  patience = 100;
  make();
  std::vector<std::optional<AttemptResult>> results(5);
  for (auto& result : results)
    boost::asio::co_spawn(shard.io, keep(input({"a@t.example"}), &result), boost::asio::detached);
  for (int i = 0; i < 60; ++i) {
    settle();
    clock.advance(milliseconds(10));
  }
  for (const auto& result : results) {
    ASSERT_TRUE(result);
    EXPECT_EQ(result->outcomes.at(0).fate, mail::Fate::delivered);
  }
  ASSERT_EQ(mails.size(), 5u);
  for (std::size_t i = 1; i < mails.size(); ++i)
    EXPECT_EQ(mails[i] - mails[i - 1], milliseconds(100));
}

TEST_F(LimitsTest, EachTransactionOfAnAttemptTakesItsTurn) {
  options.max_messages_per_second = 1;
  options.max_recipients = 1;
  patience = 100;
  const auto result = attempt({"a@t.example", "b@t.example", "c@t.example"});
  for (const auto& outcome : result.outcomes) EXPECT_EQ(outcome.fate, mail::Fate::delivered);
  ASSERT_EQ(mails.size(), 3u);
  EXPECT_EQ(mails[2] - mails[0], seconds(2));
}

TEST_F(LimitsTest, AfterAPauseThereIsNoBurst) {
  Pace pace;
  const SteadyTime start{seconds(100)};
  EXPECT_EQ(pace.reserve(start, 4), start);
  EXPECT_EQ(pace.reserve(start, 4), start + milliseconds(250));
  EXPECT_EQ(pace.reserve(start + seconds(60), 4), start + seconds(60));
  EXPECT_EQ(pace.reserve(start + seconds(60), 4), start + seconds(60) + milliseconds(250));
}

TEST_F(LimitsTest, CancelEndsTheWaitForATurn) {
  options.max_messages_per_second = 1;
  make();
  std::optional<AttemptResult> first, second;
  boost::asio::co_spawn(shard.io, keep(input({"a@t.example"}), &first), boost::asio::detached);
  boost::asio::co_spawn(shard.io, keep(input({"b@t.example"}), &second), boost::asio::detached);
  settle();
  ASSERT_TRUE(first);
  EXPECT_FALSE(second);
  deliverer->cancel();
  settle();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_FALSE(second->site_trouble);
  EXPECT_TRUE(deliverer->idle());
}

TEST_F(LimitsTest, Smtputf8ThatIsNeededAndNotOfferedFails) {  // RFC 6531 §3.2
  wanted.smtputf8 = true;
  wanted.header = mail::HeaderText::utf8;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::failed);
  EXPECT_EQ(result.outcomes.at(0).status.to_string(), "5.6.7");
  EXPECT_NE(result.outcomes.at(0).reply.find("its header is not ASCII"), std::string::npos);
  EXPECT_FALSE(result.site_trouble);
  wanted.header = mail::HeaderText::ascii;
  wanted.reverse_path = mail::Mailbox{"zo\xC3\xAB", "outside.example"};
  EXPECT_EQ(attempt().outcomes.at(0).status.to_string(), "5.6.7");
  EXPECT_EQ(said("MAIL"), 0u);
}

TEST_F(LimitsTest, Smtputf8ThatWasOnlyDeclaredStopsNothing) {  // RFC 6531 §3.4
  wanted.smtputf8 = true;
  wanted.header = mail::HeaderText::ascii;
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  deliverer.reset();
  offer("250 SMTPUTF8\r\n");
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example>"), 2u);
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example> SMTPUTF8"), 0u);
}

TEST_F(LimitsTest, AHeaderThatNobodyLookedAtIsLookedAtBeforeTheMessageFails) {
  wanted.smtputf8 = true;  // as an older version has stored it
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  spool.content = "Subject: \xC3\xBC\r\n\r\nbody\r\n";
  EXPECT_EQ(attempt().outcomes.at(0).status.to_string(), "5.6.7");
  spool.content = "Subject: x\r\n\r\n";
  spool.unreadable = true;
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::deferred);
}

TEST_F(LimitsTest, OnlyTheRecipientsThatNeedSmtputf8FailWithoutIt) {
  const auto result = attempt({"a@t.example", "j\xC3\xBC@t.example", "b@t.example"});
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(result.outcomes.at(1).status.to_string(), "5.6.7");
  EXPECT_EQ(result.outcomes.at(2).fate, mail::Fate::delivered);
  EXPECT_EQ(said("RCPT"), 2u);
}

TEST_F(LimitsTest, Smtputf8IsSentWhereItIsNeededAndOffered) {
  offer("250-8BITMIME\r\n250 SMTPUTF8\r\n");
  wanted.smtputf8 = true;
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);  // perhaps: nobody has looked
  wanted.header = mail::HeaderText::utf8;
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example> SMTPUTF8"), 2u);
  wanted.smtputf8 = false;  // routing has put a target there that the client did not know of
  EXPECT_EQ(attempt({"j\xC3\xBC@t.example"}).outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example> SMTPUTF8"), 3u);
}

TEST_F(LimitsTest, AMessageLargerThanSizeFailsBeforeItIsSent) {  // RFC 1870 §6.1
  wanted.content_size = 1001;
  offer("250 SIZE 1000\r\n");
  const auto result = attempt({"a@t.example", "b@t.example"});
  for (const auto& outcome : result.outcomes) {
    EXPECT_EQ(outcome.fate, mail::Fate::failed);
    EXPECT_EQ(outcome.status.to_string(), "5.3.4");
  }
  EXPECT_EQ(said("MAIL"), 0u);
  wanted.content_size = 20;
  const auto second = attempt();
  EXPECT_EQ(second.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_TRUE(second.reused_connection);  // it has done nothing wrong
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example> SIZE=20"), 1u);
}

TEST_F(LimitsTest, OurOwnLimitFailsTheSameWay) {
  wanted.content_size = 501;
  options.max_message_size = 500;
  offer("250 SIZE 1000\r\n");
  EXPECT_EQ(attempt().outcomes.at(0).status.to_string(), "5.3.4");
}

TEST_F(LimitsTest, EightBitContentGoesAsItIsWhereItIsNotOffered) {
  wanted.body = mail::BodyType::eight_bit_mime;
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example>"), 1u);
  EXPECT_EQ(commands.at(1), "MAIL FROM:<sender@outside.example>");  // without BODY
}

TEST_F(LimitsTest, DsnParametersGoOnlyWhereTheyAreOffered) {  // RFC 3461 §5.2
  wanted.ret = mail::Ret::headers;
  wanted.envid = "id1";
  const auto without = attempt();
  EXPECT_FALSE(without.outcomes.at(0).remote_has_dsn);  // then the queue reports "relayed"
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example> RET"), 0u);
  deliverer.reset();
  offer("250 DSN\r\n");
  const auto with = attempt();
  EXPECT_TRUE(with.outcomes.at(0).remote_has_dsn);
  EXPECT_EQ(said("MAIL FROM:<sender@outside.example> RET=HDRS ENVID=id1"), 1u);
}

}  // namespace
}  // namespace waypost::outbound
