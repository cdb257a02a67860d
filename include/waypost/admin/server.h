// The admin API: HTTP over a Unix socket; read-only HTTP over TCP for metrics and health.
//
// Server: one per process, on the main thread's io_context. It decides nothing about mail: it calls
// the Actions that app wires in. Over TCP only GET of /metrics, /healthz and /readyz is answered.
#pragma once

#include "waypost/base/result.h"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace waypost::admin {

struct Answer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
};

struct Options {
  std::string socket_path;  // empty: none
  std::string http_address;
  std::uint16_t http_port = 0;  // 0: none
};

/// What app offers. Each may be called on the main thread at any time; none may block for long.
struct Actions {
  std::function<std::string()> metrics;  // text exposition
  std::function<Answer()> health;        // alive and spool writable: 200, else 503
  std::function<Answer()> ready;         // accepting and table loaded
  std::function<Answer()> reload;        // POST /v1/reload
  std::function<Answer(std::string_view address)> explain;  // GET /v1/route?address=
  std::function<Answer()> status;  // GET /v1/status: version, queue, spool, sessions
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(const Options& options, Actions actions,
                                               boost::asio::io_context& io);
  virtual ~Server() = default;
  virtual void stop() = 0;
  /// The TCP port that was bound; 0 if none.
  virtual std::uint16_t http_port() const = 0;
};

/// The client side for the command line: one request over the Unix socket. Blocking, with a
/// deadline of 10 s.
Result<Answer> request(const std::string& socket_path, std::string_view method,
                       std::string_view target, std::string_view body = {});

}  // namespace waypost::admin
