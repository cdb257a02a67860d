#include "app/serve.h"

#include "waypost/ops/log.h"

#include "app/gateway.h"
#include "app/service_manager.h"
#include "app/start_signals.h"
#include "app/version.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdlib>

namespace waypost::app {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock>;

constexpr int kExitUnavailable = 69, kExitSoftware = 70, kExitConfig = 78;
constexpr std::chrono::seconds kPhaseOne{25};  // systemd's TimeoutStopSec in our unit is 45 s
constexpr std::chrono::seconds kPhaseTwo{10};
constexpr std::chrono::milliseconds kLookEvery{20};
constexpr std::chrono::seconds kBeatEvery{2};
constexpr std::chrono::seconds kLastWords{2};

/// The main thread after start: signals, heartbeats, the watchdog and the two phases of the
/// shutdown.
class MainLoop {
 public:
  MainLoop(asio::io_context& io, Gateway& gateway)
      : io_(io), gateway_(gateway), signals_(io, SIGTERM, SIGINT, SIGHUP), beat_(io), phase_(io) {}

  void run() {
    wait_for_signal();
    StartSignals::let_in();
    beat();
    notify_ready(gateway_.status_line());
    ops::log().info("ready: {}", gateway_.status_line());
    io_.run();
  }

 private:
  enum class Phase { serving, draining, cutting };

  void wait_for_signal() {
    signals_.async_wait([this](error_code error, int signal) {
      if (error) return;
      on_signal(signal);
      wait_for_signal();
    });
  }

  void on_signal(int signal) {
    if (signal == SIGHUP) {
      if (phase_now_ != Phase::serving) return;
      notify_reloading();
      gateway_.reload(false, [this](const ReloadReport&) { notify_ready(gateway_.status_line()); });
      return;
    }
    if (phase_now_ == Phase::serving) {
      ops::log().info("stopping: no new connections; open transactions may finish ({} s)",
                      kPhaseOne.count());
      notify_stopping("finishing open transactions");
      phase_now_ = Phase::draining;
      gateway_.stop_accepting();
      deadline_ = Clock::system().steady_now() + kPhaseOne;
      look();
    } else if (phase_now_ == Phase::draining) {
      cut("second signal");
    }
  }

  void cut(const char* why) {
    ops::log().warn("stopping: {}: cutting what is still open; nothing acknowledged is lost", why);
    phase_now_ = Phase::cutting;
    gateway_.cancel();
    deadline_ = Clock::system().steady_now() + kPhaseTwo;
  }

  void look() {
    if (gateway_.finished()) return io_.stop();
    if (Clock::system().steady_now() >= deadline_) {
      if (phase_now_ == Phase::cutting) return io_.stop();
      cut("time is up");
    }
    phase_.expires_after(kLookEvery);
    phase_.async_wait([this](error_code error) {
      if (!error) look();
    });
  }

  void beat() {
    if (gateway_.alive()) {
      notify_alive();
    } else {
      ops::log().error("a shard has not answered for a long time; the watchdog is not fed");
    }
    gateway_.request_beats();
    gateway_.look_at_the_clock();
    notify_status(gateway_.status_line());
    const auto watchdog = watchdog_interval();
    const auto every =
        watchdog.count() > 0 ? std::min<Duration>(watchdog / 2, kBeatEvery) : Duration(kBeatEvery);
    beat_.expires_after(every);
    beat_.async_wait([this](error_code error) {
      if (!error) beat();
    });
  }

  asio::io_context& io_;
  Gateway& gateway_;
  asio::signal_set signals_;
  Timer beat_, phase_;
  Phase phase_now_ = Phase::serving;
  SteadyTime deadline_{};
};

/// What is buffered at the end is written, if it can be.
struct LastWords {
  LastWords() = default;
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  ~LastWords() { ops::flush_log(kLastWords); }
};

void begin_log(const ops::LogOptions& options) {
  auto file = ops::open_log(options);
  if (file) return ops::use_log(options, std::move(*file));
  // A gateway without its log file is better than none.
  ops::use_log(options, nullptr);
  ops::log().error("{}; lines go to standard error", file.error().message);
}

}  // namespace

int serve(const std::string& config_file) {
  std::signal(SIGPIPE, SIG_IGN);
  const LastWords last_words;
  ops::use_log({}, nullptr);  // from here on nothing waits for standard error
  StartSignals signals;
  // What the table is read from may come later: the gateway starts without a table.
  config::Loaded loaded = config::load_file(config_file, {.check_table_files = false});
  for (const auto& diagnostic : loaded.diagnostics) ops::say_plainly(diagnostic.to_string());
  if (!loaded.usable()) {
    ops::say_plainly("waypost: not started: " + config_file +
                     " has errors; 'waypost check --config " + config_file + "' shows them again");
    return kExitConfig;
  }
  begin_log(loaded.config.log);
  ops::log().info("waypost {} starts with {}", kVersion, config_file);
  asio::io_context io(1);
  auto gateway = Gateway::start(std::move(loaded.config), io, [&signals] { signals.no_more(); });
  if (!gateway) {
    ops::log().critical("not started: {}", gateway.error().message);
    return kExitUnavailable;
  }
  MainLoop(io, **gateway).run();
  const Gateway::End end = (*gateway)->close();
  if (end == Gateway::End::threads_left)
    ops::log().error("threads did not end in time; leaving them behind");
  else
    ops::log().info("stopped");
  if (end == Gateway::End::whole) return 0;
  ops::flush_log(kLastWords);
  // A thread is left that hangs: nothing that it uses may go. A tracking log that nobody reads is
  // no fault of the mail's, and the mail is safe.
  std::_Exit(end == Gateway::End::without_tracking ? 0 : kExitSoftware);
}

}  // namespace waypost::app
