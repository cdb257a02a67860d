#include "net/tls_fixture.h"

namespace waypost::net::testing {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class TlsHandshake : public TlsFixture {};

TEST_F(TlsHandshake, GoodServerIsVerifiedAndDescribed) {
  TlsPair pair = shake(server_context(leaf()), client_context());
  expect_talk(pair);
  const TlsInfo& seen = (*pair.client)->tls();
  EXPECT_EQ(seen.version, "TLSv1.3");
  EXPECT_TRUE(seen.cipher.starts_with("TLS_AES_")) << seen.cipher;
  EXPECT_TRUE(seen.verified);
  EXPECT_FALSE(seen.resumed);
  EXPECT_EQ(seen.peer_name, kHost);
  EXPECT_EQ(seen.peer_names, std::vector<std::string>{kHost});
  EXPECT_EQ(seen.peer_fingerprint.size(), 64u);
  EXPECT_EQ(seen.verify_error, "");
  const TlsInfo& client = (*pair.server)->tls();
  EXPECT_FALSE(client.verified);
  EXPECT_EQ(client.peer_subject, "");
}

TEST_F(TlsHandshake, NameIsComparedWithoutCaseAndFinalDot) {
  TlsPair pair = shake(server_context(leaf()), client_context(), "Mail.Corp.EXAMPLE.");
  expect_talk(pair);
}

TEST_F(TlsHandshake, WrongNameSaysWhichNamesThereAreAndWhichWasExpected) {
  CertificateWish wish;
  wish.names = {"other.example", "*.third.example", "IP:192.0.2.9"};
  TlsPair pair = shake(server_context(authority.issue(wish)), client_context());
  expect_refused(pair.client,
                 "TLS: the certificate of 192.0.2.2:25 is not trusted: hostname mismatch: it is "
                 "for other.example, *.third.example, 192.0.2.9, expected was mail.corp.example");
}

TEST_F(TlsHandshake, UnverifiedServerHearsNoApplicationData) {
  const auto server = server_context(leaf("other.example"));
  limit_to_tls12(server);  // there the server is done before the client judges
  TlsPair pair = shake(server, client_context());
  ASSERT_FALSE(pair.client);
  ASSERT_TRUE(pair.server);
  char buffer[100];
  EXPECT_EQ((*pair.server)->try_read(buffer).state, IoState::end_of_stream);
}

TEST_F(TlsHandshake, ConfiguredNamesReplaceTheHostName) {
  const auto server = server_context(leaf());
  expect_talk(*std::make_unique<TlsPair>(
      shake(server, client_context({"nobody.example", kHost}), "10.0.0.1")));
  TlsPair pair = shake(server, client_context({"nobody.example", "no.example"}), kHost);
  expect_refused(pair.client, "expected was nobody.example, no.example");
}

TEST_F(TlsHandshake, InternationalNamesAreComparedInAscii) {
  const auto server = server_context(leaf("xn--bcher-kva.example"));
  TlsPair by_host = shake(server, client_context(), "Bücher.example");
  expect_talk(by_host);
  TlsPair by_name = shake(server, client_context({"bücher.example"}));
  expect_talk(by_name);
  TlsPair by_pattern = shake(server_context(leaf("mx1.xn--bcher-kva.example")),
                             client_context({"*.bücher.example"}));
  expect_talk(by_pattern);
  TlsPair wrong = shake(server, client_context(), "bucher.example");
  expect_refused(wrong.client, "hostname mismatch");
}

TEST_F(TlsHandshake, PatternsOfNames) {
  const auto one = server_context(leaf("a.corp.example"));
  const auto two = server_context(leaf("b.a.corp.example"));
  const auto wildcard = server_context(leaf("*.corp.example"));
  const auto top = server_context(leaf("corp.example"));
  const auto verifies = [&](const ContextPtr& server, const std::string& name) {
    TlsPair pair = shake(server, client_context({name}));
    return pair.client.has_value();
  };
  EXPECT_TRUE(verifies(one, "*.corp.example"));
  EXPECT_FALSE(verifies(two, "*.corp.example"));
  EXPECT_TRUE(verifies(wildcard, "*.corp.example"));
  EXPECT_FALSE(verifies(top, "*.corp.example"));
  EXPECT_TRUE(verifies(one, ".corp.example"));
  EXPECT_TRUE(verifies(two, ".corp.example"));
  EXPECT_FALSE(verifies(top, ".corp.example"));
  EXPECT_TRUE(verifies(wildcard, "x.corp.example"));
  EXPECT_FALSE(verifies(wildcard, "y.x.corp.example"));
  EXPECT_FALSE(verifies(wildcard, "corp.example"));
  EXPECT_FALSE(verifies(one, "notcorp.example"));
}

TEST_F(TlsHandshake, AddressesAreNamesToo) {
  CertificateWish wish;
  wish.names = {"IP:192.0.2.2", "IP:2001:db8::2", "gw.example"};
  const auto server = server_context(authority.issue(wish));
  for (const char* host : {"192.0.2.2", "2001:db8::2", "[192.0.2.2]", "[IPv6:2001:DB8::2]"}) {
    TlsPair pair = shake(server, client_context(), host);
    EXPECT_TRUE(pair.client) << host << ": " << pair.client.error().message;
  }
  TlsPair other = shake(server, client_context(), "192.0.2.3");
  expect_refused(other.client, "expected was 192.0.2.3");
}

TEST_F(TlsHandshake, OneOfNamesAndAddressesIsEnough) {
  CertificateWish wish;
  wish.names = {"IP:192.0.2.2"};
  const auto by_address = server_context(authority.issue(wish));
  const auto by_name = server_context(leaf());
  for (const auto& server : {by_address, by_name}) {
    TlsPair pair = shake(server, client_context({kHost, "192.0.2.1", "192.0.2.2"}));
    expect_talk(pair);
  }
}

TEST_F(TlsHandshake, CommonNameNeverCounts) {  // RFC 9525 §2
  CertificateWish wish;
  wish.common_name = kHost;
  TlsPair old = shake(server_context(authority.issue(wish)), client_context());
  expect_refused(old.client, "no subject alternative names, and its subject /CN=" +
                                 std::string(kHost) + " does not count (RFC 9525)");
  wish.names = {"other.example"};
  TlsPair pair = shake(server_context(authority.issue(wish)), client_context());
  expect_refused(pair.client, "it is for other.example");
}

TEST_F(TlsHandshake, NulInANameDoesNotShortenIt) {
  CertificateWish wish;
  wish.names = {std::string(kHost) + std::string("\0.evil.example", 14)};
  TlsPair pair = shake(server_context(authority.issue(wish)), client_context());
  expect_refused(pair.client, "it is for mail.corp.example?.evil.example");
}

TEST_F(TlsHandshake, WithoutAnyExpectedNameNobodyIsTrusted) {
  TlsPair pair = shake(server_context(leaf()), client_context(), "");
  expect_refused(pair.client, "hostname mismatch");
}

TEST_F(TlsHandshake, ExpiredCertificateNamesItsDate) {
  CertificateWish wish;
  wish.names = {kHost};
  wish.valid_from_days = -40;
  wish.valid_until_days = -3;
  TlsPair pair = shake(server_context(authority.issue(wish)), client_context());
  const auto day = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()) -
                   std::chrono::days(3);
  const std::chrono::year_month_day date(day);
  char text[40];
  std::snprintf(text, sizeof text, "expired on %04d-%02u-%02u", int(date.year()),
                unsigned(date.month()), unsigned(date.day()));
  expect_refused(pair.client, text);
}

TEST_F(TlsHandshake, CertificateOfTomorrowIsNotGoodToday) {
  CertificateWish wish;
  wish.names = {kHost};
  wish.valid_from_days = 2;
  TlsPair pair = shake(server_context(authority.issue(wish)), client_context());
  expect_refused(pair.client, "not yet valid before 20");
}

TEST_F(TlsHandshake, SelfSignedAndUnknownAuthorityNameTheIssuer) {
  CertificateWish wish;
  wish.names = {kHost};
  wish.common_name = "a box in a corner";
  TlsPair own = shake(server_context(authority.self_signed(wish)), client_context());
  expect_refused(own.client, "self-signed certificate; its issuer is /CN=a box in a corner");
  TestAuthority stranger("Somebody Else's CA");
  TlsPair foreign = shake(server_context(stranger.issue(kHost)), client_context());
  expect_refused(foreign.client, "its issuer is /CN=Somebody Else's CA");
}

TEST_F(TlsHandshake, SelfSignedCertificateCanBeTheTrustAnchor) {
  CertificateWish wish;
  wish.names = {kHost};
  const auto own = authority.self_signed(wish);
  ClientTlsOptions options;
  options.ca_file = own.chain_file;
  const auto context = TlsContext::for_client(options);
  ASSERT_TRUE(context);
  TlsPair pair = shake(server_context(own), *context);
  expect_talk(pair);
}

TEST_F(TlsHandshake, OtherPoliciesGoOnAndKeepTheReason) {
  for (const TlsPolicy policy : {TlsPolicy::require, TlsPolicy::opportunistic}) {
    TlsPair pair = shake(server_context(leaf("other.example")), client_context({}, policy));
    expect_talk(pair);
    EXPECT_FALSE((*pair.client)->tls().verified);
    EXPECT_NE((*pair.client)->tls().verify_error.find("other.example"), std::string::npos);
    EXPECT_EQ((*pair.client)->tls().peer_name, "");
  }
}

TEST_F(TlsHandshake, EcdsaIsPreferredAndRsaIsThere) {
  CertificateWish rsa;
  rsa.names = {kHost};
  rsa.rsa = true;
  const auto rsa_files = authority.issue(rsa);
  const auto ec_files = leaf();
  ServerTlsOptions both;
  both.certificates = {{rsa_files.chain_file, rsa_files.key_file},
                       {ec_files.chain_file, ec_files.key_file}};
  TlsPair alone = shake(server_context(ec_files), client_context());
  TlsPair either = shake(server_context(both), client_context());
  TlsPair only_rsa = shake(server_context(rsa_files), client_context());
  expect_talk(either);
  expect_talk(only_rsa);
  EXPECT_EQ((*either.client)->tls().peer_fingerprint, (*alone.client)->tls().peer_fingerprint);
  EXPECT_NE((*only_rsa.client)->tls().peer_fingerprint, (*alone.client)->tls().peer_fingerprint);
}

/// Which of TLS 1.2's suites a server of ours and a client of ours agree on, if the other side
/// offers no more than `suite`; "" if on none.
class TlsSuites : public TlsFixture {
 protected:
  std::string agreed(const char* suite, bool server_is_old, bool client_is_old) {
    CertificateWish wish;
    wish.names = {kHost};
    wish.rsa = true;
    ServerTlsOptions options;
    const auto files = authority.issue(wish);
    options.certificates = {{files.chain_file, files.key_file}};
    options.old_ciphers = server_is_old;
    const auto server = server_context(options);
    limit_to_tls12(server);
    client_options.old_ciphers = client_is_old;
    const auto client = client_context();
    // The one that has all stands for a peer that has nothing else.
    const auto& peer = server_is_old ? server : client;
    ::SSL_CTX_set_cipher_list(std::static_pointer_cast<const TlsContextImpl>(peer)->raw(), suite);
    TlsPair pair = shake(server, client);
    return pair.client ? (*pair.client)->tls().cipher : "";
  }
};

TEST_F(TlsSuites, CbcAndRsaKeyExchangeAreOffUnlessWanted) {  // RFC 9325 §4.1
  for (const char* suite : {"ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA384",
                            "AES128-GCM-SHA256", "AES256-GCM-SHA384"}) {
    EXPECT_EQ(agreed(suite, true, false), "") << suite;
    EXPECT_EQ(agreed(suite, false, true), "") << suite;
    EXPECT_EQ(agreed(suite, true, true), suite);
  }
  EXPECT_EQ(agreed("ECDHE-RSA-AES128-GCM-SHA256", true, false), "ECDHE-RSA-AES128-GCM-SHA256");
}

TEST_F(TlsHandshake, MinimumOfTls13IsKept) {
  server_options.minimum = TlsMinimum::tls1_3;
  TlsPair pair = shake(server_context(leaf()), client_context());
  expect_talk(pair);
  EXPECT_EQ((*pair.client)->tls().version, "TLSv1.3");
}

/// A ClientHello of TLS 1.1 with the ciphers of its time (RFC 4346 §7.4.1.2).
std::string old_client_hello() {
  std::string body("\x03\x02", 2);
  body += std::string(32, 'r');
  body += std::string("\x00\x00\x02\x00\x2f\x01\x00", 7);
  std::string shake(1, '\x01');
  shake += std::string(2, '\0') + static_cast<char>(body.size()) + body;
  return std::string("\x16\x03\x01\x00", 4) + static_cast<char>(shake.size()) + shake;
}

TEST_F(TlsHandshake, OlderClientIsToldSo) {
  const auto result = accept_from(old_client_hello(), server_context(leaf()));
  expect_refused(result, "unsupported protocol");
}

TEST_F(TlsHandshake, OlderServerIsRefused) {
  // A ServerHello of TLS 1.1.
  std::string body("\x03\x02", 2);
  body += std::string(32, 'r') + std::string("\x00\xc0\x13\x00", 4);
  const std::string hello = std::string("\x02\x00\x00", 3) + static_cast<char>(body.size()) + body;
  const std::string record =
      std::string("\x16\x03\x02\x00", 4) + static_cast<char>(hello.size()) + hello;
  expect_refused(connect_to(record, client_context()), "unsupported protocol");
}

TEST_F(TlsHandshake, PlainTextIsNoTls) {
  expect_refused(accept_from("EHLO ex1.corp.example\r\n", server_context(leaf())),
                 "TLS with 192.0.2.1:50000: ");
  expect_refused(connect_to("220 mail.example ESMTP\r\n", client_context()),
                 "wrong version number");
}

TEST_F(TlsHandshake, GarbageOfEveryFirstOctetIsRefused) {
  const auto server = server_context(leaf());
  for (int first = 0; first < 256; ++first) {
    std::string garbage(300, static_cast<char>(first * 7 + 3));
    garbage[0] = static_cast<char>(first);
    EXPECT_FALSE(accept_from(garbage, server, true)) << first;
  }
}

TEST_F(TlsHandshake, PeerThatOnlyConnectsMeetsTheDeadline) {
  const SteadyTime start = loop.timers.now();
  expect_refused(accept_from("", server_context(leaf())), "in time");
  EXPECT_EQ(loop.timers.now() - start, std::chrono::minutes(1));
}

Task<Result<>> drip(Stream& stream, std::string bytes, Timers& timers) {
  for (const char octet : bytes) {
    const std::string_view one(&octet, 1);
    auto written = co_await write_all(stream, one, timers.in(hours(1)));
    if (!written) co_return written;
    auto slept = co_await timers.sleep_until(timers.in(seconds(20)));
    if (!slept) co_return slept;
  }
  co_return Result<>();
}

TEST_F(TlsHandshake, PeerThatDripsCanNotMoveTheDeadline) {
  StreamPair wire = make_memory_streams(loop.io, loop.timers);
  Outcome<Result<>> dripped;
  spawn(loop.io, drip(*wire.a, old_client_hello(), loop.timers), dripped);
  const SteadyTime start = loop.timers.now();
  const auto result = loop.run(
      tls_accept(std::move(wire.b), server_context(leaf()), loop.in(std::chrono::minutes(1))));
  expect_refused(result, "in time");
  EXPECT_EQ(loop.timers.now() - start, std::chrono::minutes(1));
  EXPECT_TRUE(loop.run_until([&] { return dripped.ended(); }));
}

TEST_F(TlsHandshake, WireOfOneOctetIsEnough) {
  TlsPair pair = shake(server_context(leaf()), client_context(), kHost, "", 1);
  ASSERT_TRUE(pair.client) << pair.client.error().message;
  ASSERT_TRUE(pair.server) << pair.server.error().message;
  EXPECT_TRUE((*pair.client)->tls().verified);
}

TEST_F(TlsHandshake, OctetByOctetIsEnough) {
  kept_faults_client.most_per_call = kept_faults_server.most_per_call = 1;
  TlsPair pair = shake(server_context(leaf()), client_context());
  ASSERT_TRUE(pair.client && pair.server);
  write_now(**pair.client, "EHLO ex1\r\n");
  EXPECT_EQ(read_now(**pair.server), "EHLO ex1\r\n");
}

/// Cut after each octet that one side sends, that side says it and the other hears it: nobody hangs
/// and nobody thinks that all is well.
TEST_F(TlsHandshake, ClientCutAtEveryOctetNeverCounts) {
  const auto server = server_context(leaf());
  const auto client = client_context();
  shake(server, client);
  const std::size_t whole = client_faults.written;
  ASSERT_GT(whole, 200u);
  for (std::size_t at = 0; at < whole; ++at) {
    kept_faults_client.cut_after_written = at;
    TlsPair pair = shake(server, client);
    ASSERT_FALSE(pair.server) << at;
    ASSERT_EQ(pair.server.error().kind, ErrorKind::tls) << at;
    ASSERT_FALSE(pair.server.error().message.empty()) << at;
    if (pair.client) {
      ASSERT_EQ(at, whole) << "the client believes in a handshake that it could not finish";
    }
  }
}

constexpr std::size_t kSignatureVaries = 8;

TEST_F(TlsHandshake, ServerCutAtEveryOctetNeverCounts) {
  const auto server = server_context(leaf());
  const auto client = client_context();
  shake(server, client);
  const std::size_t whole = server_faults.written;
  std::size_t good_from = 0;
  for (std::size_t at = 0; at < whole; ++at) {
    kept_faults_server.cut_after_written = at;
    TlsPair pair = shake(server, client);
    if (pair.client && good_from == 0) good_from = at;
    // Behind the server's Finished there is only the ticket. Where that is differs by a few octets
    // from handshake to handshake: an ECDSA signature has 70 to 72 octets, seldom fewer.
    const bool must_be_good = good_from != 0 && at >= good_from + kSignatureVaries;
    ASSERT_TRUE(pair.client || !must_be_good) << at;
    if (pair.client) continue;
    ASSERT_FALSE(pair.server) << at;
    ASSERT_EQ(pair.client.error().kind, ErrorKind::tls) << at;
  }
  EXPECT_GT(good_from, 500u);
}

}  // namespace
}  // namespace waypost::net::testing
