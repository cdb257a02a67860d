// Resumption and client certificates: who is trusted because of what was seen earlier.
#include "net/tls_context.h"
#include "net/tls_fixture.h"

namespace waypost::net::testing {
namespace {

class TlsSession : public TlsFixture {
 protected:
  ContextPtr client_with_certificate(const CertificateFiles& files) {
    client_options.client_chain_file = files.chain_file;
    client_options.client_key_file = files.key_file;
    auto context = client_context();
    client_options = {};
    return context;
  }
  ContextPtr asking_server(bool requires_certificate) {
    server_options.client_ca_file = authority.ca_file();
    server_options.require_client_certificate = requires_certificate;
    return server_context(leaf());
  }
  CertificateFiles client_leaf(const std::string& name = "ex1.corp.example") {
    return authority.issue(name);
  }
};

TEST_F(TlsSession, SecondConnectionIsResumedAndStillVerified) {
  const auto server = server_context(leaf());
  const auto client = client_context();
  for (int i = 0; i < 4; ++i) {
    TlsPair pair = shake(server, client, kHost, "workmail|mail|25");
    expect_talk(pair);
    EXPECT_EQ((*pair.client)->tls().resumed, i > 0) << i;
    EXPECT_EQ((*pair.server)->tls().resumed, i > 0) << i;
    EXPECT_TRUE((*pair.client)->tls().verified);
    EXPECT_EQ((*pair.client)->tls().peer_name, kHost);
    EXPECT_EQ((*pair.client)->tls().peer_fingerprint.size(), 64u);
  }
}

TEST_F(TlsSession, SessionsOfTls12AreUsedAgainAndAgain) {
  const auto server = server_context(leaf());
  limit_to_tls12(server);
  const auto client = client_context();
  for (int i = 0; i < 4; ++i) {
    TlsPair pair = shake(server, client, kHost, "key");
    expect_talk(pair);
    EXPECT_EQ((*pair.client)->tls().version, "TLSv1.2");
    EXPECT_EQ((*pair.client)->tls().resumed, i > 0) << i;
    EXPECT_TRUE((*pair.client)->tls().verified);
  }
}

TEST_F(TlsSession, WhoeverRefusesThemThreeTimesIsOfferedNoSessionAnyMore) {
  for (const bool old : {false, true}) {
    const auto server = server_context(leaf());
    if (old) limit_to_tls12(server);
    const auto client = client_context();
    const auto offers = [&](bool may_resume) {
      TlsAttempt attempt{.may_resume = may_resume};
      TlsPair pair = shake(server, client, kHost, "key", 64 * 1024, &attempt);
      expect_talk(pair);
      return attempt.offered;
    };
    EXPECT_FALSE(offers(true));
    EXPECT_TRUE(offers(true));
    EXPECT_FALSE(offers(false));
    EXPECT_FALSE(offers(false));
    EXPECT_TRUE(offers(true));  // and is accepted: it may have been something else
    EXPECT_FALSE(offers(false));
    EXPECT_FALSE(offers(false));
    EXPECT_FALSE(offers(false));
    EXPECT_FALSE(offers(true));
    EXPECT_FALSE(offers(true));
  }
}

TEST_F(TlsSession, OtherKeyAndNoKeyAreNotResumed) {
  const auto server = server_context(leaf());
  const auto client = client_context();
  for (const char* key : {"one", "two", "", ""}) {
    TlsPair pair = shake(server, client, kHost, key);
    expect_talk(pair);
    EXPECT_FALSE((*pair.client)->tls().resumed);
  }
}

TEST_F(TlsSession, TicketOfTls13IsUsedOnce) {
  const auto server = server_context(leaf());
  const auto client = client_context();
  TlsPair first = shake(server, client, kHost, "key");
  expect_talk(first);
  TlsPair second = shake(server, client, kHost, "key");
  // Before the second one has read its own ticket there is none for a third.
  TlsPair third = shake(server, client, kHost, "key");
  EXPECT_TRUE((*second.client)->tls().resumed);
  EXPECT_FALSE((*third.client)->tls().resumed);
}

TEST_F(TlsSession, ResumingDoesNotSkipTheNameCheck) {
  for (const bool old : {false, true}) {
    const auto server = server_context(leaf());
    if (old) limit_to_tls12(server);
    const auto client = client_context();
    TlsPair good = shake(server, client, kHost, "same key");
    expect_talk(good);
    TlsPair other = shake(server, client, "bank.example", "same key");
    expect_refused(other.client, "expected was bank.example");
  }
}

TEST_F(TlsSession, ServerThatGetsABetterCertificateIsTrustedAtOnce) {
  CertificateWish expired;
  expired.names = {kHost};
  expired.valid_from_days = -9;
  expired.valid_until_days = -1;
  const auto server = server_context(authority.issue(expired));
  limit_to_tls12(server);
  const auto client = client_context();
  TlsPair bad = shake(server, client, kHost, "key");
  expect_refused(bad.client, "expired");
  // The same context, so that its tickets stay good.
  const auto renewed = leaf();
  SSL_CTX* raw = std::static_pointer_cast<const TlsContextImpl>(server)->raw();
  ASSERT_EQ(::SSL_CTX_use_certificate_chain_file(raw, renewed.chain_file.c_str()), 1);
  ASSERT_EQ(::SSL_CTX_use_PrivateKey_file(raw, renewed.key_file.c_str(), SSL_FILETYPE_PEM), 1);
  TlsPair good = shake(server, client, kHost, "key");
  expect_talk(good);
}

TEST_F(TlsSession, UnverifiedSessionStaysUnverifiedWhenResumed) {
  TestAuthority stranger("Somebody Else's CA");
  const auto server = server_context(stranger.issue(kHost));
  const auto client = client_context({}, TlsPolicy::require);
  for (int i = 0; i < 2; ++i) {
    TlsPair pair = shake(server, client, kHost, "key");
    expect_talk(pair);
    EXPECT_EQ((*pair.client)->tls().resumed, i > 0);
    EXPECT_FALSE((*pair.client)->tls().verified);
  }
}

TEST_F(TlsSession, ReloadedServerDeclinesOldTicketsAndGoesOn) {
  const auto client = client_context();
  TlsPair first = shake(server_context(leaf()), client, kHost, "key");
  expect_talk(first);
  TlsPair second = shake(server_context(leaf()), client, kHost, "key");
  expect_talk(second);
  EXPECT_FALSE((*second.client)->tls().resumed);
}

TEST_F(TlsSession, KeptSessionsAreBounded) {
  const auto server = server_context(leaf());
  const auto client = client_context();
  TlsPair pair = shake(server, client, kHost, "key");
  expect_talk(pair);
  const auto context = std::static_pointer_cast<const TlsContextImpl>(client);
  const SessionPtr session = context->take_session("key");
  ASSERT_TRUE(session);
  for (int i = 0; i < 10'000; ++i) context->keep_session("key " + std::to_string(i), session.get());
  for (int i = 0; i < 100; ++i) context->keep_session("last", session.get());
  std::size_t kept = 0;
  for (int i = 0; i < 10'000; ++i)
    kept += context->take_session("key " + std::to_string(i)) ? 1 : 0;
  EXPECT_LE(kept, 1000u);
  EXPECT_GT(kept, 0u);
  std::size_t last = 0;
  while (context->take_session("last")) ++last;
  EXPECT_EQ(last, 4u);
}

TEST_F(TlsSession, ClientCertificateIsAskedForAndDescribed) {
  const auto server = asking_server(true);
  TlsPair pair = shake(server, client_with_certificate(client_leaf()));
  expect_talk(pair);
  const TlsInfo& seen = (*pair.server)->tls();
  EXPECT_TRUE(seen.verified);
  EXPECT_EQ(seen.peer_names, std::vector<std::string>{"ex1.corp.example"});
  EXPECT_EQ(seen.peer_fingerprint.size(), 64u);
}

TEST_F(TlsSession, ClientCertificateSurvivesResumption) {
  for (const bool old : {false, true}) {
    const auto server = asking_server(true);
    if (old) limit_to_tls12(server);
    const auto client = client_with_certificate(client_leaf());
    for (int i = 0; i < 3; ++i) {
      TlsPair pair = shake(server, client, kHost, "key");
      expect_talk(pair);
      EXPECT_EQ((*pair.server)->tls().resumed, i > 0);
      EXPECT_TRUE((*pair.server)->tls().verified);
      EXPECT_EQ((*pair.server)->tls().peer_names, std::vector<std::string>{"ex1.corp.example"});
    }
  }
}

TEST_F(TlsSession, ClientWithoutCertificateGoesOnUnlessOneIsRequired) {
  TlsPair pair = shake(asking_server(false), client_context());
  expect_talk(pair);
  EXPECT_FALSE((*pair.server)->tls().verified);
  TlsPair refused = shake(asking_server(true), client_context());
  expect_refused(refused.server, "the client showed no certificate, but one is required");
}

/// The ticket is sent before the server judges; it must not open the door the second time.
TEST_F(TlsSession, ResumingIsNoClientCertificate) {
  for (const bool old : {false, true}) {
    for (const bool required : {false, true}) {
      const auto server = asking_server(required);
      if (old) limit_to_tls12(server);
      const auto client = client_context();
      TlsPair first = shake(server, client, kHost, "key");
      EXPECT_EQ(first.server.has_value(), !required);
      ASSERT_TRUE(first.client);
      read_now(**first.client);  // takes the ticket
      TlsPair second = shake(server, client, kHost, "key");
      ASSERT_TRUE(second.client);
      EXPECT_TRUE((*second.client)->tls().resumed) << "nothing was tried";
      if (required) {
        expect_refused(second.server, "the client showed no certificate");
      } else {
        ASSERT_TRUE(second.server);
        EXPECT_FALSE((*second.server)->tls().verified);
      }
    }
  }
}

TEST_F(TlsSession, UntrustedClientCertificateSaysWhy) {
  TestAuthority stranger("Somebody Else's CA");
  const auto client = client_with_certificate(stranger.issue("ex1.corp.example"));
  TlsPair pair = shake(asking_server(false), client, kHost, "key");
  expect_talk(pair);
  EXPECT_FALSE((*pair.server)->tls().verified);
  EXPECT_NE((*pair.server)->tls().verify_error.find("Somebody Else's CA"), std::string::npos);
  TlsPair refused = shake(asking_server(true), client);
  expect_refused(refused.server, "the client's certificate is not trusted: ");
}

TEST_F(TlsSession, ExpiredClientCertificateIsNotTrusted) {
  CertificateWish wish;
  wish.names = {"ex1.corp.example"};
  wish.valid_from_days = -9;
  wish.valid_until_days = -1;
  TlsPair refused = shake(asking_server(true), client_with_certificate(authority.issue(wish)));
  expect_refused(refused.server, "expired on 20");
}

TEST_F(TlsSession, NulInACommonNameDoesNotShortenIt) {
  CertificateWish wish;
  wish.common_name = "ex1.corp.example" + std::string("\0.evil.example", 14);
  TlsPair pair = shake(asking_server(true), client_with_certificate(authority.issue(wish)));
  ASSERT_TRUE(pair.server);
  EXPECT_EQ((*pair.server)->tls().peer_names,
            std::vector<std::string>{"ex1.corp.example?.evil.example"});
}

}  // namespace
}  // namespace waypost::net::testing
