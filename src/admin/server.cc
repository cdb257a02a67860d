#include "waypost/admin/server.h"

#include "waypost/net/bound_socket.h"
#include "waypost/net/task.h"
#include "waypost/ops/log.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <list>
#include <optional>
#include <variant>

namespace waypost::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using boost::system::error_code;
using net::Task;
using net::use_task;
using tcp = asio::ip::tcp;
using local = asio::local::stream_protocol;

constexpr std::chrono::seconds kRequestTime{10};
constexpr std::chrono::seconds kAcceptPause{1};
constexpr std::size_t kMostDropped = 2 * 1024 * 1024;  // octets that come behind a refusal
constexpr std::chrono::minutes kLongestAnswer{11};

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
  return Answer{status, "application/json",
                json::serialize(json::object{{"error", json::string_view(text)}}) + "\n"};
}

using Parser = http::request_parser<http::string_body>;

struct Target {
  explicit Target(std::string_view text)
      : path(text.substr(0, text.find('?'))),
        query(path.size() < text.size() ? text.substr(path.size() + 1) : std::string_view()) {}
  std::string_view path, query;
};

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// Finds the action; shared by all connections.
class Dispatcher {
 public:
  explicit Dispatcher(std::vector<Action> actions) : actions_(std::move(actions)) {}

  /// Judged by the header alone, before any body is read.
  std::variant<const Action*, Answer> judge(const Parser& head, bool over_tcp) const {
    const std::string_view method = view(head.get().method_string());
    const Target target(view(head.get().target()));
    const Action* found = nullptr;
    std::string allowed;
    for (const Action& action : actions_) {
      if (action.path != target.path) continue;
      allowed += (allowed.empty() ? "" : ", ") + action.method;
      const bool head_of_get = method == "HEAD" && action.method == "GET";
      if (action.method == method || head_of_get) found = &action;
    }
    if (allowed.empty())
      return problem(404, over_tcp ? "no such path" : "no such path; there are " + all_paths());
    if (found == nullptr) return problem(405, "this path takes only " + allowed);
    if (over_tcp && !(found->open_to_tcp && found->method == "GET"))
      return problem(403, "only metrics and health are served over TCP; use the admin socket");
    return judge_fields(head, target, *found);
  }

 private:
  std::string all_paths() const {
    std::string out;
    for (const Action& action : actions_)
      out += (out.empty() ? "" : ", ") + action.method + " " + action.path;
    return out;
  }

  static std::variant<const Action*, Answer> judge_fields(const Parser& head, const Target& target,
                                                          const Action& action) {
    if (head.chunked()) return problem(411, "the body must come with its Content-Length");
    const std::uint64_t body = head.content_length() ? *head.content_length() : 0;
    if (action.method == "GET" && body > 0)
      return problem(413, "a GET takes no body; its fields belong into the query");
    if (action.method != "GET" && !target.query.empty())
      return problem(400, "the fields of a " + action.method + " belong into its body");
    if (body > action.most_body)
      return problem(413, "the body is longer than the " + std::to_string(action.most_body) +
                              " octets that this path takes");
    return &action;
  }

  std::vector<Action> actions_;
};

template <class Protocol>
using BasicStream = beast::basic_stream<Protocol, net::Executor>;

std::optional<std::uint32_t> user_of(int socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  return who.uid;
}

/// What came through one listener and is still here.
template <class Protocol>
class Door {
 public:
  Door(std::shared_ptr<const Dispatcher> asked, Limits most, bool through_tcp)
      : dispatcher(std::move(asked)), limits(most), over_tcp(through_tcp) {}

  /// Room for one more: the one that has been silent for the longest goes. False: all are busy.
  bool make_room() {
    if (open_ < limits.connections) return true;
    if (silent_.empty()) return false;
    silent_.front()->cancel();  // its read ends with an error, and so does it
    silent_.pop_front();
    --open_;
    return true;
  }
  void enter() { ++open_; }

  const std::shared_ptr<const Dispatcher> dispatcher;
  const Limits limits;
  const bool over_tcp;

 private:
  template <class>
  friend class Visit;
  std::size_t open_ = 0;
  std::list<BasicStream<Protocol>*> silent_;  // waits for a request; the longest first
};

/// One connection's place in its Door.
template <class Protocol>
class Visit {
 public:
  Visit(std::shared_ptr<Door<Protocol>> door, BasicStream<Protocol>& stream)
      : door_(std::move(door)), stream_(stream) {}
  ~Visit() {
    if (!sent_away_) --door_->open_;
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  void wait() { door_->silent_.push_back(&stream_); }
  /// False: it was sent away meanwhile.
  bool heard() {
    sent_away_ = std::erase(door_->silent_, &stream_) == 0;
    return !sent_away_;
  }

 private:
  std::shared_ptr<Door<Protocol>> door_;
  BasicStream<Protocol>& stream_;
  bool sent_away_ = false;
};

/// Runs it; the answer if it comes at once, else `later` gets it.
std::optional<Answer> run_action(const Action& action, const Parser& parser,
                                 std::optional<std::uint32_t> uid,
                                 const std::shared_ptr<Later>& later) {
  const Target target(view(parser.get().target()));
  const Call call{target.query, parser.get().body(),
                  uid ? "uid " + std::to_string(*uid) : std::string(), uid};
  if (!action.start) return action.run(call);
  action.start(call, [later](Answer answer) {
    later->answer = std::move(answer);
    later->come.cancel();
  });
  return std::nullopt;
}

/// What can't be read at all; nullopt: who sent it has gone, or was too slow.
std::optional<Answer> unreadable(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return problem(431, "the request's head is too long");
  if (error == http::error::end_of_stream || error == http::error::partial_message)
    return std::nullopt;
  if (error.category() == http::make_error_code(http::error::end_of_stream).category())
    return problem(400, "this is no HTTP request: " + error.message());
  return std::nullopt;
}

http::response<http::string_body> response_of(Answer answer, const Parser& parser, bool keep) {
  const auto& request = parser.get();
  http::response<http::string_body> response(static_cast<http::status>(answer.status), 11);
  response.set(http::field::server, "waypost");
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  response.keep_alive(keep);
  const auto length = answer.body.size();
  if (request.method() != http::verb::head) response.body() = std::move(answer.body);
  response.content_length(length);
  return response;
}

/// One request and its answer. False: the connection ends.
template <class Protocol>
Task<bool> serve_request(BasicStream<Protocol>& stream, Door<Protocol>& door,
                         Visit<Protocol>& visit, beast::flat_buffer& buffer,
                         std::optional<std::uint32_t> uid) {
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(door.limits.head));
  parser.body_limit(boost::none);  // judged by the header
  stream.expires_after(kRequestTime);
  error_code error;
  visit.wait();
  co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(use_task, error));
  if (!visit.heard()) co_return false;
  std::optional<Answer> given;
  if (error) {
    given = unreadable(error);
    if (!given) co_return false;
  }
  const Action* action = nullptr;
  if (!given) {
    auto judged = door.dispatcher->judge(parser, door.over_tcp);
    if (auto* refused = std::get_if<Answer>(&judged)) {
      given = std::move(*refused);
    } else {
      action = std::get<const Action*>(judged);
    }
  }
  // Who was refused may still send a body, which nobody reads: the connection ends.
  const bool whole = action != nullptr || (!error && parser.is_done());
  if (action != nullptr) {
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(use_task, error));
    if (error) co_return false;
    const auto later = std::make_shared<Later>(stream.get_executor());
    given = run_action(*action, parser, uid, later);
    if (!given && !later->answer) {
      stream.expires_never();
      co_await later->come.async_wait(asio::redirect_error(use_task, error));
    }
    if (!given) given = std::move(later->answer);
    if (!given)
      given = problem(504, "no answer in time; it may still be done: look before you repeat it");
  }
  const bool keep = whole && parser.get().keep_alive();
  stream.expires_after(kRequestTime);
  auto response = response_of(std::move(*given), parser, keep);
  co_await http::async_write(stream, response, asio::redirect_error(use_task, error));
  co_return !error && keep;
}

template <class Protocol>
Task<void> serve_connection(BasicStream<Protocol> stream, std::shared_ptr<Door<Protocol>> door) {
  Visit<Protocol> visit(door, stream);
  beast::flat_buffer buffer(door->limits.head + 1024);
  std::optional<std::uint32_t> uid;
  if (!door->over_tcp) uid = user_of(stream.socket().native_handle());
  bool more = true;
  while (more) {
    more = co_await serve_request<Protocol>(stream, *door, visit, buffer, uid);
  }
  error_code error;
  stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  if (door->over_tcp) co_return;
  // Who was refused by his head is still sending: he shall hear the answer, not a broken pipe.
  std::array<char, 4096> nothing;
  stream.expires_after(kRequestTime);
  for (std::size_t dropped = 0; !error && dropped < kMostDropped;) {
    dropped += co_await stream.async_read_some(asio::buffer(nothing),
                                               asio::redirect_error(use_task, error));
  }
}

template <class Protocol>
using Acceptor = asio::basic_socket_acceptor<Protocol, net::Executor>;

template <class Protocol>
Task<void> accept_loop(std::shared_ptr<Acceptor<Protocol>> acceptor,
                       std::shared_ptr<Door<Protocol>> door) {
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
    if (!door->make_room()) continue;  // `socket` closes
    door->enter();
    BasicStream<Protocol> stream(std::move(socket));
    asio::co_spawn(executor, serve_connection<Protocol>(std::move(stream), door), asio::detached);
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

  Result<> listen_local(const std::string& path, const Limits& limits) {
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
    const auto door = std::make_shared<Door<local>>(dispatcher_, limits, false);
    asio::co_spawn(io_, accept_loop<local>(acceptor, door), asio::detached);
    return {};
  }

  Result<> listen_tcp(const std::string& address, std::uint16_t port, const Limits& limits) {
    const std::string shown = address + ":" + std::to_string(port);
    const std::string what = "admin.http_address and http_port " + shown + ": ";
    auto socket = net::BoundSocket::bind(address, port);
    if (!socket) return fail(ErrorKind::network, what + socket.error().message);
    auto acceptor = std::make_shared<Acceptor<tcp>>(io_.get_executor());
    error_code error;
    acceptor->assign(socket->is_v6() ? tcp::v6() : tcp::v4(), socket->release(), error);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error) return fail(ErrorKind::network, what + error.message());
    port_ = acceptor->local_endpoint(error).port();
    tcp_ = acceptor;
    const auto door = std::make_shared<Door<tcp>>(dispatcher_, limits, true);
    asio::co_spawn(io_, accept_loop<tcp>(acceptor, door), asio::detached);
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
    if (auto listening = server->listen_local(options.socket_path, options.socket_limits);
        !listening) {
      return fail(std::move(listening).error());
    }
  }
  if (options.http) {
    if (auto listening =
            server->listen_tcp(options.http_address, options.http_port, options.http_limits);
        !listening) {
      return fail(std::move(listening).error());
    }
  }
  return server;
}

}  // namespace waypost::admin
