// Which host and address is spoken to, and how long each step may take.
#include "deliverer_fixture.h"
#include "outbound/host_plan.h"

namespace waypost::outbound {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Names = std::vector<std::string>;

class ConnectingTest : public DelivererTest {
 protected:
  ConnectingTest() {
    options.hosts = {{"mx1.example", 25}, {"mx2.example", 25}};
    options.idle_connection = Duration::zero();
    host_addresses["mx1.example"] = {"2001:db8::1", "10.1.0.1", "10.1.0.2"};
    host_addresses["mx2.example"] = {"10.2.0.1"};
    for (const char* address : {"2001:db8::1", "10.1.0.1", "10.1.0.2", "10.2.0.1"}) hosts[address];
    patience = 40;
  }
};

TEST_F(ConnectingTest, AnAddressThatDoesNotAnswerCostsAQuarterSecondOnce) {
  hosts["2001:db8::1"].unreachable = true;
  const auto first = attempt();
  EXPECT_EQ(first.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_EQ(first.remote_host, "mx1.example[10.1.0.1]:25");
  EXPECT_GE(first.took, Duration(milliseconds(250)));
  EXPECT_LT(first.took, Duration(seconds(1)));
  const auto second = attempt();
  EXPECT_EQ(second.took, Duration::zero());
  EXPECT_EQ(connects, (Names{"2001:db8::1", "10.1.0.1", "10.1.0.1"}));
}

TEST_F(ConnectingTest, EveryAddressOfTheBestHostComesBeforeTheNextHost) {
  hosts["2001:db8::1"].refuses = hosts["10.1.0.1"].refuses = hosts["10.1.0.2"].refuses = true;
  EXPECT_EQ(attempt().remote_host, "mx2.example[10.2.0.1]:25");
  EXPECT_EQ(connects, (Names{"2001:db8::1", "10.1.0.1", "10.1.0.2", "10.2.0.1"}));
  connects.clear();
  attempt();  // the whole host has failed and comes last
  EXPECT_EQ(connects, (Names{"10.2.0.1"}));
  connects.clear();
  clock.advance(minutes(6));
  attempt();
  EXPECT_EQ(connects.front(), "2001:db8::1");
}

TEST_F(ConnectingTest, AnAddressThatAnswersAndDoesNotServeIsFollowedByTheNext) {
  hosts["2001:db8::1"].greeting = "421 4.3.2 too busy\r\n";
  hosts["10.1.0.1"].greeting = "554 5.7.1 go away\r\n";
  EXPECT_EQ(attempt().remote_host, "mx1.example[10.1.0.2]:25");
  connects.clear();
  attempt();
  EXPECT_EQ(connects, (Names{"10.1.0.2"}));
}

TEST_F(ConnectingTest, WhenNothingAnswersTheTroubleIsTheSites) {
  for (auto& host : hosts) host.second.unreachable = true;
  patience = 2000;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(result.outcomes.at(0).status.to_string(), "4.4.1");
  EXPECT_TRUE(result.site_trouble);
  EXPECT_TRUE(result.unreachable);
  EXPECT_EQ(result.remote_host, "mx2.example[10.2.0.1]:25");
  EXPECT_LT(result.took, Duration(seconds(62)));  // two hosts, not four addresses
}

TEST_F(ConnectingTest, AddressesBehindOurselvesAreNotAsked) {
  self = "10.1.0.1";
  hosts["2001:db8::1"].refuses = true;
  EXPECT_EQ(attempt().outcomes.at(0).status.to_string(), "5.4.6");
  EXPECT_EQ(connects, (Names{"2001:db8::1"}));
}

TEST_F(ConnectingTest, MailWaitsForTheHostBeforeOurselves) {  // we are the second MX
  self = "10.2.0.1";
  for (const char* address : {"10.1.0.1", "10.1.0.2", "2001:db8::1"}) hosts[address].refuses = true;
  for (int i = 0; i < 2; ++i) {  // the second time, what failed would come last
    const auto result = attempt();
    EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
    EXPECT_EQ(result.outcomes.at(0).status.to_string(), "4.4.1");
    EXPECT_TRUE(result.site_trouble);
  }
}

TEST_F(ConnectingTest, CancelEndsAConnectThatHangs) {
  for (auto& host : hosts) host.second.unreachable = true;
  make();
  std::optional<AttemptResult> result;
  boost::asio::co_spawn(shard.io, keep(input({"a@t.example"}), &result), boost::asio::detached);
  settle();
  EXPECT_FALSE(result);
  deliverer->cancel();
  settle();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_TRUE(deliverer->idle());
}

TEST_F(ConnectingTest, AHostWithOurNameKeepsTheMailWaiting) {  // it may well be another machine
  for (auto& host : hosts) host.second.greeting = "220 GW.corp.example Microsoft ESMTP\r\n";
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_EQ(result.outcomes.at(0).status.to_string(), "4.4.6");
  EXPECT_NE(result.outcomes.at(0).reply.find("greets with our own name"), std::string::npos);
  EXPECT_TRUE(result.unreachable);  // the next hop pauses: one line in the log, not one a message
  EXPECT_EQ(said("QUIT"), 1u);
  EXPECT_EQ(said("MAIL"), 0u);
}

/// RFC 5321 §5.1: MX records of which none is usable are an error, for a domain of others. Our own
/// next hops are for us to correct, and what DNS can't say now it may say later.
TEST_F(ConnectingTest, ADomainWhoseMailServersHaveNoAddressFailsAtOnce) {
  const Error none{ErrorKind::not_found, "address look-up of mx.t.example: NXDOMAIN"};
  const Error later{ErrorKind::dns, "address look-up of mx.t.example: SERVFAIL"};
  options.hosts.clear();
  for (const auto& [one, other, by_recipient, status] :
       {std::tuple{none, none, true, "5.4.4"}, std::tuple{none, later, true, "4.4.3"},
        std::tuple{later, none, true, "4.4.1"}, std::tuple{none, none, false, "4.4.1"}}) {
    look_up_failures = {{"mx1.t.example", one}, {"mx2.t.example", other}};
    net::MxAnswer answer;
    answer.hosts = {{10, "mx1.t.example"}, {20, "mx2.t.example"}};
    mx_answers.insert_or_assign("t.example", answer);
    options.mx_of_recipient = by_recipient;
    options.mx_domain = by_recipient ? "" : "t.example";
    deliverer.reset();
    const auto result = attempt();
    EXPECT_EQ(result.outcomes.at(0).status.to_string(), status);
    EXPECT_TRUE(connects.empty());
  }
  // One that exists and does not answer is no error of the domain.
  look_up_failures.erase("mx2.t.example");
  host_addresses["mx2.t.example"] = {"10.9.9.9"};
  options.mx_of_recipient = true;
  deliverer.reset();
  EXPECT_EQ(attempt().outcomes.at(0).fate, mail::Fate::deferred);
}

struct Step {
  const char* verb;
  Duration NextHopOptions::* limit;
  const char* words;
};

class Patience : public ConnectingTest, public ::testing::WithParamInterface<Step> {};

TEST_P(Patience, EachStepHasItsOwnDeadline) {
  options.hosts = {{"10.2.0.1", 25}};
  for (const auto limit : {&NextHopOptions::greeting_timeout, &NextHopOptions::command_timeout,
                           &NextHopOptions::data_timeout, &NextHopOptions::verdict_timeout})
    options.*limit = minutes(9);
  options.*GetParam().limit = seconds(7);
  hosts["10.2.0.1"].silent_at = GetParam().verb;
  hosts["10.2.0.1"].hangs = std::string("220") == GetParam().verb;
  patience = 200;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_GE(result.took, Duration(seconds(7)));
  EXPECT_LT(result.took, Duration(seconds(8)));
  EXPECT_NE(result.outcomes.at(0).reply.find("timed out waiting for " +
                                             std::string(GetParam().words) + " (7 s)"),
            std::string::npos)
      << result.outcomes.at(0).reply;
}

INSTANTIATE_TEST_SUITE_P(
    Connecting, Patience,
    ::testing::Values(Step{"220", &NextHopOptions::greeting_timeout, "the greeting"},
                      Step{"EHLO", &NextHopOptions::command_timeout, "the reply to EHLO"},
                      Step{"MAIL", &NextHopOptions::command_timeout, "the reply to MAIL"},
                      Step{"RCPT", &NextHopOptions::command_timeout, "the reply to RCPT"},
                      Step{"DATA", &NextHopOptions::data_timeout, "the reply to DATA"},
                      Step{".", &NextHopOptions::verdict_timeout, "the reply to the content"}),
    [](const auto& about) {
      const std::string verb = about.param.verb;
      if (verb == ".") return std::string("Verdict");
      return verb == "220" ? std::string("Greeting") : verb;
    });

TEST_F(ConnectingTest, ADrippingServerIsNoProgress) {
  options.hosts = {{"10.2.0.1", 25}};
  options.command_timeout = seconds(7);
  hosts["10.2.0.1"].drips_at = "MAIL";
  patience = 400;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_LT(result.took, Duration(seconds(8)));
}

TEST_F(ConnectingTest, TheTlsHandshakeHasADeadline) {
  options.hosts = {{"10.2.0.1", 25}};
  options.tls.policy = net::TlsPolicy::require;
  options.handshake_timeout = seconds(7);
  hosts["10.2.0.1"].ehlo = "250-mx.example\r\n250 STARTTLS\r\n";
  hosts["10.2.0.1"].replies["STAR"] = "220 go on\r\n";
  patience = 400;
  const auto result = attempt();
  EXPECT_EQ(result.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_GE(result.took, Duration(seconds(7)));
  EXPECT_LT(result.took, Duration(seconds(8)));
}

TEST_F(ConnectingTest, ContentHasADeadlineForEachBlockAndNotForTheWhole) {
  options.hosts = {{"10.2.0.1", 25}};
  options.content_timeout = seconds(20);
  options.verdict_timeout = minutes(5);
  spool.content.assign(400'000, 'x');
  hosts["10.2.0.1"].reads_every = milliseconds(1000);  // 64 KiB take 16 s
  patience = 4000;
  const auto slow = attempt();
  EXPECT_EQ(slow.outcomes.at(0).fate, mail::Fate::delivered);
  EXPECT_GT(slow.took, Duration(seconds(90)));
  hosts["10.2.0.1"].reads_every = std::chrono::hours(1);
  const auto dead = attempt();
  EXPECT_EQ(dead.outcomes.at(0).fate, mail::Fate::deferred);
  EXPECT_LT(dead.took, Duration(seconds(45)));
}

TEST(HostMemory, ForgetsInTimeAndNeverGrowsBeyondItsBound) {
  HostMemory memory(minutes(5));
  const SteadyTime start{};
  memory.failed("first", start);
  EXPECT_TRUE(memory.failed_lately("first", start + minutes(4)));
  EXPECT_FALSE(memory.failed_lately("first", start + minutes(5)));
  for (std::size_t i = 0; i < 3 * HostMemory::kMost; ++i)
    memory.failed("host" + std::to_string(i), start + milliseconds(i));
  EXPECT_EQ(memory.size(), HostMemory::kMost);
  const std::string last = "host" + std::to_string(3 * HostMemory::kMost - 1);
  EXPECT_TRUE(memory.failed_lately(last, start + seconds(10)));
  EXPECT_FALSE(memory.failed_lately("first", start + seconds(10)));
  memory.succeeded(last);
  EXPECT_FALSE(memory.failed_lately(last, start + seconds(10)));
}

}  // namespace
}  // namespace waypost::outbound
