// The stand-in as a whole: listeners, record, journal, control socket, schedule of faults.
//
// Life: start() -> (serve() until SIGTERM | serve_in_background()) -> stop(). Owned by one thread.
#pragma once

#include "waypost/admin/server.h"

#include "sink/behaviour.h"
#include "sink/fault_schedule.h"
#include "sink/recorder.h"
#include "sink/sink_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace waypost::sink {

struct StandInOptions {
  std::vector<std::string> listen{"127.0.0.1:0"}, rules, hide, names;
  std::string tls = "starttls", certificate, key, client_ca;
  std::string record, eml, journal, control, rule_file, schedule_file, auth;
  std::uint64_t max_size = 40ull * 1024 * 1024;
  std::uint32_t max_recipients = 500;
  unsigned threads = 1;
  bool bare_ok = false, plain_ehlo = false, discard = false;
};

class StandIn {
 public:
  /// Everything is checked and bound; errors name the option.
  static Result<std::unique_ptr<StandIn>> start(const StandInOptions& options);
  ~StandIn();
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

  const std::vector<std::string>& bound() const { return bound_; }
  Recorder& recorder() { return *recorder_; }
  Behaviour& behaviour() { return behaviour_; }
  /// Until SIGTERM or SIGINT.
  void serve();
  void serve_in_background();
  void stop();

 private:
  StandIn() = default;
  Result<> prepare(const StandInOptions& options);
  std::vector<admin::Action> control_actions();
  void keep_schedule();
  Behaviour behaviour_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<SinkServer> server_;
  std::vector<std::string> bound_;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  std::unique_ptr<admin::Server> control_;
  std::vector<ScheduledFault> faults_;
  std::vector<bool> fault_state_;
  std::thread background_;
};

}  // namespace waypost::sink
