// libldap on our socket: a server that says nothing, half a thing or nonsense holds nobody.
#include "routing/directory_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

namespace waypost::routing {
namespace {

using std::chrono::seconds;

/// Listens; sends `octets` to whom connects, again and again if it drips, and reads what comes.
class Peer {
 public:
  explicit Peer(std::string octets = {}, bool drips = false) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 5), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread_ = std::jthread([this, octets, drips] { serve(octets, drips); });
  }
  ~Peer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  std::uint16_t port = 0;
  std::atomic<bool> connected{false};

 private:
  void serve(const std::string& octets, bool drips) {
    const int client = ::accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    connected = true;
    connected.notify_all();
    char block[1000];
    // The first octets are the client's; it closes in the end.
    bool open = ::recv(client, block, sizeof block, 0) > 0;
    do {
      for (std::size_t i = 0; open && i < octets.size(); ++i)
        open = ::send(client, &octets[i], 1, MSG_NOSIGNAL) == 1;
    } while (drips && open);
    while (::recv(client, block, sizeof block, 0) > 0) {
    }
    ::close(client);
  }

  int listener_ = -1;
  std::jthread thread_;
};

class LdapWireTest : public ::testing::Test {
 protected:
  LdapWireTest() {
    options.name = "ad";
    options.bind_dn = "CN=reader";
    options.password_file = folder.file("password");
    std::ofstream(options.password_file) << "secret\n";
    options.ca_file = std::string(WAYPOST_SOURCE_DIR) + "/tests/config/wrong/gw.pem";
  }
  Result<> dial(const Peer& peer, bool ldaps, std::stop_token stop = {},
                Duration within = seconds(60)) {
    const auto now = Clock::system().steady_now();
    const auto wire = dial_ldap(options, {.ldaps = ldaps, .host = "127.0.0.1", .port = peer.port},
                                {&Clock::system(), now + within, std::move(stop)});
    if (wire) return {};
    return fail(wire.error().error);
  }

  Folder folder;
  DirectoryOptions options;
};

TEST_F(LdapWireTest, AStopCutsEveryWait) {
  for (const bool ldaps : {true, false}) {
    for (const bool plain : {true, false}) {
      if (ldaps && plain) continue;
      options.tls = plain ? DirectoryTls::none : DirectoryTls::verify;
      const Peer peer;
      std::stop_source stop;
      std::jthread stopper([&] {
        peer.connected.wait(false);
        stop.request_stop();
      });
      const auto failed = dial(peer, ldaps, stop.get_token());
      stopper.join();
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().kind, ErrorKind::cancelled) << failed.error().message;
    }
  }
}

TEST_F(LdapWireTest, ADeadlineEndsASilentHandshake) {
  options.connect_timeout = std::chrono::milliseconds(200);
  const Peer peer;
  const auto failed = dial(peer, true);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::timeout);
}

TEST_F(LdapWireTest, ADeadlineEndsAMessageThatNeverEnds) {
  options.tls = DirectoryTls::none;
  options.operation_timeout = std::chrono::milliseconds(300);
  // A message of two million octets, which come.
  const Peer peer(std::string("\x30\x84\x7f\x00\x00\x00", 6) + std::string(100, '\x04'), true);
  const auto failed = dial(peer, false);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::timeout) << failed.error().message;
}

TEST_F(LdapWireTest, NonsenseIsAnError) {
  options.tls = DirectoryTls::none;
  options.operation_timeout = seconds(2);
  for (const std::string& octets :
       {std::string("220 mail.example ESMTP\r\n"), std::string(1000, '\xff'),
        std::string(1000, '\0'), std::string("\x30\x05\x02\x01\x01\x0a\x00", 7)}) {
    const Peer peer(octets);
    EXPECT_FALSE(dial(peer, false)) << octets.substr(0, 10);
  }
  options.tls = DirectoryTls::verify;
  const Peer peer("220 mail.example ESMTP\r\n");
  const auto failed = dial(peer, true);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::tls) << failed.error().message;
}

TEST_F(LdapWireTest, AnEmptyPasswordIsNeverSent) {
  options.tls = DirectoryTls::none;
  std::ofstream(options.password_file) << "\nsecret\n";
  const Peer peer;
  const auto failed = dial(peer, false);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("the first line is empty"));
}

TEST_F(LdapWireTest, ANameWithoutAddressIsSaidToBeOne) {
  const auto wire = dial_ldap(options, {.ldaps = true, .host = "no-such-host.invalid", .port = 636},
                              {&Clock::system(), Clock::system().steady_now() + seconds(20), {}});
  ASSERT_FALSE(wire);
  EXPECT_THAT(wire.error().error.message, HasSubstr("no-such-host.invalid"));
}

}  // namespace
}  // namespace waypost::routing
