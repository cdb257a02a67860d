#include "inbound/listener.h"

#include <boost/asio/executor_work_guard.hpp>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace waypost::inbound {
namespace {

class ListenerTest : public testing::Test {
 protected:
  ~ListenerTest() override {
    for (const int fd : taken_) ::close(fd);
  }
  Result<std::shared_ptr<Listener>> open(const std::string& address, std::uint16_t port = 0) {
    ListenerOptions options;
    options.address = address;
    options.port = port;
    return Listener::open(shard_, options, [this](int fd) { taken_.push_back(fd); });
  }
  static int connect_socket(int fd, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      shard_.io.restart();
      shard_.io.run_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  net::Shard shard_{0, Clock::system()};
  std::vector<int> taken_;
};

TEST_F(ListenerTest, PortInUseIsNamedWithWhatToDo) {
  const auto first = open("127.0.0.1");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_NE((*first)->endpoint().port, 0);
  const auto second = open("127.0.0.1", (*first)->endpoint().port);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::network);
  const std::string& message = second.error().message;
  EXPECT_NE(message.find((*first)->endpoint().to_string()), std::string::npos) << message;
  EXPECT_NE(message.find("another program listens there"), std::string::npos) << message;
}

TEST_F(ListenerTest, AddressesThatAreNotOursOrNoneAreNamed) {
  const auto foreign = open("203.0.113.77");
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message.find("no such address"), std::string::npos)
      << foreign.error().message;
  const auto none = open("mx.corp.example");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("not an IP address"), std::string::npos);
}

TEST_F(ListenerTest, BothFamiliesListenOnOnePort) {
  const auto six = open("::");
  if (!six) GTEST_SKIP() << "no IPv6 here: " << six.error().message;
  const auto four = open("0.0.0.0", (*six)->endpoint().port);
  EXPECT_TRUE(four) << four.error().message;
}

TEST_F(ListenerTest, TakesABurstAndClosesForGood) {
  const auto listener = open("127.0.0.1");
  ASSERT_TRUE(listener);
  (*listener)->start();
  std::vector<int> clients;
  for (int i = 0; i < 200; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect_socket(fd, (*listener)->endpoint().port), 0);
    clients.push_back(fd);
  }
  EXPECT_TRUE(run_until([this] { return taken_.size() == 200; }));
  (*listener)->close();
  shard_.io.restart();
  shard_.io.run();  // ends: nothing waits any more
  const int late = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_NE(connect_socket(late, (*listener)->endpoint().port), 0);
  clients.push_back(late);
  for (const int fd : clients) ::close(fd);
}

TEST_F(ListenerTest, OutOfDescriptorsWaitsWithoutSpinningAndGoesOn) {
  boost::asio::co_spawn(shard_.io, shard_.timers.drive(), boost::asio::detached);
  const auto listener = open("127.0.0.1");
  ASSERT_TRUE(listener);
  (*listener)->start();
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(client);  // the lowest free one
  ::close(next);
  const rlimit tight{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  ASSERT_EQ(connect_socket(client, (*listener)->endpoint().port), 0);
  shard_.io.restart();
  const std::size_t steps = shard_.io.run_for(std::chrono::milliseconds(500));
  EXPECT_TRUE(taken_.empty());
  EXPECT_LT(steps, 100u);  // a listener that spins takes tens of thousands
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(run_until([this] { return taken_.size() == 1; }));
  (*listener)->close();
  shard_.timers.stop();
  ::close(client);
}

}  // namespace
}  // namespace waypost::inbound
