#include "waypost/admin/server.h"

#include "waypost/net/task.h"
#include "waypost/ops/log.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

namespace waypost::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using net::Task;
using net::use_task;
using tcp = asio::ip::tcp;
using local = asio::local::stream_protocol;

constexpr std::size_t kMaxBody = 1024 * 1024;
constexpr std::chrono::seconds kRequestTime{10};
constexpr std::chrono::seconds kAcceptPause{1};
constexpr std::chrono::minutes kLongestAnswer{10};

using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, net::Executor>;

/// An answer that comes later: its timer is cut when it has come.
struct Later {
  explicit Later(const net::Executor& executor) : come(executor, kLongestAnswer) {}
  std::optional<Answer> answer;
  Timer come;
};

Answer problem(unsigned status, std::string_view text) {
  return Answer{status, "text/plain; charset=utf-8", std::string(text) + "\n"};
}

/// Finds and runs the action; shared by all connections.
class Dispatcher {
 public:
  explicit Dispatcher(std::vector<Action> actions) : actions_(std::move(actions)) {}

  /// nullopt: `later` gets the answer.
  std::optional<Answer> answer(std::string_view method, std::string_view target, const Call& call,
                               bool over_tcp, const std::shared_ptr<Later>& later) const {
    const std::string_view path = target.substr(0, target.find('?'));
    bool path_known = false;
    for (const Action& action : actions_) {
      if (action.path != path) continue;
      path_known = true;
      const bool head = method == "HEAD" && action.method == "GET";
      if (action.method != method && !head) continue;
      if (over_tcp && !(action.open_to_tcp && action.method == "GET")) {
        return problem(403, "only metrics and health are served over TCP; use the admin socket");
      }
      if (!action.start) return action.run(call);
      action.start(call, [later](Answer answer) {
        later->answer = std::move(answer);
        later->come.cancel();
      });
      return std::nullopt;
    }
    if (path_known) return problem(405, "this path does not take this method");
    return problem(404, "no such path");
  }

 private:
  std::vector<Action> actions_;
};

template <class Protocol>
using BasicStream = beast::basic_stream<Protocol, net::Executor>;

std::string user_of(int socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return {};
  const std::string uid = "uid " + std::to_string(who.uid);
  const passwd* const entry = ::getpwuid(who.uid);
  return entry == nullptr ? uid : std::string(entry->pw_name) + " (" + uid + ")";
}

template <class Protocol>
Task<void> serve_connection(BasicStream<Protocol> stream,
                            std::shared_ptr<const Dispatcher> dispatcher, bool over_tcp) {
  beast::flat_buffer buffer(kMaxBody + 64 * 1024);
  const std::string by = over_tcp ? std::string() : user_of(stream.socket().native_handle());
  for (;;) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(kMaxBody);
    stream.expires_after(kRequestTime);
    error_code error;
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(use_task, error));
    if (error == http::error::end_of_stream) break;
    if (error) co_return;
    const auto& request = parser.get();
    const auto later = std::make_shared<Later>(stream.get_executor());
    std::optional<Answer> given =
        dispatcher->answer({request.method_string().data(), request.method_string().size()},
                           {request.target().data(), request.target().size()},
                           Call{request.body(), by}, over_tcp, later);
    if (!given && !later->answer) {
      stream.expires_never();
      co_await later->come.async_wait(asio::redirect_error(use_task, error));
    }
    if (!given) given = std::move(later->answer);
    if (!given)
      given = problem(504, "no answer in time; it may still be done: look before you repeat it");
    Answer answer = std::move(*given);
    stream.expires_after(kRequestTime);
    http::response<http::string_body> response(static_cast<http::status>(answer.status),
                                               request.version());
    response.set(http::field::server, "waypost");
    response.set(http::field::content_type, answer.content_type);
    response.set(http::field::cache_control, "no-store");
    response.keep_alive(request.keep_alive());
    const bool keep = request.keep_alive();
    const auto length = answer.body.size();
    if (request.method() != http::verb::head) response.body() = std::move(answer.body);
    response.content_length(length);
    co_await http::async_write(stream, response, asio::redirect_error(use_task, error));
    if (error || !keep) break;
  }
  error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

template <class Protocol>
using Acceptor = asio::basic_socket_acceptor<Protocol, net::Executor>;

template <class Protocol>
Task<void> accept_loop(std::shared_ptr<Acceptor<Protocol>> acceptor,
                       std::shared_ptr<const Dispatcher> dispatcher, bool over_tcp) {
  const auto executor = acceptor->get_executor();
  Timer pause(executor);
  for (;;) {
    error_code error;
    asio::basic_stream_socket<Protocol, net::Executor> socket(executor);
    co_await acceptor->async_accept(socket, asio::redirect_error(use_task, error));
    if (error == asio::error::operation_aborted || !acceptor->is_open()) co_return;
    if (error) {  // out of descriptors: waiting is all that helps
      ops::log().warn("admin: accept failed: {}; trying again in a second", error.message());
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(use_task, error));
      continue;
    }
    BasicStream<Protocol> stream(std::move(socket));
    asio::co_spawn(executor, serve_connection<Protocol>(std::move(stream), dispatcher, over_tcp),
                   asio::detached);
  }
}

/// A socket file that nobody answers on is left over from a killed daemon.
Result<> clear_stale_socket(const std::string& path, asio::io_context& io) {
  struct stat about{};
  if (::lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode)) {
    return fail(ErrorKind::network, "admin socket " + path +
                                        ": a file that is no socket lies there; remove it or "
                                        "change admin.socket");
  }
  local::socket probe(io);
  error_code error;
  probe.connect(local::endpoint(path), error);
  if (!error) {
    return fail(ErrorKind::network, "admin socket " + path +
                                        ": another daemon answers there; stop it first or change "
                                        "admin.socket");
  }
  ::unlink(path.c_str());
  return {};
}

class HttpServer final : public Server {
 public:
  HttpServer(asio::io_context& io, std::vector<Action> actions)
      : io_(io), dispatcher_(std::make_shared<Dispatcher>(std::move(actions))) {}
  ~HttpServer() override { stop(); }

  Result<> listen_local(const std::string& path) {
    if (path.size() > 107) {
      return fail(
          ErrorKind::network,
          "admin socket " + path + ": the path has more than 107 octets; choose a shorter one");
    }
    if (auto cleared = clear_stale_socket(path, io_); !cleared) return cleared;
    auto acceptor = std::make_shared<Acceptor<local>>(io_.get_executor());
    error_code error;
    acceptor->open(local(), error);
    const mode_t before = ::umask(0117);  // 0660 from the first moment
    if (!error) acceptor->bind(local::endpoint(path), error);
    ::umask(before);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return fail(ErrorKind::network,
                  "admin socket " + path + ": " + error.message() +
                      "; create its directory and let Waypost's user write there");
    }
    socket_path_ = path;
    local_ = acceptor;
    asio::co_spawn(io_, accept_loop<local>(acceptor, dispatcher_, false), asio::detached);
    return {};
  }

  Result<> listen_tcp(const std::string& address, std::uint16_t port) {
    const std::string shown = address + ":" + std::to_string(port);
    error_code error;
    const auto ip = asio::ip::make_address(address, error);
    if (error)
      return fail(ErrorKind::network, "admin.http_address " + shown + ": not an IP address");
    auto acceptor = std::make_shared<Acceptor<tcp>>(io_.get_executor());
    const tcp::endpoint endpoint(ip, port);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return fail(ErrorKind::network, "admin.http_address and http_port " + shown + ": " +
                                          error.message() +
                                          "; change admin.http_port or stop who listens there");
    }
    port_ = acceptor->local_endpoint(error).port();
    tcp_ = acceptor;
    asio::co_spawn(io_, accept_loop<tcp>(acceptor, dispatcher_, true), asio::detached);
    return {};
  }

  void stop() override {
    error_code ignored;
    if (tcp_) tcp_->close(ignored);
    if (local_) local_->close(ignored);
    if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
    socket_path_.clear();
  }
  std::uint16_t http_port() const override { return port_; }

 private:
  asio::io_context& io_;
  std::shared_ptr<const Dispatcher> dispatcher_;
  std::shared_ptr<Acceptor<local>> local_;
  std::shared_ptr<Acceptor<tcp>> tcp_;
  std::string socket_path_;
  std::uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Options& options, std::vector<Action> actions,
                                              asio::io_context& io) {
  auto server = std::make_unique<HttpServer>(io, std::move(actions));
  if (!options.socket_path.empty()) {
    if (auto listening = server->listen_local(options.socket_path); !listening) {
      return fail(std::move(listening).error());
    }
  }
  if (options.http) {
    if (auto listening = server->listen_tcp(options.http_address, options.http_port); !listening) {
      return fail(std::move(listening).error());
    }
  }
  return server;
}

}  // namespace waypost::admin
