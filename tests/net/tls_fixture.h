// Two ends of a TLS connection over in-memory streams, on a manual clock.
#pragma once

#include "waypost/net/tls.h"

#include "net/faulty_stream.h"
#include "net/test_certificates.h"
#include "net/test_loop.h"
#include "net/tls_context.h"

#include <gtest/gtest.h>

namespace waypost::net::testing {

using TlsResult = Result<std::unique_ptr<TlsStream>>;
using ContextPtr = std::shared_ptr<const TlsContext>;

struct TlsPair {
  TlsResult client, server;
};

class TlsFixture : public ::testing::Test {
 protected:
  static constexpr const char* kHost = "mail.corp.example";

  ContextPtr server_context(const CertificateFiles& files) {
    ServerTlsOptions options = server_options;
    options.certificates = {{files.chain_file, files.key_file}};
    return server_context(options);
  }
  ContextPtr server_context(const ServerTlsOptions& options) {
    auto made = TlsContext::for_server(options);
    if (!made) throw std::runtime_error(made.error().message);
    return *made;
  }
  ContextPtr client_context(std::vector<std::string> names = {},
                            TlsPolicy policy = TlsPolicy::verify) {
    ClientTlsOptions options = client_options;
    options.ca_file = authority.ca_file();
    options.names = std::move(names);
    options.policy = policy;
    auto made = TlsContext::for_client(options);
    if (!made) throw std::runtime_error(made.error().message);
    return *made;
  }
  /// Shakes hands; `capacity` of the wire. Both ends get an hour.
  TlsPair shake(ContextPtr server, ContextPtr client, std::string host = kHost,
                std::string session_key = "", std::size_t capacity = 64 * 1024,
                TlsAttempt* attempt = nullptr) {
    client_faults = kept_faults_client;
    server_faults = kept_faults_server;
    StreamPair wire = make_memory_streams(loop.io, loop.timers, capacity);
    std::unique_ptr<Stream> a = std::make_unique<FaultyStream>(std::move(wire.a), client_faults);
    std::unique_ptr<Stream> b = std::make_unique<FaultyStream>(std::move(wire.b), server_faults);
    Outcome<TlsResult> connected;
    Outcome<TlsResult> accepted;
    spawn(loop.io, tls_accept(std::move(b), std::move(server), loop.in(std::chrono::hours(1))),
          accepted);
    spawn(loop.io,
          tls_connect(std::move(a), std::move(client), std::move(host), std::move(session_key),
                      loop.in(std::chrono::hours(1)), attempt),
          connected);
    bool both = loop.run_until([&] { return connected.ended(); });
    // On a narrow wire the server's ticket needs a client that reads.
    while (both && connected.value && *connected.value && !accepted.ended()) {
      read_now(***connected.value);
      const std::size_t before = server_faults.written;
      loop.poll();
      if (server_faults.written == before) break;
    }
    both = both && loop.run_until([&] { return accepted.ended(); });
    if (!both) throw std::runtime_error("the handshake hangs");
    return {connected.take(), accepted.take()};
  }
  /// The context's peers speak TLS 1.2 at most.
  static void limit_to_tls12(const ContextPtr& context) {
    ::SSL_CTX_set_max_proto_version(std::static_pointer_cast<const TlsContextImpl>(context)->raw(),
                                    TLS1_2_VERSION);
  }
  /// The other end is not OpenSSL: it says `bytes`, listens and closes.
  TlsResult connect_to(std::string_view bytes, ContextPtr client) {
    StreamPair wire = make_memory_streams(loop.io, loop.timers);
    write_now(*wire.b, bytes);
    std::string host = kHost;
    std::string key;
    return loop.run(tls_connect(std::move(wire.a), std::move(client), std::move(host),
                                std::move(key), loop.in(std::chrono::minutes(1))));
  }
  TlsResult accept_from(std::string_view bytes, ContextPtr server, bool closes = false) {
    StreamPair wire = make_memory_streams(loop.io, loop.timers);
    write_now(*wire.a, bytes);
    if (closes) wire.a->close();
    return loop.run(
        tls_accept(std::move(wire.b), std::move(server), loop.in(std::chrono::minutes(1))));
  }
  static void write_now(Stream& stream, std::string_view bytes) {
    const iovec one{const_cast<char*>(bytes.data()), bytes.size()};
    ASSERT_EQ(stream.try_write({&one, 1}).octets, bytes.size());
  }
  /// What lies there now.
  static std::string read_now(Stream& stream) {
    std::string heard;
    char buffer[4096];
    for (;;) {
      const IoCount count = stream.try_read(buffer);
      if (count.state != IoState::done) return heard;
      heard.append(buffer, count.octets);
    }
  }
  /// One octet-exact exchange in both directions; a TLS 1.3 client also takes its tickets by this.
  static void expect_talk(TlsPair& pair) {
    ASSERT_TRUE(pair.client) << pair.client.error().message;
    ASSERT_TRUE(pair.server) << pair.server.error().message;
    write_now(**pair.client, "EHLO ex1\r\n");
    EXPECT_EQ(read_now(**pair.server), "EHLO ex1\r\n");
    write_now(**pair.server, "250 gw\r\n");
    EXPECT_EQ(read_now(**pair.client), "250 gw\r\n");
  }
  static void expect_refused(const TlsResult& result, std::string_view part) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::tls);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
  CertificateFiles leaf(const std::string& name = kHost) { return authority.issue(name); }

  SimulatedLoop loop;
  TestAuthority authority;
  ServerTlsOptions server_options;
  ClientTlsOptions client_options;
  Faults kept_faults_client, kept_faults_server;  // for the next handshake
  Faults client_faults, server_faults;            // of the last one, with its counts
};

}  // namespace waypost::net::testing
