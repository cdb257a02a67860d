#include "waypost/net/timers.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

namespace waypost::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using AsioTimer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Executor>;

}  // namespace

struct Timers::Impl {
  struct Sleep {
    SteadyTime at;
    std::move_only_function<void(bool)> resume;  // true: cancelled
  };
  explicit Impl(asio::io_context& io_) : io(io_), timer(io_.get_executor()) {}

  void resume(std::map<std::uint64_t, Sleep>::iterator sleep, bool cancelled) {
    by_time.erase({sleep->second.at, sleep->first});
    auto handler = std::move(sleep->second.resume);
    sleeps.erase(sleep);
    handler(cancelled);
  }

  asio::io_context& io;
  AsioTimer timer;
  Deadline* deadlines = nullptr;  // intrusive, in no order
  Deadline* visiting = nullptr;   // the node that run_due() looks at next
  SteadyTime driven_until = SteadyTime::max();
  bool stopped = false;
  std::uint64_t next_id = 1;
  std::map<std::uint64_t, Sleep> sleeps;
  std::map<std::pair<SteadyTime, std::uint64_t>, bool> by_time;
};

void Deadline::arm(SteadyTime at, void (*expired)(void*), void* argument) {
  at_ = at;
  expired_ = expired;
  argument_ = argument;
  if (linked_) return;
  linked_ = true;
  Timers::Impl& impl = *timers_->impl_;
  previous_ = nullptr;
  next_ = impl.deadlines;
  if (next_ != nullptr) next_->previous_ = this;
  impl.deadlines = this;
  // The first one starts the ticking.
  if (next_ == nullptr && impl.driven_until > timers_->now() + Timers::kTick) impl.timer.cancel();
}

void Deadline::disarm() {
  if (!linked_) return;
  linked_ = false;
  if (timers_->impl_->visiting == this) timers_->impl_->visiting = next_;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    timers_->impl_->deadlines = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
}

Timers::Timers(const Clock& clock, asio::io_context& io)
    : clock_(clock), impl_(std::make_unique<Impl>(io)) {}

Timers::~Timers() {
  // Frames that sleep here are destroyed while the rest still stands; deadlines that outlive us
  // must not look back.
  auto sleeps = std::move(impl_->sleeps);
  impl_->sleeps.clear();
  sleeps.clear();
  while (impl_->deadlines != nullptr) impl_->deadlines->disarm();
}

Task<Result<>> Timers::sleep(SteadyTime at, std::uint64_t* id) {
  Impl& impl = *impl_;
  if (impl.stopped) co_return fail(ErrorKind::cancelled, "shutting down");
  const std::uint64_t own_id = impl.next_id++;
  if (id != nullptr) *id = own_id;
  bool cancelled = false;
  const auto start = [&](auto handler) {
    auto resume = [&impl, &cancelled, kept = std::move(handler)](bool was_cancelled) mutable {
      cancelled = was_cancelled;
      asio::post(impl.io, std::move(kept));
    };
    impl.sleeps.emplace(own_id, Impl::Sleep{at, std::move(resume)});
    impl.by_time.emplace(std::pair(at, own_id), true);
    if (at < impl.driven_until) impl.timer.cancel();
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void()>(start, use_task);
  if (id != nullptr) *id = 0;
  if (cancelled) co_return fail(ErrorKind::cancelled, "shutting down");
  co_return Result<>();
}

Task<Result<>> Timers::sleep_until(SteadyTime at) { return sleep(at, nullptr); }

Task<Result<>> Timers::Sleeper::sleep_until(SteadyTime at) {
  if (std::exchange(woken_, false)) co_return Result<>();
  auto slept = co_await timers_.sleep(at, &sleep_);
  woken_ = false;
  co_return slept;
}

void Timers::Sleeper::wake() {
  woken_ = true;
  if (sleep_ == 0) return;
  Impl& impl = *timers_.impl_;
  const auto found = impl.sleeps.find(sleep_);
  if (found != impl.sleeps.end()) impl.resume(found, false);
}

void Timers::run_due() {
  const SteadyTime present = now();
  while (!impl_->by_time.empty() && impl_->by_time.begin()->first.first <= present) {
    impl_->resume(impl_->sleeps.find(impl_->by_time.begin()->first.second), false);
  }
  // A callback may arm and disarm any node; disarm() moves `visiting` on.
  Impl& impl = *impl_;
  impl.visiting = impl.deadlines;
  while (Deadline* const node = impl.visiting) {
    impl.visiting = node->next_;
    if (node->at_ > present) continue;
    const auto expired = node->expired_;
    void* const argument = node->argument_;
    node->disarm();
    expired(argument);
  }
}

SteadyTime Timers::next_due() const {
  SteadyTime earliest = SteadyTime::max();
  if (!impl_->by_time.empty()) earliest = impl_->by_time.begin()->first.first;
  for (const Deadline* node = impl_->deadlines; node != nullptr; node = node->next_) {
    earliest = std::min(earliest, node->at_);
  }
  return earliest;
}

Task<void> Timers::drive() {
  Impl& impl = *impl_;
  while (!impl.stopped) {
    SteadyTime until = SteadyTime::max();
    if (!impl.by_time.empty()) until = impl.by_time.begin()->first.first;
    if (impl.deadlines != nullptr) until = std::min(until, now() + kTick);
    impl.driven_until = until;
    impl.timer.expires_at(until == SteadyTime::max() ? std::chrono::steady_clock::time_point::max()
                                                     : until);
    error_code error;
    co_await impl.timer.async_wait(asio::redirect_error(use_task, error));
    run_due();
  }
}

void Timers::stop() {
  impl_->stopped = true;
  while (!impl_->sleeps.empty()) impl_->resume(impl_->sleeps.begin(), true);
  impl_->timer.cancel();
}

}  // namespace waypost::net
