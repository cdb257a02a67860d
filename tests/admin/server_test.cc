#include "waypost/admin/server.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace waypost::admin {
namespace {

using ::testing::HasSubstr;

class AdminServer : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("waypost-admin-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
    options_ = {(directory_ / "admin.sock").string(), "127.0.0.1", 0, true};
    actions_.push_back(
        {"GET", "/healthz", true, [](const Call&) { return Answer{200, "text/plain", "ok\n"}; }});
    actions_.push_back({"POST", "/v1/echo", false, [](const Call& call) {
                          return Answer{200, "text/plain", "echo " + std::string(call.body)};
                        }});
  }
  void TearDown() override {
    if (server_)
      boost::asio::post(io_, [this] {
        server_->stop();
        io_.stop();
      });
    if (thread_.joinable()) thread_.join();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }
  void start() {
    auto server = Server::start(options_, actions_, io_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    thread_ = std::thread([this] {
      const auto work = boost::asio::make_work_guard(io_);
      io_.run();
    });
  }
  std::string over_tcp(const std::string& request) {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket(io);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), server_->http_port()});
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string answer;
    boost::system::error_code error;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
    return answer;
  }
  boost::asio::io_context io_;
  std::filesystem::path directory_;
  Options options_;
  std::vector<Action> actions_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(AdminServer, AnAnswerMayComeLater) {
  std::function<void(Answer)> waiting;
  actions_.push_back(
      {"POST", "/v1/later", false, nullptr, [&](const Call&, std::function<void(Answer)> done) {
         waiting = std::move(done);
         // Others are served meanwhile.
         boost::asio::post(io_, [&] { waiting(Answer{200, "text/plain", "late"}); });
       }});
  actions_.push_back(
      {"POST", "/v1/now", false, nullptr, [](const Call& call, std::function<void(Answer)> done) {
         done(Answer{200, "text/plain", "at once: " + std::string(call.body)});
       }});
  start();
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/later")->body, "late");
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/now", "x")->body, "at once: x");
}

TEST_F(AdminServer, AnswersOverTheSocketWithBody) {
  start();
  const auto answer = request(options_.socket_path, "POST", "/v1/echo", "hello");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200u);
  EXPECT_EQ(answer->body, "echo hello");
}

TEST_F(AdminServer, SaysWhatIsWrongWithARequest) {
  start();
  EXPECT_EQ(request(options_.socket_path, "GET", "/nothing")->status, 404u);
  EXPECT_EQ(request(options_.socket_path, "GET", "/v1/echo")->status, 405u);
}

TEST_F(AdminServer, TcpServesOnlyWhatIsOpen) {
  start();
  EXPECT_THAT(over_tcp("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("\r\n\r\nok\n"));
  EXPECT_THAT(
      over_tcp(
          "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
      HasSubstr("HTTP/1.1 403"));
}

TEST_F(AdminServer, GarbageAndTooLargeBodiesEndTheConnectionOnly) {
  start();
  over_tcp("\x16\x03\x01 not http\r\n\r\n");
  over_tcp("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(request(options_.socket_path, "GET", "/healthz")->body, "ok\n");
}

TEST_F(AdminServer, TheSocketIsNotForEverybody) {
  start();
  struct stat about{};
  ASSERT_EQ(::stat(options_.socket_path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0660u);
}

TEST_F(AdminServer, AStaleSocketIsReplacedALiveOneIsNot) {
  start();
  boost::asio::io_context other;
  const auto second = Server::start({options_.socket_path, "", 0, false}, {}, other);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another daemon answers"));
  const std::string stale = (directory_ / "stale.sock").string();
  {
    boost::asio::local::stream_protocol::acceptor dead(
        other, boost::asio::local::stream_protocol::endpoint(stale));
  }
  EXPECT_TRUE(Server::start({stale, "", 0, false}, {}, other));
}

TEST_F(AdminServer, AFileInTheWayIsNamed) {
  std::ofstream(options_.socket_path) << "precious";
  const auto server = Server::start(options_, {}, io_);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("no socket lies there"));
}

TEST(AdminClient, NoDaemonIsAClearError) {
  const auto answer = request("/nonexistent/admin.sock", "GET", "/healthz");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::not_found);
  EXPECT_THAT(answer.error().message, HasSubstr("is waypost running"));
}

}  // namespace
}  // namespace waypost::admin
