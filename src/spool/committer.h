// The thread that owns the log: takes what came in, lets the log write it, wakes who waited.
//
// submit() from any thread; a waiting request is answered with one post per executor and batch. A
// second, slower thread makes spare segments and writes indexes of sealed ones, so that no commit
// waits for either.
//
// With Options::own_threads off there is no thread: who owns the spool calls step(), and everything
// happens there, in the same order as ever.
#pragma once

#include "spool/disk_trouble.h"
#include "spool/log.h"

#include <condition_variable>
#include <limits>
#include <thread>

namespace waypost::spool {

class Committer {
 public:
  Committer(const Options& options, Disk& disk, const Clock& clock, Log& log,
            ops::Metrics& metrics);
  ~Committer() { close(); }
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  void submit(Request* request);
  /// See Spool::step().
  SteadyTime step();
  void close();
  /// Any thread. See Spool::stuck().
  bool stuck() const;
  bool has_room() const { return room_.load(std::memory_order_relaxed); }
  /// Any thread. Why nothing could be written, or read, for a while; empty: it can.
  std::string failing() const;
  /// Any thread: content of messages that are not committed yet came, or went.
  void count_arriving(std::int64_t octets) {
    arriving_.fetch_add(octets, std::memory_order_relaxed);
  }
  std::uint64_t free_octets() const { return free_octets_.load(std::memory_order_relaxed); }

 private:
  enum State : std::uint32_t { busy, asleep, dozing };  // dozing: only a waiting request wakes it
  /// How to wait for the next turn; `busy`: not at all.
  struct Pause {
    State how = busy;
    std::chrono::nanoseconds at_most{};
  };
  void run();
  /// Does what is due now; nullopt: closed, and nothing is left to do.
  std::optional<Pause> turn();
  std::optional<Pause> take_turn();
  bool closed_for_good();
  void wait(State how, std::chrono::nanoseconds at_most);
  void wake();
  void write_what_is_due();
  void order_spares();
  bool anybody_waits() const;
  void answer();
  /// True if it was time to look.
  bool look_at_disk();
  void note_outcome();
  void look_for_trouble();
  void order_list(bool now);
  void refuse_the_rest();
  void order_indexes();
  void seal_the_last();
  void work();
  /// The next spare or index; false: nothing is ordered.
  bool do_ordered();
  void make_spare(std::uint32_t number);
  bool fill_with_zeros(File& file, std::uint64_t octets);

  Options options_;
  Disk& disk_;
  const Clock& clock_;
  Log& log_;
  ops::Counter& batches_;
  ops::Counter& messages_;
  ops::Counter& failures_;
  RequestStack stack_;
  std::vector<Request*> taken_;
  std::deque<Request*> queue_;
  alignas(64) std::atomic<std::uint32_t> state_{busy};
  std::atomic<std::uint32_t> word_{0};
  std::atomic<bool> closing_{false}, finished_{false}, room_{true};
  std::atomic<std::uint64_t> free_octets_{0};
  std::atomic<std::int64_t> arriving_{0};
  DiskTrouble writing_, reading_, folder_;
  std::atomic<std::int64_t> turn_began_ns_{0};  // 0: no turn runs
  SteadyTime looked_at_{};
  std::uint32_t segments_seen_ = 0;  // when the free space was looked at
  std::optional<std::chrono::steady_clock::time_point> settle_by_;
  std::size_t left_before_ = std::numeric_limits<std::size_t>::max();  // settlements, at close
  unsigned fruitless_ = 0;
  std::mutex close_mutex_;
  std::mutex orders_mutex_;
  std::condition_variable orders_ready_;
  std::deque<std::uint32_t> orders_;
  std::deque<IndexOrder> index_orders_;
  std::optional<SteadyTime> listed_at_;
  std::optional<ListOrder> list_order_;
  std::optional<ListOrder> list_left_;  // could not be written
  std::thread worker_;
  std::thread thread_;
};

}  // namespace waypost::spool
