// The sender as a whole: threads, connections, what they measured.
//
// Life: make -> start -> (join | stop, join) -> results. Totals may be read all the time.
#pragma once

#include "waypost/base/result.h"

#include "load/connection.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace waypost::load {

class Sender {
 public:
  /// Resolves targets, loads table and contents, opens the log. Nothing is sent.
  static Result<std::unique_ptr<Sender>> make(SendOptions options);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  void start();
  /// Messages on their way are finished; no further ones.
  void stop() { schedule_.stop(); }
  bool running() const { return running_.load(std::memory_order_acquire) > 0; }
  void join();
  const Totals& totals() const { return totals_; }
  const SendOptions& options() const { return options_; }
  const RecipientMix& mix() const { return *mix_; }
  const Contents& contents() const { return *contents_; }
  /// After join().
  const Statistics& results() const { return results_; }
  double seconds() const { return seconds_; }
  double cpu_seconds() const { return cpu_seconds_; }  // of the sender's threads
  Result<> log_health() const;

 private:
  explicit Sender(SendOptions options);
  Result<> resolve();
  struct Worker;
  void run_worker(Worker& worker);

  SendOptions options_;
  Schedule schedule_;
  Totals totals_;
  std::unique_ptr<Contents> contents_;
  std::unique_ptr<RecipientMix> mix_;
  std::unique_ptr<JournalWriter> journal_;
  std::vector<SendContext::Target> targets_;
  std::shared_ptr<const net::TlsContext> tls_;
  std::unique_ptr<SendContext> context_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<unsigned> running_{0};
  Statistics results_;
  double seconds_ = 0, cpu_seconds_ = 0;
};

}  // namespace waypost::load
