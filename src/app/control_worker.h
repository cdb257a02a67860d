// The thread that carries out what people do to the gateway: all that may touch a disk, a
// directory, the system's user names or a whole table. So the main thread, which has signals, beats
// and health, waits for nothing.
//
// ControlWorker: one per process, owned by Gateway. One thing after the other, in the order in
// which it was given. Who asks through the admin API hears 503 when his action's patience is over:
// what has not begun by then is taken back and never done; what has begun can't be, goes on, and
// may still take effect. The answer says which of the two it is.
#pragma once

#include "waypost/admin/server.h"
#include "waypost/base/clock.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>

namespace waypost::app {

/// What the worker is at.
struct ControlTask {
  std::string what;  // "POST /v1/wave/command"
  SteadyTime since{};
};

class ControlWorker {
 public:
  /// `after` is called on the worker's thread after each thing that it has done.
  ControlWorker(boost::asio::io_context& main_io, std::function<void()> after);
  ~ControlWorker();
  ControlWorker(const ControlWorker&) = delete;
  ControlWorker& operator=(const ControlWorker&) = delete;

  /// REQUIRES: what is posted may run from now on.
  void start();
  /// Any thread.
  void post(std::string what, std::function<void()> task);
  /// The same action, carried out by the worker; its answer is given on the main thread.
  admin::Action carry_out(admin::Action action);
  /// nullopt: nothing. Any thread.
  std::optional<ControlTask> now() const;
  /// Runs `last` behind what has been posted, and ends. False if it has not come to that by then:
  /// the thread is left alone. Also if it never started.
  bool finish_by(SteadyTime deadline, std::function<void()> last);
  /// Ends after what it is at; what is posted from now on is never done.
  void halt();

 private:
  struct Job;
  void submit(const std::shared_ptr<const admin::Action>& action, const admin::Call& call,
              std::function<void(admin::Answer)> done);
  void begin(const std::shared_ptr<Job>& job);
  void settle(const std::shared_ptr<Job>& job, admin::Answer answer);
  void give_up(Job& job);

  boost::asio::io_context& main_io_;
  std::function<void()> after_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  mutable std::mutex mutex_;
  std::optional<ControlTask> task_;
  std::thread thread_;
  std::binary_semaphore ended_{0};
};

}  // namespace waypost::app
