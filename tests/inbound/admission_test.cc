#include "inbound/session_fixture.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace waypost::inbound::testing {
namespace {

using namespace std::string_literals;
using std::chrono::seconds;

TEST_F(SessionFixture, StrangerIsRefusedByNameOfItsAddress) {
  options.admission.networks = {"198.51.100.0/24"};
  Client client = connect();
  const std::string heard = client.hear();
  EXPECT_TRUE(heard.starts_with("554 192.0.2.1 may not send mail here")) << heard;
  EXPECT_TRUE(has(heard, "admission.networks"));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(tracking.count({"\"refused\"", "\"client\":\"[192.0.2.1]\"", "554 5.7.1 192.0.2.1 may",
                            "\"status\":\"5.7.1\""}),
            1u)
      << tracking.all();
  EXPECT_EQ(counted("waypost_inbound_connections_refused_total{reason=\"not_admitted\"}"), 1u);
}

TEST_F(SessionFixture, StrangerMayTalkButNotMailWhereItCouldAuthenticate) {
  options.admission.networks = {};
  options.admission.client_certificate_names = {"ex1.corp.example"};
  Client client = connect();
  EXPECT_TRUE(client.hear().starts_with("220 "));
  client.say("EHLO x\r\n");
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
}

TEST_F(SessionFixture, WhoSpeaksBeforeTheGreetingIsRefused) {
  Client client = connect();
  const std::string heard = client.say("EHLO early\r\nMAIL FROM:<>\r\n");
  EXPECT_TRUE(heard.starts_with("554 protocol error")) << heard;
  EXPECT_EQ(tracking.count({"\"refused\"", "[192.0.2.1]", "554 5.5.1"}), 1u) << tracking.all();
  EXPECT_EQ(heard.find("250"), std::string::npos);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(counted("waypost_inbound_connections_refused_total{reason=\"early_talker\"}"), 1u);
}

TEST_F(SessionFixture, GreetingWaitsForItsDelayAndListens) {
  options.limits.greeting_delay = seconds(2);
  Client patient = connect();
  Client hasty = connect();
  poll();
  EXPECT_EQ(patient.hear(), "");
  advance(seconds(1));
  EXPECT_TRUE(hasty.say("EHLO early\r\n").starts_with("554 protocol error"));
  EXPECT_TRUE(hasty.ended());
  EXPECT_EQ(patient.hear(), "");
  advance(seconds(1));
  EXPECT_TRUE(patient.hear().starts_with("220 "));
}

TEST_F(SessionFixture, ClientThatLeavesBeforeTheGreetingIsForgotten) {
  options.limits.greeting_delay = seconds(2);
  Client client = connect();
  poll();
  client.close();
  EXPECT_TRUE(door.sessions.empty());
}

TEST_F(SessionFixture, SessionsPerClientAreLimited) {
  options.limits.sessions_per_client = 2;
  Client first = connect();
  Client second = connect();
  EXPECT_TRUE(first.hear().starts_with("220 "));
  EXPECT_TRUE(second.hear().starts_with("220 "));
  Client third = connect();
  EXPECT_TRUE(third.hear().starts_with("421 gw.corp.example too many"));
  EXPECT_TRUE(third.ended());
  EXPECT_EQ(tracking.count({"\"refused\""}), 0u) << "it comes again";
  first.say("QUIT\r\n");
  Client fourth = connect();
  EXPECT_TRUE(fourth.hear().starts_with("220 "));
}

TEST_F(SessionFixture, SessionsInAllAreLimited) {
  options.limits.sessions = 1;
  Client first = connect();
  EXPECT_TRUE(first.hear().starts_with("220 "));
  Client second = connect();
  EXPECT_TRUE(second.hear().starts_with("421 gw.corp.example too many"));
  first.say("QUIT\r\n");
  Client third = connect();
  EXPECT_TRUE(third.hear().starts_with("220 "));
}

class BehindProxy : public SessionFixture {
 protected:
  BehindProxy() {
    options.listeners[0].proxy_networks = {"192.0.2.0/24"};
    options.admission.networks = {"10.0.0.0/8"};
  }
};

TEST_F(BehindProxy, HeaderSaysWhoTheClientIs) {
  Client client = connect();
  EXPECT_EQ(client.hear(), "");
  EXPECT_TRUE(client.say("PROXY TCP4 10.0.0.5 192.0.2.2 4711 25\r\n").starts_with("220 "));
  client.say("EHLO ex1\r\n");
  client.say(kToBob);
  client.say(bdat("Subject: x\r\n\r\n"));
  ASSERT_EQ(spool.stored.size(), 1u);
  EXPECT_TRUE(has(spool.stored[0].content, "from ex1 ([10.0.0.5])"));
  Client second = connect();
  const std::string v2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\5\xC0\0\2\2\x12\x67\0\x19"s;
  EXPECT_TRUE(second.say(v2).starts_with("220 "));
}

TEST_F(BehindProxy, AdmissionAndLimitsAreForTheClientNotTheProxy) {
  options.limits.sessions_per_client = 1;
  Client stranger = connect();
  EXPECT_TRUE(
      has(stranger.say("PROXY TCP4 203.0.113.9 192.0.2.2 1 25\r\n"), "554 203.0.113.9 may not"));
  Client one = connect();
  EXPECT_TRUE(one.say("PROXY TCP6 ::ffff:10.0.0.5 ::1 1 25\r\n").starts_with("220 "));
  Client same = connect();
  EXPECT_TRUE(same.say("PROXY TCP4 10.0.0.5 192.0.2.2 2 25\r\n").starts_with("421 gw.corp"));
  Client other = connect();
  EXPECT_TRUE(other.say("PROXY TCP4 10.0.0.6 192.0.2.2 2 25\r\n").starts_with("220 "));
}

TEST_F(BehindProxy, LocalConnectionsCountAsTheProxysOwn) {
  options.admission.networks = {"192.0.2.0/24"};
  Client client = connect();
  EXPECT_TRUE(client.say("PROXY UNKNOWN\r\n").starts_with("220 "));
}

TEST_F(BehindProxy, HealthCheckIsGreetedAndSendsNoMail) {
  const std::string local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s;
  const std::string by_socket = "\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xD8"s + std::string(216, 'u');
  for (const std::string& header : {local, "PROXY UNKNOWN\r\n"s, by_socket}) {
    Client check = connect();
    EXPECT_TRUE(check.say(header).starts_with("220 "));
    EXPECT_TRUE(check.say("EHLO lb\r\n").starts_with("250-"));
    EXPECT_TRUE(check.say("MAIL FROM:<>\r\n").starts_with("554 5.7.1 "));
    EXPECT_TRUE(check.say("QUIT\r\n").starts_with("221 "));
  }
  EXPECT_EQ(counted("waypost_inbound_connections_refused_total{reason=\"not_admitted\"}"), 0u);
  EXPECT_EQ(tracking.count({""}), 0u) << tracking.all();
}

TEST_F(BehindProxy, HeaderIsRequiredOfTheTrusted) {
  Client client = connect();
  EXPECT_EQ(client.say("EHLO x\r\n"), "");
  EXPECT_TRUE(client.ended());
}

TEST_F(BehindProxy, HeaderHasADeadline) {
  Client client = connect();
  client.say("PROXY TCP4 ");
  advance(seconds(29));
  EXPECT_FALSE(client.ended());
  client.say("10.0.0.5");
  advance(seconds(2));
  EXPECT_TRUE(client.ended());
}

TEST_F(BehindProxy, ClientThatTalksBehindTheHeaderBeforeTheGreetingIsRefused) {
  Client client = connect();
  EXPECT_TRUE(
      client.say("PROXY TCP4 10.0.0.5 192.0.2.2 1 25\r\nEHLO x\r\n").starts_with("554 protocol"));
}

TEST_F(SessionFixture, HeaderOfTheUntrustedIsAnUnknownCommand) {
  options.listeners[0].proxy_networks = {"198.51.100.1"};
  Client client = connect();
  client.hear();
  EXPECT_TRUE(client.say("PROXY TCP4 10.0.0.5 192.0.2.2 4711 25\r\n").starts_with("500 5.5.1 "));
  client.say("EHLO x\r\n");
  client.say(kToBob);
  client.say(bdat("Subject: x\r\n\r\n"));
  EXPECT_TRUE(has(spool.stored.at(0).content, "([192.0.2.1])"));
}

TEST_F(SessionFixture, SettingsNameWhatIsWrong) {
  Options wrong = options;
  wrong.admission.networks = {"corp"};
  auto settings = Settings::load(wrong);
  ASSERT_FALSE(settings);
  EXPECT_TRUE(has(settings.error().message, "admission.networks: 'corp'"));
  wrong = options;
  wrong.listeners[0].proxy_networks = {"10.0.0.0/99"};
  settings = Settings::load(wrong);
  ASSERT_FALSE(settings);
  EXPECT_TRUE(has(settings.error().message, "listener 0.0.0.0:25: '10.0.0.0/99'"));
  wrong = options;
  wrong.listeners[0].tls = ListenerTls::starttls;
  settings = Settings::load(wrong);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().kind, ErrorKind::tls);
  wrong = options;
  wrong.admission.password_file = "/nowhere/passwords";
  EXPECT_FALSE(Settings::load(wrong));
}

TEST_F(SessionFixture, CertificatesAreMatchedByNameOrFingerprintAndOnlyIfVerified) {
  options.admission.client_certificate_names = {"EX1.corp.example", "SHA256:AB12"};
  const auto settings = Settings::load(options);
  ASSERT_TRUE(settings);
  net::TlsInfo info;
  info.verified = true;
  info.peer_names = {"other.example", "ex1.Corp.example"};
  EXPECT_TRUE((*settings)->admits_certificate(info));
  info.verified = false;
  EXPECT_FALSE((*settings)->admits_certificate(info));
  info.verified = true;
  info.peer_names = {"ex2.corp.example"};
  EXPECT_FALSE((*settings)->admits_certificate(info));
  info.peer_fingerprint = "ab12";
  EXPECT_TRUE((*settings)->admits_certificate(info));
  info.peer_names = {"sha256:ab12"};  // a certificate can't name itself a fingerprint
  info.peer_fingerprint = "cd34";
  EXPECT_FALSE((*settings)->admits_certificate(info));
}

}  // namespace
}  // namespace waypost::inbound::testing
