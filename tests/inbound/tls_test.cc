#include "inbound/session_fixture.h"
#include "sink/certificates.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace waypost::inbound::testing {
namespace {

using namespace std::string_literals;
using std::chrono::seconds;

std::string base64(std::string_view text) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > text.size() ? '=' : kDigits[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

/// Listener 0 has STARTTLS, listener 1 implicit TLS.
class TlsSession : public SessionFixture {
 protected:
  TlsSession() {
    folder_ = ::testing::TempDir() + "waypost-inbound-tls-" + std::to_string(::getpid());
    const auto server =
        sink::make_certificates({.directory = folder_, .names = {"gw.corp.example"}});
    const auto client =
        sink::make_certificates({.directory = folder_, .names = {"ex1.corp.example"}});
    EXPECT_TRUE(server && client);
    options.tls.certificates = {{server->chain_file, server->key_file}};
    options.tls.client_ca_file = server->ca_file;
    options.listeners[0].tls = ListenerTls::starttls;
    options.listeners.push_back(options.listeners[0]);
    options.listeners[1].tls = ListenerTls::implicit;
    client_tls_.ca_file = server->ca_file;
    client_chain_ = client->chain_file;
    client_key_ = client->key_file;
  }
  ~TlsSession() override { std::filesystem::remove_all(folder_); }

  std::shared_ptr<const net::TlsContext> context(bool with_certificate = false) {
    net::ClientTlsOptions tls = client_tls_;
    if (with_certificate) {
      tls.client_chain_file = client_chain_;
      tls.client_key_file = client_key_;
    }
    auto made = net::TlsContext::for_client(tls);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return *made;
  }
  /// Connected, STARTTLS done, EHLO said under it.
  Client enter_tls(bool with_certificate = false) {
    Client client = connect();
    client.hear();
    client.say("EHLO ex1\r\n");
    EXPECT_TRUE(client.say("STARTTLS\r\n").starts_with("220 "));
    const auto secured = client.start_tls(context(with_certificate));
    EXPECT_TRUE(secured) << (secured ? "" : secured.error().message);
    EXPECT_TRUE(has(client.say("EHLO ex1\r\n"), "250"));
    return client;
  }
  void passwords_for(const std::string& user, const std::string& password) {
    const auto line = make_password_line(user, password);
    ASSERT_TRUE(line);
    options.admission.password_file = folder_ + "/passwords";
    std::ofstream(options.admission.password_file) << *line << "\n";
    options.admission.networks = {};
  }
  std::string login(Client& client, const std::string& user, const std::string& password) {
    std::string heard =
        client.say("AUTH PLAIN " + base64("\0"s + user + "\0"s + password) + "\r\n");
    wait_for([&] {
      if (in_pause()) advance(seconds(3));
      heard += client.hear();
      return !heard.empty();
    });
    return heard;
  }

  /// The worker has judged (its deadline is a minute away), and a failure waits for its reply.
  bool in_pause() { return shard.timers.next_due() <= shard.timers.in(seconds(3)); }

  std::string folder_, client_chain_, client_key_;
  net::ClientTlsOptions client_tls_;
};

TEST_F(TlsSession, StarttlsIsInTheReceivedFieldAndTheTrackingLog) {
  Client client = enter_tls();
  client.say(kToBob);
  EXPECT_TRUE(client.say(bdat("Subject: x\r\n\r\n")).starts_with("250 2.6.0 "));
  EXPECT_TRUE(has(spool.stored.at(0).content, "with ESMTPS\r\n\t(TLSv1.3:TLS_"));
  EXPECT_EQ(tracking.count({"\"received\"", "TLSv1.3 TLS_"}), 1u);
  EXPECT_EQ(counted("waypost_inbound_tls_handshakes_total{result=\"good\"}"), 1u);
}

TEST_F(TlsSession, CommandsBehindStarttlsInTheClearEndTheSession) {
  Client client = connect();
  client.hear();
  client.say("EHLO ex1\r\n");
  const std::string heard = client.say("STARTTLS\r\nMAIL FROM:<attacker@ext.example>\r\n");
  EXPECT_TRUE(heard.starts_with("220 "));
  EXPECT_EQ(heard.find("250"), std::string::npos);
  EXPECT_TRUE(client.ended());
}

TEST_F(TlsSession, WhatWasSaidInTheClearIsForgotten) {
  Client client = connect();
  client.hear();
  client.say("EHLO ex1\r\n");
  client.say("STARTTLS\r\n");
  ASSERT_TRUE(client.start_tls(context()));
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("503 "));
  EXPECT_EQ(client.say("EHLO ex1\r\n").find("STARTTLS"), std::string::npos);
}

TEST_F(TlsSession, RequiredTlsIsRequired) {
  options.listeners[0].require_tls = true;
  Client client = enter();
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
  Client secured = enter_tls();
  EXPECT_TRUE(secured.say("MAIL FROM:<>\r\n").starts_with("250 "));
}

TEST_F(TlsSession, ImplicitTlsGreetsInside) {
  Client client = connect(1);
  ASSERT_TRUE(client.start_tls(context()));
  EXPECT_TRUE(client.hear().starts_with("220 "));
  EXPECT_TRUE(has(client.say("EHLO ex1\r\n"), "250 "));
  client.say(kToBob);
  client.say(bdat("Subject: x\r\n\r\n"));
  EXPECT_TRUE(has(spool.stored.at(0).content, "with ESMTPS"));
}

TEST_F(TlsSession, ClientHelloBehindThePROXYHeaderInOneArrival) {
  options.listeners[1].proxy_networks = {"192.0.2.1"};
  options.admission.networks = {"10.0.0.5"};
  Client client = connect(1);
  // Not one octet of the ClientHello may be taken with the header.
  const std::string header = "PROXY TCP4 10.0.0.5 192.0.2.2 4711 465\r\n";
  client.push_unseen(header);
  ASSERT_TRUE(client.start_tls(context()));
  EXPECT_TRUE(client.hear().starts_with("220 "));
}

TEST_F(TlsSession, PlainTextOnImplicitTlsEnds) {
  Client client = connect(1);
  client.say("EHLO ex1.corp.example\r\nMAIL FROM:<>\r\n");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(counted("waypost_inbound_tls_handshakes_total{result=\"failed\"}"), 1u);
}

TEST_F(TlsSession, HandshakeHasADeadline) {
  Client implicit = connect(1);
  Client started = connect();
  started.hear();
  started.say("EHLO ex1\r\n");
  started.say("STARTTLS\r\n");
  advance(seconds(29));
  EXPECT_EQ(door.sessions.size(), 2u);
  advance(seconds(2));
  EXPECT_TRUE(door.sessions.empty());
}

TEST_F(TlsSession, ClientTooManyCostsNoHandshake) {
  options.limits.sessions_per_client = 1;
  Client first = connect(1);
  poll();
  Client second = connect(1);
  EXPECT_TRUE(second.ended());
  EXPECT_EQ(counted("waypost_inbound_tls_handshakes_total{result=\"failed\"}"), 0u);
  EXPECT_EQ(counted("waypost_inbound_connections_refused_total{reason=\"client_limit\"}"), 1u);
  EXPECT_EQ(door.sessions.size(), 1u);
}

TEST_F(TlsSession, StrangerOnImplicitTlsHearsWhyInsideIt) {
  options.admission.networks = {};
  Client client = connect(1);
  ASSERT_TRUE(client.start_tls(context()));
  EXPECT_TRUE(client.hear().starts_with("554 192.0.2.1 may not "));
}

TEST_F(TlsSession, ClientCertificateAdmitsOnBothKindsOfListener) {
  options.admission.networks = {};
  options.admission.client_certificate_names = {"ex1.corp.example"};
  Client with = enter_tls(true);
  EXPECT_TRUE(with.say("MAIL FROM:<>\r\n").starts_with("250 "));
  Client without = enter_tls(false);
  EXPECT_TRUE(without.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
  Client implicit = connect(1);
  ASSERT_TRUE(implicit.start_tls(context(true)));
  EXPECT_TRUE(implicit.hear().starts_with("220 "));
  implicit.say("EHLO ex1\r\n");
  EXPECT_TRUE(implicit.say("MAIL FROM:<>\r\n").starts_with("250 "));
}

TEST_F(TlsSession, CertificateOfAnotherNameOrAuthorityDoesNotAdmit) {
  options.admission.networks = {};
  options.admission.client_certificate_names = {"ex2.corp.example"};
  Client other_name = enter_tls(true);
  EXPECT_TRUE(other_name.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
  options.admission.client_certificate_names = {"ex1.corp.example"};
  const auto foreign =
      sink::make_certificates({.directory = folder_ + "/foreign", .names = {"ex1.corp.example"}});
  ASSERT_TRUE(foreign);
  client_chain_ = foreign->chain_file;
  client_key_ = foreign->key_file;
  Client other_authority = enter_tls(true);
  EXPECT_TRUE(other_authority.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
}

TEST_F(TlsSession, PasswordOpensTheDoor) {
  passwords_for("ex1", "correct horse");
  Client client = enter_tls();
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
  EXPECT_TRUE(login(client, "ex1", "correct horse").starts_with("235 2.7.0 "));
  client.say(kToBob);
  EXPECT_TRUE(client.say(bdat("Subject: x\r\n\r\n")).starts_with("250 2.6.0 "));
  EXPECT_TRUE(has(spool.stored.at(0).content, "with ESMTPSA"));
  EXPECT_EQ(counted("waypost_inbound_authentications_total{result=\"good\"}"), 1u);
}

TEST_F(TlsSession, PasswordIsNeverAskedForInTheClear) {
  passwords_for("ex1", "correct horse");
  Client client = connect();
  client.hear();
  EXPECT_EQ(client.say("EHLO ex1\r\n").find("AUTH"), std::string::npos);
  EXPECT_TRUE(
      client.say("AUTH PLAIN " + base64("\0ex1\0correct horse"s) + "\r\n").starts_with("538 "));
}

TEST_F(TlsSession, WrongPasswordsPauseAndThreeEndTheSession) {
  passwords_for("ex1", "correct horse");
  Client client = enter_tls();
  EXPECT_TRUE(login(client, "ex1", "wrong").starts_with("535 5.7.8 "));
  EXPECT_TRUE(login(client, "nobody", "correct horse").starts_with("535 5.7.8 "));
  EXPECT_TRUE(client.say("MAIL FROM:<>\r\n").starts_with("530 5.7.0 "));
  const std::string last = login(client, "ex1", "wrong again");
  EXPECT_TRUE(last.starts_with("535 5.7.8 "));
  EXPECT_TRUE(has(last, "421 4.7.0 "));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(counted("waypost_inbound_authentications_total{result=\"failed\"}"), 3u);
}

TEST_F(TlsSession, FailedLoginIsAnsweredOnlyAfterItsPause) {
  passwords_for("ex1", "correct horse");
  Client client = enter_tls();
  client.say("AUTH PLAIN " + base64("\0ex1\0wrong"s) + "\r\n");
  ASSERT_TRUE(wait_for([this] { return in_pause(); }));
  advance(std::chrono::milliseconds(900));
  EXPECT_EQ(client.hear(), "");
  advance(std::chrono::milliseconds(100));
  EXPECT_TRUE(client.hear().starts_with("535 "));
}

TEST_F(TlsSession, CutSessionLeavesThePasswordWorkerNothingDangling) {
  passwords_for("ex1", "correct horse");
  {
    Client client = enter_tls();
    client.push("AUTH PLAIN " + base64("\0ex1\0correct horse"s) + "\r\n");
    for (Session* session : std::vector<Session*>(door.sessions.begin(), door.sessions.end()))
      session->cut();
  }
  EXPECT_TRUE(wait_for([this] { return door.sessions.empty(); }));
  EXPECT_EQ(handed_over.size(), 0u);
}

}  // namespace
}  // namespace waypost::inbound::testing
