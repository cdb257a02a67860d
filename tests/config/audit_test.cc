// The safety check alone, on a Config that was not read from a file.
#include "config/config_fixture.h"

#include <gmock/gmock.h>

namespace waypost::config {
namespace {

using ::testing::HasSubstr;

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() {
    config.file = "w.yaml";
    config.inbound.own_name = "gw.corp.example";
    config.inbound.listeners.emplace_back();
    config.routing.own_domains = {"corp.example"};
    config.routing.target_domains = {{"t.example", "out"}};
    config.next_hops.emplace_back();
    config.next_hops[0].name = "out";
    config.next_hops[0].mx_domain = "t.example";
  }
  std::string said() const { return listed(audit(config)); }
  Config config;
};

TEST_F(AuditTest, SaysNothingAboutASafeConfiguration) {
  config.inbound.admission.networks = {"10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "127.0.0.1",
                                       "::1"};
  config.routing.default_next_hop = "out";
  EXPECT_EQ(said(), "");
}

TEST_F(AuditTest, WhoHasNotMovedMustNotGoToTheNewSystem) {
  config.routing.pending_next_hop = "out";
  EXPECT_THAT(said(), HasSubstr("'out' takes the mail of target domain 't.example' too"));
  config.next_hops.resize(2);
  config.next_hops[1].name = "old";
  config.routing.pending_next_hop = "old";
  EXPECT_EQ(said(), "");
  for (auto& hop : config.next_hops) {
    hop.mx_domain.clear();
    hop.hosts = {{"mail.example", 25}};
  }
  EXPECT_THAT(said(), HasSubstr("'old' and 'out' (target domain 't.example') are both "
                                "mail.example:25"));
  config.next_hops[1].hosts[0].port = 2525;
  EXPECT_EQ(said(), "");
}

TEST_F(AuditTest, FindsEveryWayOfAdmittingEverybody) {
  config.routing.default_next_hop = "out";
  for (const std::vector<std::string>& networks : {std::vector<std::string>{"0.0.0.0/0"},
                                                   {"::/0"},
                                                   {"0.0.0.0/1", "128.0.0.0/1"},
                                                   {"::ffff:0:0/96"},
                                                   {"2000::/3"},
                                                   {"10.0.0.1", "64.0.0.0/2"},
                                                   {"52.0.0.0/9", "52.128.0.0/9"}}) {
    config.inbound.admission.networks = networks;
    EXPECT_THAT(said(), HasSubstr("error: open relay")) << networks[0];
  }
}

TEST_F(AuditTest, ALargePublicNetworkWithAWayToEverybodyIsAnOpenRelayToo) {
  for (const std::vector<std::string>& networks : {std::vector<std::string>{"52.0.0.0/10"},
                                                   {"52.0.0.0/15"},
                                                   {"2600::/28"},
                                                   {"52.0.0.0/16", "54.0.0.0/16"}}) {
    config.inbound.admission.networks = networks;
    config.routing.default_next_hop = "out";
    EXPECT_THAT(said(), HasSubstr("error: open relay: '" + networks[0])) << networks[0];
    config.routing.default_next_hop.clear();
    EXPECT_THAT(said(), HasSubstr("warning: ")) << networks[0];
  }
  config.routing.default_next_hop = "out";
  config.inbound.admission.networks = {"52.0.0.0/16"};
  EXPECT_EQ(said(), "");
}

TEST_F(AuditTest, WarnsAboutStrangersWhoMayWriteToUs) {
  config.inbound.admission.networks = {"0.0.0.0/0"};
  EXPECT_THAT(
      said(),
      HasSubstr(
          "w.yaml: warning: '0.0.0.0/0' lets strangers on the Internet send to your domains"));
}

TEST_F(AuditTest, ProxyHeadersFromEverywhereAreAnOpenRelayEvenWithoutDefault) {
  config.inbound.admission.networks = {"10.0.0.1"};
  config.inbound.listeners[0].proxy_networks = {"10.0.0.0/8", "::/0"};
  EXPECT_THAT(said(), HasSubstr("every host in '::/0' may claim any client address"));
  config.inbound.listeners[0].proxy_networks = {"10.0.0.0/8"};
  EXPECT_EQ(said(), "");
}

TEST_F(AuditTest, WildcardCertificateNames) {
  // Admission compares whole names (inbound's AdmissionTest): what looks like more is a mistake.
  for (const std::string name :
       {"*", "*.", ".", ".com", "*.com", "*.corp.example", ".corp.example", "ex*.corp.example"}) {
    config.inbound.admission.client_certificate_names = {name};
    EXPECT_THAT(said(), HasSubstr("error: '" + name + "' is a pattern"));
  }
  config.inbound.admission.client_certificate_names = {"ex1.corp.example", "sha256:00ff"};
  EXPECT_EQ(said(), "");
}

TEST_F(AuditTest, NextHopThatIsOurselves) {
  const auto with_host = [&](std::string host, std::uint16_t port) {
    config.next_hops[0].mx_domain.clear();
    config.next_hops[0].hosts = {{std::move(host), port}};
    return said();
  };
  for (const std::string host :
       {"gw.corp.example", "GW.corp.example", "gw.corp.example.", "localhost", "127.0.0.1",
        "127.9.9.9", "::1", "0.0.0.0", "0:0:0:0:0:0:0:1"})
    EXPECT_THAT(with_host(host, 25), HasSubstr("mail loop")) << host;
  EXPECT_EQ(with_host("127.0.0.1", 26), "");
  EXPECT_EQ(with_host("other.corp.example", 25), "");
  config.inbound.listeners[0].address = "192.0.2.7";
  EXPECT_EQ(with_host("127.0.0.1", 25), "");
  EXPECT_THAT(with_host("192.0.2.7", 25), HasSubstr("listener 192.0.2.7:25"));
}

TEST_F(AuditTest, DefaultThatIsThePendingNextHopMayBeACircle) {
  config.routing.target_domains.clear();
  config.routing.default_next_hop = config.routing.pending_next_hop = "out";
  EXPECT_THAT(said(),
              HasSubstr("w.yaml: warning: 'out' is both default_next_hop and pending_next_hop"));
  config.routing.default_next_hop = "other";
  EXPECT_EQ(said(), "");
}

TEST_F(AuditTest, MxOfAnOwnDomainIsALoopUnlessForPendingMail) {
  config.next_hops[0].mx_domain = "CORP.example";
  EXPECT_THAT(said(), HasSubstr("mail loop: the MX of own domain 'corp.example'"));
  config.routing.target_domains.clear();  // it is Exchange's
  config.routing.pending_next_hop = "out";
  EXPECT_EQ(said(), "");
}

}  // namespace
}  // namespace waypost::config
