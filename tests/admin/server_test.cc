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

TEST_F(AdminServer, OverTcpNoBodyIsEverReadOrWaitedFor) {
  start();
  // Each is answered by its header alone; no octet of the body is sent.
  for (const auto& [head, status] :
       {std::pair{"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "403"},
        std::pair{"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "405"},
        std::pair{"PUT /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "404"},
        std::pair{"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "413"},
        std::pair{"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                  "411"}}) {
    const auto answer = over_tcp(head);  // returns when the server closes
    EXPECT_THAT(answer, HasSubstr(std::string("HTTP/1.1 ") + status)) << head;
  }
}

TEST_F(AdminServer, BodiesHaveALimitForEachPath) {
  actions_.push_back({"POST",
                      "/v1/small",
                      false,
                      [](const Call&) { return Answer{200, "text/plain", "taken"}; },
                      {},
                      10});
  start();
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/small", "0123456789")->status, 200u);
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/small", "0123456789a")->status, 413u);
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/echo", std::string(65'000, 'x'))->status,
            200u);
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/echo", std::string(66'000, 'x'))->status,
            413u);
}

TEST_F(AdminServer, FieldsStandWhereTheMethodHasThem) {
  actions_.push_back({"GET", "/v1/query", false, [](const Call& call) {
                        return Answer{200, "text/plain", std::string(call.query)};
                      }});
  start();
  EXPECT_EQ(request(options_.socket_path, "GET", "/v1/query?a=b&c=d")->body, "a=b&c=d");
  EXPECT_EQ(request(options_.socket_path, "GET", "/v1/query")->body, "");
  EXPECT_EQ(request(options_.socket_path, "GET", "/v1/query", "{}")->status, 413u);
  EXPECT_EQ(request(options_.socket_path, "POST", "/v1/echo?dry_run=true", "x")->status, 400u);
}

TEST_F(AdminServer, AHeadThatIsTooLongIsTold) {
  start();
  const std::string padding(10'000, 'x');
  EXPECT_THAT(over_tcp("GET /healthz?" + padding + " HTTP/1.1\r\nHost: x\r\n\r\n"),
              HasSubstr("HTTP/1.1 431"));
}

TEST_F(AdminServer, ManySilentConnectionsKeepNobodyOut) {
  options_.http_limits.connections = 8;
  start();
  boost::asio::io_context io;
  std::vector<std::unique_ptr<boost::asio::ip::tcp::socket>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<boost::asio::ip::tcp::socket>(io));
    silent.back()->connect({boost::asio::ip::make_address("127.0.0.1"), server_->http_port()});
  }
  EXPECT_THAT(over_tcp("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("\r\n\r\nok\n"));
  // The first have been sent away: reading ends at once.
  std::size_t closed = 0;
  for (int i = 0; i < 192; ++i) {
    char octet = 0;
    boost::system::error_code error;
    boost::asio::read(*silent[static_cast<std::size_t>(i)], boost::asio::buffer(&octet, 1), error);
    closed += error ? 1 : 0;
  }
  EXPECT_EQ(closed, 192u);
}

TEST_F(AdminServer, WhoWaitsForAnAnswerIsNotSentAway) {
  options_.http_limits.connections = 2;
  std::vector<std::function<void(Answer)>> waiting;
  actions_.push_back(
      {"GET", "/later", true, nullptr, [&](const Call&, std::function<void(Answer)> done) {
         waiting.push_back(std::move(done));
         if (waiting.size() == 2)
           boost::asio::post(io_, [&] {
             for (auto& one : waiting) one(Answer{200, "text/plain", "late"});
           });
       }});
  start();
  std::string one;
  std::thread first(
      [&] { one = over_tcp("GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); });
  const auto two = over_tcp("GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  first.join();
  EXPECT_THAT(one, HasSubstr("late"));
  EXPECT_THAT(two, HasSubstr("late"));
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
