#include "waypost/admin/server.h"
#include "waypost/net/task.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace waypost::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using local = asio::local::stream_protocol;
using net::use_task;

struct Exchange {
  std::string socket_path, method, path, body;
  std::chrono::seconds patience;
  Result<Answer> answer = fail(ErrorKind::timeout, "");
};

net::Task<void> run_exchange(asio::io_context& io, Exchange& exchange) {
  beast::basic_stream<local, net::Executor> stream(io.get_executor());
  stream.expires_after(exchange.patience);
  error_code error;
  const local::endpoint endpoint(exchange.socket_path);
  co_await stream.async_connect(endpoint, asio::redirect_error(use_task, error));
  const auto what = "admin socket " + exchange.socket_path + ": ";
  if (error) {
    exchange.answer =
        fail(ErrorKind::not_found,
             what + error.message() +
                 "; is waypost running, and may you open the socket (group waypost)?");
    co_return;
  }
  http::request<http::string_body> request;
  request.method_string(exchange.method);
  request.target(exchange.path);
  request.version(11);
  request.set(http::field::host, "waypost");
  request.set(http::field::connection, "close");
  request.body() = exchange.body;
  request.prepare_payload();
  co_await http::async_write(stream, request, asio::redirect_error(use_task, error));
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  if (!error)
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(use_task, error));
  if (error) {
    exchange.answer = fail(ErrorKind::network, what + error.message());
    co_return;
  }
  auto response = parser.release();
  exchange.answer = Answer{response.result_int(), std::string(response[http::field::content_type]),
                           std::move(response.body())};
}

}  // namespace

Result<Answer> request(const std::string& socket_path, std::string_view method,
                       std::string_view path, std::string_view body,
                       std::chrono::seconds patience) {
  if (socket_path.size() > 107) {
    return fail(ErrorKind::not_found,
                "admin socket " + socket_path + ": the path is too long for a socket");
  }
  Exchange exchange{socket_path, std::string(method), std::string(path), std::string(body),
                    patience};
  asio::io_context io(1);
  asio::co_spawn(io, run_exchange(io, exchange), asio::detached);
  io.run();
  return std::move(exchange.answer);
}

}  // namespace waypost::admin
