#include "spool/committer.h"

#include <boost/asio/post.hpp>
#include <climits>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace waypost::spool {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);
constexpr std::uint64_t kFillPiece = 256ull * 1024;
constexpr auto kFillPause = std::chrono::milliseconds(3);
constexpr unsigned kFruitlessAtClose = 8;  // batches in a row that made no settlement durable

/// Resumes the coroutines of one shard.
struct Resume {
  std::vector<std::unique_ptr<Waiter>> waiters;
  void operator()() {
    for (auto& waiter : waiters) waiter->run();
  }
};

}  // namespace

Committer::Committer(const Options& options, Disk& disk, const Clock& clock, Log& log,
                     ops::Metrics& metrics)
    : options_(options),
      disk_(disk),
      clock_(clock),
      log_(log),
      batches_(metrics.counter("waypost_spool_batches_total", "Batches written and synced")),
      messages_(metrics.counter("waypost_spool_messages_total", "Messages made durable")),
      failures_(metrics.counter("waypost_spool_failures_total", "Spool requests that failed")) {
  look_at_disk();
  if (!options_.own_threads) return;
  worker_ = std::thread([this] { work(); });
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(worker_.native_handle(), "spool-work");
  pthread_setname_np(thread_.native_handle(), "spool-commit");
}

void Committer::submit(Request* request) {
  const bool waits = request->waits();
  stack_.push(request);
  const std::uint32_t state = state_.load(std::memory_order_seq_cst);
  if (state == asleep || (state == dozing && waits)) wake();
  if (finished_.load(std::memory_order_seq_cst)) refuse_the_rest();
}

void Committer::wake() {
  word_.fetch_add(1, std::memory_order_seq_cst);
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word_), FUTEX_WAKE_PRIVATE, INT_MAX,
            nullptr, nullptr, 0);
}

void Committer::wait(State how, std::chrono::nanoseconds at_most) {
  const std::uint32_t seen = word_.load(std::memory_order_seq_cst);
  state_.store(how, std::memory_order_seq_cst);
  if (stack_.empty() && !closing_.load()) {
    const auto count = std::max<std::int64_t>(0, at_most.count());
    const timespec limit{count / 1'000'000'000, count % 1'000'000'000};
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word_), FUTEX_WAIT_PRIVATE, seen, &limit,
              nullptr, 0);
  }
  state_.store(busy, std::memory_order_seq_cst);
}

bool Committer::anybody_waits() const {
  for (const Request* request : queue_) {
    if (request->kind != Request::Kind::settle) return true;
  }
  return false;
}

void Committer::run() {
  while (const auto pause = turn()) {
    if (pause->how != busy) wait(pause->how, pause->at_most);
  }
  seal_the_last();
  finished_.store(true, std::memory_order_seq_cst);
  refuse_the_rest();
}

bool Committer::stuck() const {
  const std::int64_t began = turn_began_ns_.load(std::memory_order_relaxed);
  return began != 0 &&
         clock_.steady_now() - SteadyTime(std::chrono::nanoseconds(began)) > Spool::kPatience;
}

std::optional<Committer::Pause> Committer::turn() {
  turn_began_ns_.store(clock_.steady_now().time_since_epoch().count(), std::memory_order_relaxed);
  const auto pause = take_turn();
  turn_began_ns_.store(0, std::memory_order_relaxed);
  return pause;
}

std::optional<Committer::Pause> Committer::take_turn() {
  order_spares();
  const bool closing = closing_.load();
  taken_.clear();
  stack_.take(taken_);
  queue_.insert(queue_.end(), taken_.begin(), taken_.end());
  const auto now = clock_.steady_now();
  const bool unsettled = !queue_.empty() || log_.has_unwritten_settlements();
  if (unsettled && !settle_by_) settle_by_ = now + options_.settle_delay;
  if (anybody_waits() || closing || (settle_by_ && now >= *settle_by_)) {
    write_what_is_due();
  } else if (settle_by_) {
    return Pause{dozing, *settle_by_ - now};
  }
  const bool looked = look_at_disk();
  const bool more = log_.reclaim();
  order_indexes();
  if (looked && !more && queue_.empty()) log_.prove_last_batch();
  note_outcome();
  order_list(closing);
  if (closing && closed_for_good()) return std::nullopt;
  if (!more && queue_.empty() && !log_.has_unwritten_settlements())
    return Pause{asleep, kLookEvery};
  return Pause{};
}

/// One batch takes a bounded number of settlements; a disk that takes none any more must not hold
/// up the shutdown.
bool Committer::closed_for_good() {
  if (!queue_.empty() || !stack_.empty()) return false;
  const std::size_t left = log_.unwritten_settlements();
  if (left == 0) return true;
  fruitless_ = left < left_before_ ? 0 : fruitless_ + 1;
  left_before_ = left;
  return fruitless_ >= kFruitlessAtClose;
}

SteadyTime Committer::step() {
  const auto pause = turn();
  while (do_ordered()) {
  }
  const SteadyTime now = clock_.steady_now();
  if (!pause) return SteadyTime::max();
  return stack_.empty() ? now + pause->at_most : now;
}

bool Committer::do_ordered() {
  std::optional<IndexOrder> index;
  std::optional<ListOrder> list;
  std::uint32_t number = 0;
  {
    const std::lock_guard lock(orders_mutex_);
    // A spare is what a commit may wait for; nobody commits any more when closing.
    if (!closing_.load() && !orders_.empty()) {
      number = orders_.front();
      orders_.pop_front();
    } else if (list_order_) {
      list = std::exchange(list_order_, {});
    } else if (!index_orders_.empty()) {
      index = std::move(index_orders_.front());
      index_orders_.pop_front();
    } else {
      return false;
    }
  }
  if (list) {
    if (!log_.carry_out(*list)) {
      const std::lock_guard lock(orders_mutex_);
      list_left_ = std::move(list);
    }
  } else if (index) {
    (void)write_index(disk_, *index, true);  // without it, the next start scans
  } else {
    make_spare(number);
  }
  return true;
}

void Committer::write_what_is_due() {
  settle_by_.reset();
  log_.run_batch(queue_);
  batches_.add();
  answer();
}

void Committer::order_spares() {
  const auto orders = log_.take_spare_orders(clock_.steady_now());
  if (orders.empty()) return;
  const std::lock_guard lock(orders_mutex_);
  orders_.insert(orders_.end(), orders.begin(), orders.end());
  orders_ready_.notify_one();
}

void Committer::order_indexes() {
  while (auto order = log_.take_index_order(false)) {
    const std::lock_guard lock(orders_mutex_);
    index_orders_.push_back(std::move(*order));
    orders_ready_.notify_one();
  }
}

/// With much mail it changes often, and its sync delays a commit: once in a while is enough.
void Committer::order_list(bool now) {
  const SteadyTime present = clock_.steady_now();
  if (!now && listed_at_ && present - *listed_at_ < kLookEvery) return;
  auto order = log_.take_list_order();
  if (!order) return;
  listed_at_ = present;
  const std::lock_guard lock(orders_mutex_);
  if (list_order_) {
    order->removals.insert(order->removals.end(), list_order_->removals.begin(),
                           list_order_->removals.end());
  }
  list_order_ = std::move(order);
  orders_ready_.notify_one();
}

/// So that the next start has nothing to scan.
void Committer::seal_the_last() {
  log_.seal_active();
  order_list(true);
  while (auto order = log_.take_index_order(true)) (void)write_index(disk_, *order, true);
}

void Committer::answer() {
  auto& done = log_.done();
  std::vector<std::pair<net::Executor, Resume>> shards;
  for (WaitingRequest* request : done) {
    if (request->error) {
      failures_.add();
    } else if (request->kind == Request::Kind::message) {
      messages_.add();
    }
    auto shard = std::find_if(shards.begin(), shards.end(),
                              [&](const auto& s) { return s.first == request->executor; });
    if (shard == shards.end()) {
      shards.emplace_back(request->executor, Resume{});
      shard = shards.end() - 1;
    }
    // From here on the request may be gone: its frame runs on the shard.
    shard->second.waiters.push_back(std::move(request->waiter));
  }
  done.clear();
  for (auto& [executor, resume] : shards) boost::asio::post(executor, std::move(resume));
}

bool Committer::look_at_disk() {
  const SteadyTime now = clock_.steady_now();
  const bool allocated = segments_seen_ != log_.segments_live() + log_.segments_spare();
  if (looked_at_ != SteadyTime{} && now - looked_at_ < kLookEvery && !allocated) return false;
  segments_seen_ = log_.segments_live() + log_.segments_spare();
  const auto free = disk_.free_octets(options_.directory);
  if (free) {
    free_octets_.store(*free, std::memory_order_relaxed);
    folder_.succeeded();
  } else {
    folder_.failed(now, free.error().message);
  }
  // What is in memory of messages that are still coming in may have to go to the disk too.
  const auto arriving = std::max<std::int64_t>(0, arriving_.load(std::memory_order_relaxed));
  // Without a segment to come the rest of the one in use is kept for the ends of recipients.
  const bool segment_to_come =
      log_.segments_spare() > 0 || (free && *free >= options_.segment_octets);
  const bool room = free && segment_to_come &&
                    *free >= options_.minimum_free_octets + static_cast<std::uint64_t>(arriving);
  room_.store(room, std::memory_order_relaxed);
  if (looked_at_ != SteadyTime{} && now - looked_at_ < kLookEvery) return false;
  looked_at_ = now;
  log_.look_at_places();
  log_.try_again();
  look_for_trouble();
  const std::lock_guard lock(orders_mutex_);
  if (list_left_) log_.keep_for_later(*std::exchange(list_left_, {}));
  return true;
}

void Committer::note_outcome() {
  const WriteOutcome outcome = log_.take_outcome();
  if (outcome.failed) writing_.failed(clock_.steady_now(), *outcome.failed);
  // A full disk is told by its free space; what else keeps octets out is not seen there.
  if (outcome.no_room && has_room()) writing_.failed(clock_.steady_now(), *outcome.no_room);
  if (outcome.succeeded) writing_.succeeded();
}

/// What failed last is tried again, so that a gateway without mail notices too when it has passed.
void Committer::look_for_trouble() {
  if (writing_.any() && !anybody_waits()) log_.probe_writing();
  if (!log_.take_failed_read() && !reading_.any()) return;
  const auto read = log_.probe_reading();
  if (read) {
    reading_.succeeded();
  } else {
    reading_.failed(clock_.steady_now(), read.error().message);
  }
}

std::string Committer::failing() const {
  const SteadyTime now = clock_.steady_now();
  if (folder_.any()) return "the folder is not there: " + folder_.why();
  if (writing_.lasting(now)) return "nothing can be written: " + writing_.why();
  if (reading_.lasting(now)) return "nothing can be read: " + reading_.why();
  return {};
}

void Committer::refuse_the_rest() {
  const std::lock_guard lock(close_mutex_);
  std::vector<Request*> rest;
  stack_.take(rest);
  for (Request* request : rest) {
    if (!request->waits()) {
      delete request;
      continue;
    }
    auto* waiting = static_cast<WaitingRequest*>(request);
    waiting->error = Error{ErrorKind::cancelled, "the spool is closed: waypost is shutting down"};
    log_.done().push_back(waiting);
  }
  answer();
}

void Committer::close() {
  if (closing_.exchange(true)) return;
  wake();
  if (!options_.own_threads) run();
  if (thread_.joinable()) thread_.join();
  {
    const std::lock_guard lock(orders_mutex_);
    orders_ready_.notify_all();
  }
  if (worker_.joinable()) worker_.join();
  while (do_ordered()) {  // indexes only, by now
  }
  refuse_the_rest();
}

void Committer::work() {
  while (true) {
    {
      std::unique_lock lock(orders_mutex_);
      orders_ready_.wait(lock, [this] {
        return closing_.load() || !orders_.empty() || list_order_ || !index_orders_.empty();
      });
    }
    if (!do_ordered() && closing_.load()) return;
  }
}

void Committer::make_spare(std::uint32_t number) {
  auto answer = std::make_unique<SpareRequest>();
  answer->number = number;
  const std::uint64_t octets =
      std::max<std::uint64_t>(64 * 1024, round_up(options_.segment_octets, kPage));
  std::unique_ptr<File> file;
  const auto free = disk_.free_octets(options_.directory);
  const bool room = free && *free >= options_.minimum_free_octets + octets;
  if (room) {
    if (auto opened = disk_.open(log_.path(number), true)) file = std::move(*opened);
  }
  bool made = file && file->preallocate(octets) && fill_with_zeros(*file, octets);
  made = made && file->sync_data() && disk_.sync_directory(options_.directory);
  if (made) {
    answer->file = std::move(file);
  } else if (file) {
    file.reset();
    (void)disk_.remove(log_.path(number));
  }
  submit(answer.release());
}

/// Filled once with zeros: overwriting later needs no metadata in the sync. In small pieces, each
/// on the disk before the next: a commit then waits behind one of them, not behind a whole segment.
bool Committer::fill_with_zeros(File& file, std::uint64_t octets) {
  std::string zeros(kFillPiece, '\0');
  for (std::uint64_t at = 0; at < octets && !closing_.load(); at += zeros.size()) {
    const iovec piece{zeros.data(), std::min<std::uint64_t>(zeros.size(), octets - at)};
    if (!file.write_at(at, {&piece, 1})) return false;
    file.write_back(at, piece.iov_len);
    // Needed soon: no time to be polite. Without threads there is nobody to be polite to.
    if (log_.segments_spare() == 0 || !options_.own_threads) continue;
    std::unique_lock lock(orders_mutex_);
    orders_ready_.wait_for(lock, kFillPause, [this] { return closing_.load(); });
  }
  return true;
}

}  // namespace waypost::spool
