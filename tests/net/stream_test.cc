#include "waypost/net/stream.h"

#include "net/faulty_stream.h"
#include "net/test_loop.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <numeric>

namespace waypost::net::testing {
namespace {

using boost::asio::ip::tcp;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

Task<Result<std::size_t>> read_once(Stream& stream, std::span<char> into, SteadyTime deadline) {
  return read_some(stream, into, deadline);
}

Task<Result<std::string>> read_all(Stream& stream, SteadyTime deadline) {
  std::string all;
  char buffer[4096];
  for (;;) {
    const auto octets = co_await read_some(stream, buffer, deadline);
    if (!octets && octets.error().kind == ErrorKind::closed) co_return all;
    if (!octets) co_return fail(octets.error());
    all.append(buffer, *octets);
  }
}

Task<Result<>> write_text(Stream& stream, std::string text, SteadyTime deadline) {
  const std::string_view bytes(text);
  co_return co_await write_all(stream, bytes, deadline);
}

Task<Result<>> write_and_close(Stream& stream, std::vector<iovec> list, SteadyTime deadline) {
  const std::span<iovec> all(list);
  auto written = co_await write_all(stream, all, deadline);
  stream.close();
  co_return written;
}

std::string counting_text(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

/// `pieces` entries of growing size, empty ones among them.
std::vector<iovec> slices(std::string& text, std::size_t pieces) {
  std::vector<iovec> list;
  std::size_t at = 0;
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::size_t size =
        i + 1 == pieces ? text.size() - at : std::min(i % 17, text.size() - at);
    list.push_back({text.data() + at, size});
    at += size;
  }
  return list;
}

TEST(Endpoint, SaysAddressAndPort) {
  EXPECT_EQ((Endpoint{"192.0.2.1", 25}.to_string()), "192.0.2.1:25");
  EXPECT_EQ((Endpoint{"2001:db8::1", 587}.to_string()), "[2001:db8::1]:587");
}

class MemoryStreams : public ::testing::Test {
 protected:
  void open(std::size_t capacity) {
    StreamPair pair = make_memory_streams(loop.io, loop.timers, capacity);
    a = std::move(pair.a);
    b = std::move(pair.b);
  }
  SimulatedLoop loop;
  std::unique_ptr<Stream> a, b;
};

TEST_F(MemoryStreams, CarryManyPiecesThroughATinyBuffer) {
  open(3);
  std::string text = counting_text(20'000);
  Outcome<Result<>> written;
  spawn(loop.io, write_and_close(*a, slices(text, 1500), loop.in(hours(1))), written);
  const auto heard = loop.run(read_all(*b, loop.in(hours(1))));
  ASSERT_TRUE(heard);
  EXPECT_EQ(*heard, text);
  EXPECT_TRUE(written.take());
}

TEST_F(MemoryStreams, BothDirectionsAtOnce) {
  open(10);
  Outcome<Result<>> one;
  Outcome<Result<>> other;
  std::string text = counting_text(500);
  std::string answer = counting_text(700);
  spawn(loop.io, write_text(*a, text, loop.in(hours(1))), one);
  spawn(loop.io, write_text(*b, answer, loop.in(hours(1))), other);
  std::string heard_a(answer.size(), ' ');
  std::string heard_b(text.size(), ' ');
  std::size_t got_a = 0;
  std::size_t got_b = 0;
  while (got_a < answer.size() || got_b < text.size()) {
    if (got_a < answer.size()) {
      const auto octets =
          loop.run(read_once(*a, std::span(heard_a).subspan(got_a), loop.in(hours(1))));
      ASSERT_TRUE(octets);
      got_a += *octets;
    }
    if (got_b < text.size()) {
      const auto octets =
          loop.run(read_once(*b, std::span(heard_b).subspan(got_b), loop.in(hours(1))));
      ASSERT_TRUE(octets);
      got_b += *octets;
    }
  }
  EXPECT_EQ(heard_a, answer);
  EXPECT_EQ(heard_b, text);
}

TEST_F(MemoryStreams, ReadingEndsAtItsDeadlineAndNotBefore) {
  open(10);
  char buffer[10];
  const SteadyTime start = loop.timers.now();
  const auto octets = loop.run(read_once(*a, buffer, loop.in(seconds(7))));
  ASSERT_FALSE(octets);
  EXPECT_EQ(octets.error().kind, ErrorKind::timeout);
  EXPECT_EQ(loop.timers.now() - start, seconds(7));
}

TEST_F(MemoryStreams, WritingToAPeerThatDoesNotReadEndsAtItsDeadline) {
  open(10);
  const auto written = loop.run(write_text(*a, counting_text(11), loop.in(seconds(7))));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::timeout);
}

TEST_F(MemoryStreams, CloseOfOurOwnEndsOurWaitAsCancelled) {
  open(10);
  char buffer[10];
  Outcome<Result<std::size_t>> end;
  spawn(loop.io, read_once(*a, buffer, loop.in(hours(1))), end);
  loop.poll();
  a->close();
  loop.poll();
  ASSERT_TRUE(end.ended());
  EXPECT_EQ(end.take().error().kind, ErrorKind::cancelled);
}

TEST_F(MemoryStreams, WhatWasSentBeforeTheCloseIsStillRead) {
  open(10);
  ASSERT_TRUE(loop.run(write_text(*a, "last words", loop.in(seconds(1)))));
  a->close();
  const auto heard = loop.run(read_all(*b, loop.in(seconds(1))));
  ASSERT_TRUE(heard);
  EXPECT_EQ(*heard, "last words");
  const auto written = loop.run(write_text(*b, "too late", loop.in(seconds(1))));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::closed);
}

TEST_F(MemoryStreams, PeekTakesNothing) {
  open(10);
  char buffer[4];
  EXPECT_EQ(b->try_peek(buffer).state, IoState::want_read);
  ASSERT_TRUE(loop.run(write_text(*a, "PROXY", loop.in(seconds(1)))));
  EXPECT_EQ(b->try_peek(buffer).octets, 4u);
  EXPECT_EQ(std::string(buffer, 4), "PROX");
  EXPECT_EQ(b->try_read(buffer).octets, 4u);
  EXPECT_EQ(b->try_read(buffer).octets, 1u);
}

TEST_F(MemoryStreams, CutAfterSoManyOctets) {
  open(100);
  Faults faults;
  faults.cut_after_written = 5;
  auto cut = std::make_unique<FaultyStream>(std::move(a), faults);
  const auto written = loop.run(write_text(*cut, "0123456789", loop.in(seconds(1))));
  EXPECT_FALSE(written);
  EXPECT_TRUE(faults.cut);
  const auto heard = loop.run(read_all(*b, loop.in(seconds(1))));
  ASSERT_TRUE(heard);
  EXPECT_EQ(*heard, "01234");
}

/// A listening socket of the test.
class Tcp : public ::testing::Test {
 protected:
  Tcp() : acceptor(loop.io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {}
  Endpoint place() const { return {"127.0.0.1", acceptor.local_endpoint().port()}; }
  void connect() {
    auto connected = loop.run(connector->connect(place(), "", loop.in(seconds(20))));
    ASSERT_TRUE(connected) << (connected ? "" : connected.error().message);
    a = std::move(*connected);
    auto adopted = adopt_socket(loop.io, loop.timers, acceptor.accept().release());
    ASSERT_TRUE(adopted);
    b = std::move(*adopted);
  }
  TestLoop loop;
  tcp::acceptor acceptor;
  std::unique_ptr<Connector> connector = make_tcp_connector(loop.io, loop.timers);
  std::unique_ptr<Stream> a, b;
};

TEST_F(Tcp, ConnectsAndKnowsBothEnds) {
  connect();
  EXPECT_EQ(a->remote(), place());
  EXPECT_EQ(b->local(), place());
  EXPECT_EQ(a->local(), b->remote());
  EXPECT_NE(a->local().port, 0);
}

TEST_F(Tcp, CarriesMorePiecesThanOneSystemCallTakes) {
  connect();
  std::string text = counting_text(3'000'000);
  Outcome<Result<>> written;
  spawn(loop.io, write_and_close(*a, slices(text, 5000), loop.in(seconds(20))), written);
  const auto heard = loop.run(read_all(*b, loop.in(seconds(20))));
  ASSERT_TRUE(heard);
  EXPECT_TRUE(*heard == text);
  EXPECT_TRUE(written.take());
}

TEST_F(Tcp, RefusedConnectionSaysWhereAndWhy) {
  const Endpoint nobody = place();
  acceptor.close();
  const auto connected = loop.run(connector->connect(nobody, "", loop.in(seconds(20))));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().kind, ErrorKind::network);
  EXPECT_EQ(connected.error().message, "connect to " + nobody.to_string() + ": Connection refused");
}

TEST_F(Tcp, ConnectHasADeadline) {
  // A listener whose queue is full leaves new connections unanswered.
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(silent, 0), 0);
  socklen_t length = sizeof address;
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const Endpoint full{"127.0.0.1", ntohs(address.sin_port)};
  std::vector<std::unique_ptr<Stream>> kept;
  Error last;
  for (int i = 0; i < 5 && last.message.empty(); ++i) {
    auto connected = loop.run(connector->connect(full, "", loop.in(milliseconds(300))));
    if (connected) {
      kept.push_back(std::move(*connected));
    } else {
      last = connected.error();
    }
  }
  ::close(silent);
  EXPECT_EQ(last.kind, ErrorKind::timeout);
  EXPECT_EQ(last.message, "connect to " + full.to_string() + ": no answer in time");
}

TEST_F(Tcp, SourceAddressIsUsedAndItsMistakesAreNamed) {
  auto bound = loop.run(connector->connect(place(), "127.0.0.2", loop.in(seconds(20))));
  ASSERT_TRUE(bound);
  EXPECT_EQ((*bound)->local().address, "127.0.0.2");
  const auto foreign = loop.run(connector->connect(place(), "192.0.2.77", loop.in(seconds(20))));
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message.find("source address 192.0.2.77"), std::string::npos);
  const auto other = loop.run(connector->connect(place(), "::1", loop.in(seconds(20))));
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("other IP family"), std::string::npos);
  const auto name = loop.run(connector->connect({"mail.example", 25}, "", loop.in(seconds(20))));
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().kind, ErrorKind::invalid);
}

TEST_F(Tcp, ReadingHasADeadline) {
  connect();
  char buffer[10];
  const auto octets = loop.run(read_once(*a, buffer, loop.in(milliseconds(30))));
  ASSERT_FALSE(octets);
  EXPECT_EQ(octets.error().kind, ErrorKind::timeout);
  EXPECT_NE(octets.error().message.find(a->remote().to_string()), std::string::npos);
}

TEST_F(Tcp, ReadersDeadlineLeavesTheWriterWaiting) {
  connect();
  Outcome<Result<>> written;
  spawn(loop.io, write_text(*a, counting_text(30'000'000), loop.in(seconds(25))), written);
  char buffer[10];
  const auto octets = loop.run(read_once(*a, buffer, loop.in(milliseconds(30))));
  ASSERT_FALSE(octets);
  EXPECT_EQ(octets.error().kind, ErrorKind::timeout);
  EXPECT_FALSE(written.ended());
  Outcome<Result<std::string>> heard;
  spawn(loop.io, read_all(*b, loop.in(seconds(25))), heard);
  ASSERT_TRUE(loop.run_until([&] { return written.ended(); }));
  EXPECT_TRUE(written.take());
  a->close();
  ASSERT_TRUE(loop.run_until([&] { return heard.ended(); }));
  EXPECT_EQ(heard.take()->size(), 30'000'000u);
}

TEST_F(Tcp, CloseOfOurOwnEndsOurWaitAsCancelled) {
  connect();
  char buffer[10];
  Outcome<Result<std::size_t>> end;
  spawn(loop.io, read_once(*a, buffer, loop.in(seconds(20))), end);
  loop.run_until([] { return true; });
  loop.io.poll();
  a->close();
  ASSERT_TRUE(loop.run_until([&] { return end.ended(); }));
  EXPECT_EQ(end.take().error().kind, ErrorKind::cancelled);
  EXPECT_EQ(a->try_read(buffer).state, IoState::failed);
  EXPECT_EQ(a->last_error().kind, ErrorKind::cancelled);
}

TEST_F(Tcp, PeerThatResetsIsGoneWithoutASignal) {
  connect();
  // Unread octets make the kernel answer the close with a reset.
  ASSERT_TRUE(loop.run(write_text(*a, "unread", loop.in(seconds(20)))));
  ASSERT_TRUE(loop.run(b->wait_readable(loop.in(seconds(20)))));
  b->close();
  const auto written = loop.run(write_text(*a, counting_text(10'000'000), loop.in(seconds(20))));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::closed);
}

TEST_F(Tcp, PeekTakesNothing) {
  connect();
  ASSERT_TRUE(loop.run(write_text(*a, "PROXY", loop.in(seconds(20)))));
  char buffer[5];
  ASSERT_TRUE(loop.run(b->wait_readable(loop.in(seconds(20)))));
  EXPECT_EQ(b->try_peek(buffer).octets, 5u);
  EXPECT_EQ(b->try_read(buffer).octets, 5u);
  EXPECT_EQ(b->try_read(buffer).state, IoState::want_read);
}

TEST_F(Tcp, SocketThatIsGoneIsNotAdopted) {
  const auto adopted = adopt_socket(loop.io, loop.timers, -1);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().kind, ErrorKind::network);
  const int unconnected = ::socket(AF_INET, SOCK_STREAM, 0);
  const auto lonely = adopt_socket(loop.io, loop.timers, unconnected);
  ASSERT_FALSE(lonely);
  EXPECT_EQ(::close(unconnected), -1) << "the descriptor was leaked";
}

TEST_F(Tcp, MappedAddressesAreShownAsIpv4) {
  tcp::acceptor both(loop.io);
  boost::system::error_code error;
  both.open(tcp::v6(), error);
  if (error) GTEST_SKIP() << "no IPv6 here";
  both.set_option(boost::asio::ip::v6_only(false));
  both.bind(tcp::endpoint(tcp::v6(), 0), error);
  ASSERT_FALSE(error);
  both.listen();
  const Endpoint target{"127.0.0.1", both.local_endpoint().port()};
  auto connected = loop.run(connector->connect(target, "", loop.in(seconds(20))));
  ASSERT_TRUE(connected);
  auto adopted = adopt_socket(loop.io, loop.timers, both.accept().release());
  ASSERT_TRUE(adopted);
  EXPECT_EQ((*adopted)->remote().address, "127.0.0.1");
  EXPECT_EQ((*adopted)->local(), target);
}

}  // namespace
}  // namespace waypost::net::testing
