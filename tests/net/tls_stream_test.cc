// What goes through a TLS stream once the handshake is done, and what its files may be like.
#include "net/tls_fixture.h"

#include <filesystem>
#include <fstream>

namespace waypost::net::testing {
namespace {

using std::chrono::hours;

class TlsData : public TlsFixture {
 protected:
  void open(std::size_t capacity = 64 * 1024) {
    TlsPair pair = shake(server_context(leaf()), client_context(), kHost, "", capacity);
    ASSERT_TRUE(pair.client && pair.server);
    client = std::move(*pair.client);
    server = std::move(*pair.server);
    read_now(*client);  // the ticket
  }
  static std::string text_of(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 11 % 26);
    return text;
  }
  std::unique_ptr<TlsStream> client, server;
};

Task<Result<>> write_list(Stream& stream, std::vector<iovec> list, SteadyTime deadline) {
  const std::span<iovec> all(list);
  co_return co_await write_all(stream, all, deadline);
}

Task<Result<std::string>> read_octets(Stream& stream, std::size_t octets, SteadyTime deadline) {
  std::string all;
  char buffer[5000];
  while (all.size() < octets) {
    const auto got = co_await read_some(stream, buffer, deadline);
    if (!got) co_return fail(got.error());
    all.append(buffer, *got);
  }
  co_return all;
}

TEST_F(TlsData, SmallPiecesBecomeOneRecordAndOneSend) {
  open();
  const std::size_t writes = client_faults.writes;
  const std::size_t written = client_faults.written;
  std::string text = text_of(10 * 1024);
  std::vector<iovec> list;
  for (std::size_t at = 0; at < text.size(); at += 512) list.push_back({text.data() + at, 512});
  ASSERT_TRUE(loop.run(write_list(*client, list, loop.in(hours(1)))));
  EXPECT_EQ(client_faults.writes - writes, 1u);
  EXPECT_EQ(client_faults.written - written, text.size() + 22) << "not one record of TLS 1.3";
  EXPECT_EQ(read_now(*server), text);
}

TEST_F(TlsData, RecordsThatCameTogetherNeedOneRead) {
  open();
  for (int i = 0; i < 5; ++i) write_now(*client, "NOOP\r\n");
  const std::size_t reads = server_faults.reads;
  EXPECT_EQ(read_now(*server), "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n");
  EXPECT_EQ(server_faults.reads - reads, 1u);
}

TEST_F(TlsData, LargeAndOddPiecesThroughANarrowWire) {
  for (const std::size_t capacity : {7u, 1000u, 20'000u}) {
    open(capacity);
    std::string text = text_of(150'001);
    std::vector<iovec> list{{text.data(), 1},          {text.data(), 0},
                            {text.data() + 1, 40'000}, {text.data() + 40'001, 16'384},
                            {text.data() + 56'385, 3}, {text.data() + 56'388, 93'613}};
    Outcome<Result<>> written;
    spawn(loop.io, write_list(*client, list, loop.in(hours(1))), written);
    const auto heard = loop.run(read_octets(*server, text.size(), loop.in(hours(1))));
    ASSERT_TRUE(heard) << capacity;
    EXPECT_TRUE(*heard == text) << capacity;
    EXPECT_TRUE(loop.run_until([&] { return written.ended(); }));
    EXPECT_TRUE(written.take());
  }
}

TEST_F(TlsData, BufferedMeansThatAReadWillSucceed) {
  open();
  EXPECT_FALSE(server->has_buffered());
  write_now(*client, "one");
  write_now(*client, "two");
  char three[3];
  ASSERT_EQ(server->try_read(three).octets, 3u);
  EXPECT_TRUE(server->has_buffered()) << "the second record is in the read-ahead buffer";
  ASSERT_EQ(server->try_read(three).octets, 3u);
  EXPECT_EQ(std::string(three, 3), "two");
  EXPECT_FALSE(server->has_buffered());
  write_now(*client, "abc");
  char one[1];
  ASSERT_EQ(server->try_read(one).octets, 1u);
  EXPECT_TRUE(server->has_buffered());
}

TEST_F(TlsData, BeginningOfARecordIsNotBuffered) {
  open(12);  // a record of TLS 1.3 does not fit
  const iovec one{const_cast<char*>("hello"), 5};
  EXPECT_EQ(client->try_write({&one, 1}).state, IoState::want_write);
  char buffer[10];
  EXPECT_EQ(server->try_read(buffer).state, IoState::want_read);
  EXPECT_FALSE(server->has_buffered());
  std::string heard;
  while (heard.empty() && client->try_write({&one, 1}).state != IoState::failed) {
    heard = read_now(*server);
  }
  EXPECT_EQ(heard.substr(0, 5), "hello");
}

TEST_F(TlsData, CloseIsHeardAsTheEnd) {
  open();
  write_now(*client, "QUIT\r\n");
  client->close();
  EXPECT_EQ(read_now(*server), "QUIT\r\n");
  char buffer[10];
  EXPECT_EQ(server->try_read(buffer).state, IoState::end_of_stream);
  EXPECT_EQ(client->try_read(buffer).state, IoState::failed);
  EXPECT_EQ(client->last_error().kind, ErrorKind::cancelled);
}

TEST_F(TlsData, ForgedOctetsAreAnErrorThatStays) {
  StreamPair wire = make_memory_streams(loop.io, loop.timers);
  Stream* const raw = wire.a.get();
  Outcome<TlsResult> connected;
  Outcome<TlsResult> accepted;
  auto client_side = client_context();
  spawn(loop.io, tls_accept(std::move(wire.b), server_context(leaf()), loop.in(hours(1))),
        accepted);
  spawn(loop.io, tls_connect(std::move(wire.a), client_side, kHost, "", loop.in(hours(1))),
        connected);
  ASSERT_TRUE(loop.run_until([&] { return connected.ended() && accepted.ended(); }));
  const TlsResult near = connected.take();
  const TlsResult far = accepted.take();
  ASSERT_TRUE(near && far);
  write_now(*raw, std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  char buffer[10];
  EXPECT_EQ((*far)->try_read(buffer).state, IoState::failed);
  EXPECT_EQ((*far)->last_error().kind, ErrorKind::tls);
  const std::string first = (*far)->last_error().message;
  EXPECT_NE(first.find("bad record mac"), std::string::npos) << first;
  EXPECT_EQ((*far)->try_read(buffer).state, IoState::failed);
  EXPECT_EQ((*far)->last_error().message, first);
}

class TlsFiles : public TlsFixture {
 protected:
  std::string put(const std::string& name, const std::string& text) {
    const std::string path = authority.folder() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  std::string problem(const std::string& chain, const std::string& key) {
    ServerTlsOptions options;
    options.certificates = {{chain, key}};
    const auto made = TlsContext::for_server(options);
    return made ? "" : made.error().message;
  }
};

TEST_F(TlsFiles, MissingFilesAreNamed) {
  const auto good = leaf();
  EXPECT_EQ(problem("/nowhere/chain.pem", good.key_file),
            "certificate /nowhere/chain.pem: No such file or directory (errno 2)");
  EXPECT_EQ(problem(good.chain_file, "/nowhere/key.pem"),
            "key /nowhere/key.pem: No such file or directory (errno 2)");
  ClientTlsOptions options;
  options.ca_file = "/nowhere/ca.pem";
  const auto made = TlsContext::for_client(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "CA file /nowhere/ca.pem: No such file or directory (errno 2)");
  EXPECT_EQ(made.error().kind, ErrorKind::io);
  EXPECT_EQ(problem(good.chain_file, authority.folder()),
            "key " + authority.folder() + " is a folder");
}

TEST_F(TlsFiles, UnreadableFilesAreNamed) {
  // A link to itself can't be read by root either.
  const std::string loop_path = authority.folder() + "/loop.key";
  std::filesystem::create_symlink(loop_path, loop_path);
  EXPECT_EQ(problem(leaf().chain_file, loop_path),
            "key " + loop_path + ": Too many levels of symbolic links (errno 40)");
}

TEST_F(TlsFiles, KeyOfAnotherCertificateIsNamed) {
  const auto one = leaf();
  const auto other = leaf();
  CertificateWish wish;
  wish.names = {kHost};
  wish.rsa = true;
  const auto rsa = authority.issue(wish);
  for (const auto& key : {other.key_file, rsa.key_file}) {
    EXPECT_EQ(problem(one.chain_file, key),
              "key " + key + " does not belong to certificate " + one.chain_file);
  }
}

TEST_F(TlsFiles, TextThatIsNoPemIsNamed) {
  const auto good = leaf();
  const std::string junk = put("junk.pem", "this is no certificate\n");
  EXPECT_NE(problem(junk, good.key_file).find("certificate " + junk + ": "), std::string::npos);
  EXPECT_NE(problem(junk, good.key_file).find("it must be PEM"), std::string::npos);
  EXPECT_NE(problem(good.chain_file, junk).find("key " + junk + ": "), std::string::npos);
  EXPECT_NE(problem(put("empty.pem", ""), good.key_file).find("it must be PEM"), std::string::npos);
  ServerTlsOptions none;
  EXPECT_FALSE(TlsContext::for_server(none));
  ServerTlsOptions bad_authority;
  bad_authority.certificates = {{good.chain_file, good.key_file}};
  bad_authority.client_ca_file = junk;
  const auto made = TlsContext::for_server(bad_authority);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("client CA file " + junk), std::string::npos);
}

TEST_F(TlsFiles, EarliestExpiryOfOurOwnCertificatesIsKnown) {
  CertificateWish soon;
  soon.names = {kHost};
  soon.valid_until_days = 5;
  CertificateWish later = soon;
  later.rsa = true;
  later.valid_until_days = 50;
  const auto near = authority.issue(soon);
  const auto far = authority.issue(later);
  ServerTlsOptions options;
  options.certificates = {{far.chain_file, far.key_file}, {near.chain_file, near.key_file}};
  const auto expected = std::chrono::system_clock::now() + std::chrono::days(5);
  const auto close_to = [&](std::optional<WallTime> at) {
    return at && *at > expected - hours(1) && *at < expected + hours(1);
  };
  EXPECT_TRUE(close_to(server_context(options)->expires_at()));
  client_options.client_chain_file = near.chain_file;
  client_options.client_key_file = near.key_file;
  EXPECT_TRUE(close_to(client_context()->expires_at()));
  client_options = {};
  EXPECT_FALSE(client_context()->expires_at());
}

}  // namespace
}  // namespace waypost::net::testing
