#include "app/control_worker.h"

#include "app/answers.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>

#include <pthread.h>
#include <pwd.h>

#include <array>
#include <atomic>

namespace waypost::app {
namespace asio = boost::asio;
namespace {

/// "root (uid 0)"; asks the system's user names, which may be on another machine.
std::string name_of_user(std::uint32_t id) {
  const std::string number = "uid " + std::to_string(id);
  std::array<char, 16 * 1024> room{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(id, &entry, room.data(), room.size(), &found) != 0 || found == nullptr)
    return number;
  return std::string(found->pw_name) + " (" + number + ")";
}

std::int64_t seconds_since(SteadyTime since) {
  return std::chrono::duration_cast<std::chrono::seconds>(Clock::system().steady_now() - since)
      .count();
}

}  // namespace

/// A call of the admin API. Its action's views are views of what it keeps.
struct ControlWorker::Job {
  enum class Stage : std::uint8_t { waiting, begun, taken_back };

  Job(asio::io_context& main, std::shared_ptr<const admin::Action> which)
      : action(std::move(which)), patience(main) {}

  std::shared_ptr<const admin::Action> action;
  std::string query, body, by;
  std::optional<std::uint32_t> uid;
  std::atomic<Stage> stage{Stage::waiting};
  // Main thread:
  asio::basic_waitable_timer<std::chrono::steady_clock> patience;
  std::function<void(admin::Answer)> done;  // null: it has been answered
};

ControlWorker::ControlWorker(asio::io_context& main_io, std::function<void()> after)
    : main_io_(main_io), after_(std::move(after)), work_(io_.get_executor()) {}

ControlWorker::~ControlWorker() { halt(); }

void ControlWorker::halt() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

void ControlWorker::start() {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "control");
    io_.run();
    ended_.release();
  });
}

void ControlWorker::post(std::string what, std::function<void()> task) {
  asio::post(io_, [this, what = std::move(what), task = std::move(task)] {
    {
      const std::lock_guard lock(mutex_);
      task_ = ControlTask{what, Clock::system().steady_now()};
    }
    task();
    after_();
    const std::lock_guard lock(mutex_);
    task_.reset();
  });
}

std::optional<ControlTask> ControlWorker::now() const {
  const std::lock_guard lock(mutex_);
  return task_;
}

admin::Action ControlWorker::carry_out(admin::Action action) {
  const auto inner = std::make_shared<const admin::Action>(std::move(action));
  admin::Action outer;
  outer.method = inner->method;
  outer.path = inner->path;
  outer.most_body = inner->most_body;
  outer.patience = inner->patience;
  outer.start = [this, inner](const admin::Call& call, std::function<void(admin::Answer)> done) {
    submit(inner, call, std::move(done));
  };
  return outer;
}

void ControlWorker::submit(const std::shared_ptr<const admin::Action>& action,
                           const admin::Call& call, std::function<void(admin::Answer)> done) {
  auto job = std::make_shared<Job>(main_io_, action);
  job->query = call.query;
  job->body = call.body;
  job->by = call.by;
  job->uid = call.uid;
  job->done = std::move(done);
  job->patience.expires_after(action->patience);
  job->patience.async_wait([this, job](boost::system::error_code error) {
    if (!error && job->done) give_up(*job);
  });
  post(action->method + " " + action->path, [this, job] { begin(job); });
}

/// On the worker's thread.
void ControlWorker::begin(const std::shared_ptr<Job>& job) {
  auto expected = Job::Stage::waiting;
  if (!job->stage.compare_exchange_strong(expected, Job::Stage::begun)) return;
  if (job->uid) job->by = name_of_user(*job->uid);
  const admin::Call call{job->query, job->body, job->by, job->uid};
  if (!job->action->start) return settle(job, job->action->run(call));
  job->action->start(call, [this, job](admin::Answer answer) { settle(job, std::move(answer)); });
}

/// Any thread. Whoever asks for health right behind the answer must see what it speaks of.
void ControlWorker::settle(const std::shared_ptr<Job>& job, admin::Answer answer) {
  if (std::this_thread::get_id() == thread_.get_id()) after_();
  asio::post(main_io_, [job, answer = std::move(answer)]() mutable {
    if (!job->done) return;  // nobody waits any more
    job->patience.cancel();
    std::exchange(job->done, nullptr)(std::move(answer));
  });
}

/// On the main thread.
void ControlWorker::give_up(Job& job) {
  const std::string span = std::to_string(job.action->patience.count()) + " s";
  auto expected = Job::Stage::waiting;
  std::string why;
  const bool taken_back = job.stage.compare_exchange_strong(expected, Job::Stage::taken_back);
  if (taken_back) {
    why = "nothing was done: the gateway could not begin with it within " + span;
    if (const auto task = now())
      why += "; it is at " + task->what + " since " + std::to_string(seconds_since(task->since)) +
             " s";
    why += ". Look at the disk of the spool and at the directories, then say it again";
  } else {
    why = "no answer within " + span +
          ": a disk or a directory does not answer. It goes on and may still take effect when it "
          "does: look at what is done before you say it again";
  }
  const auto done = std::exchange(job.done, nullptr);
  done(answer_json(503, {{"error", why}, {"done", taken_back ? "no" : "unknown"}}));
}

bool ControlWorker::finish_by(SteadyTime deadline, std::function<void()> last) {
  if (!thread_.joinable()) {
    last();
    return true;
  }
  post("the end", std::move(last));
  work_.reset();
  if (!ended_.try_acquire_until(deadline)) return false;
  thread_.join();
  return true;
}

}  // namespace waypost::app
