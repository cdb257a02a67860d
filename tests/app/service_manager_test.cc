#include "app/service_manager.h"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

namespace waypost::app {
namespace {

/// A service manager that reads when it is asked to.
class Manager {
 public:
  /// "/a/path" or "@an abstract name".
  explicit Manager(const std::string& name)
      : name_(name), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, name.data(), name.size());
    if (name[0] == '@') address_.sun_path[0] = '\0';
    octets_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() +
                                     (name[0] == '@' ? 0 : 1));
    ::unlink(name.c_str());
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address_), octets_), 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Manager() {
    ::unsetenv("NOTIFY_SOCKET");
    ::close(socket_);
    ::unlink(name_.c_str());
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  void fill() {
    const int other = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    while (::sendto(other, "x", 1, MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&address_),
                    octets_) == 1) {
    }
    ::close(other);
  }
  /// What waits, without what fill() has put there.
  std::vector<std::string> read_all() {
    std::vector<std::string> all;
    char text[1000];
    for (ssize_t n = 0; (n = ::recv(socket_, text, sizeof text, 0)) > 0;) {
      std::string one(text, static_cast<std::size_t>(n));
      if (one != "x") all.push_back(std::move(one));
    }
    return all;
  }

 private:
  std::string name_;
  int socket_;
  sockaddr_un address_{};
  socklen_t octets_ = 0;
};

std::vector<std::string> kinds_of_name() {
  const std::string own = "waypost-notify-" + std::to_string(::getpid());
  return {"/tmp/" + own, "@" + own};
}

TEST(ServiceManager, HearsWhatIsSaid) {
  for (const auto& name : kinds_of_name()) {
    Manager manager(name);
    notify_ready("all is well");
    notify_alive();
    notify_status("text");
    notify_stopping("bye");
    const std::vector<std::string> said = {"READY=1\nSTATUS=all is well", "WATCHDOG=1",
                                           "STATUS=text", "STOPPING=1\nSTATUS=bye"};
    EXPECT_EQ(manager.read_all(), said) << name;
  }
}

TEST(ServiceManager, OneThatDoesNotReadKeepsNobodyWaitingAndHearsTheNewestWordLater) {
  for (const auto& name : kinds_of_name()) {
    Manager manager(name);
    manager.fill();
    ::alarm(20);  // ends the test if one of these waits
    notify_ready("first");
    notify_alive();
    notify_reloading();
    notify_status("dropped");
    notify_ready("second");
    notify_alive();
    ::alarm(0);
    EXPECT_TRUE(manager.read_all().empty());
    notify_alive();
    const std::vector<std::string> said = {"READY=1\nSTATUS=second", "WATCHDOG=1"};
    EXPECT_EQ(manager.read_all(), said) << name;
  }
}

TEST(ServiceManager, OneThatIsNotThereIsNoTrouble) {
  for (const std::string& name : {std::string("/nonexistent/x"), std::string("@nobody-is-here"),
                                  std::string("bad"), std::string(), "/" + std::string(300, 'x')}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    notify_ready("text");
    notify_alive();
  }
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace waypost::app
