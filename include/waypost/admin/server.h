// The admin API: HTTP over a Unix socket; read-only HTTP over TCP for metrics and health.
//
// Server: one per process, on the main thread's io_context. It decides nothing about mail: it calls
// the Actions that app wires in, one per method and path. GET reads, and has its fields in the
// query; POST acts, and has its fields in the body; neither takes any elsewhere. Method and path
// are judged before a body is read. Over TCP only GET of actions marked `open_to_tcp` is answered,
// all else is 403, and no body is ever read. A request has 10 s to arrive, an answer that takes
// longer than 11 minutes is given up. Beyond Limits' connections the one that has been silent for
// the longest is closed; memory is bounded by Limits and the actions' bodies.
#pragma once

#include "waypost/base/result.h"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::admin {

struct Answer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
};

/// For each of the two doors.
struct Limits {
  std::size_t connections = 64;
  std::size_t head = 256 * 1024;  // request line and header fields
};

struct Options {
  std::string socket_path;  // empty: none. Mode 0660; a stale socket of a dead daemon is replaced
  std::string http_address;
  std::uint16_t http_port = 0;
  bool http = false;  // listen on TCP at all; port 0 picks a free one
  Limits socket_limits = {};
  Limits http_limits = {.connections = 128, .head = 8 * 1024};
};

struct Call {
  std::string_view query;  // of a GET: behind the '?'
  std::string_view body;   // of a POST
  /// The user at the other end of the Unix socket, "uid 1000": whoever carries it out may ask for
  /// the name, which may take its time. Empty over TCP.
  std::string by;
  std::optional<std::uint32_t> uid;
};

/// Called on the main thread; must not block for long.
struct Action {
  std::string method;        // "GET", "POST"
  std::string path;          // "/v1/reload"; exact match
  bool open_to_tcp = false;  // GET only
  std::function<Answer(const Call& call)> run;
  /// Instead of `run`, for what takes longer: `done` is called later, once, on the main thread.
  /// What `call` views is gone when this returns.
  std::function<void(const Call& call, std::function<void(Answer)> done)> start = {};
  std::size_t most_body = 64 * 1024;  // octets of a POST; longer: 413
  /// For who carries it out elsewhere: how long the caller is left waiting. The command line waits
  /// for 10 s.
  std::chrono::seconds patience{8};
};

class Server {
 public:
  /// ErrorKind::network: the socket or port can't be had, with the reason.
  static Result<std::unique_ptr<Server>> start(const Options& options, std::vector<Action> actions,
                                               boost::asio::io_context& io);
  virtual ~Server() = default;
  /// Closes the listeners and removes the socket file; running requests end by themselves.
  virtual void stop() = 0;
  /// The TCP port that was bound; 0 if none.
  virtual std::uint16_t http_port() const = 0;
};

/// The client side for the command line: one request over the Unix socket. Blocks for `patience` at
/// most. ErrorKind::not_found: no daemon listens there.
Result<Answer> request(const std::string& socket_path, std::string_view method,
                       std::string_view path, std::string_view body = {},
                       std::chrono::seconds patience = std::chrono::seconds(10));

}  // namespace waypost::admin
