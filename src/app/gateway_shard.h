// One shard of the gateway: its thread and everything that lives on it.
//
// Owned by Gateway. Built and destroyed on the main thread, later asked by it and the control
// worker; between start() and join() its contents belong to its own thread, except what is atomic
// here.
#pragma once

#include "waypost/config/config.h"
#include "waypost/net/resolver.h"
#include "waypost/net/shard.h"
#include "waypost/outbound/deliverer.h"
#include "waypost/queue/queue.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace waypost::app {

/// What all shards share; outlives them.
struct SharedParts {
  const Clock& clock;
  spool::Spool& spool;
  routing::RouterHolder& router;
  ops::Metrics& metrics;
  ops::TrackingLog& tracking;
  std::string own_name;
  std::function<bool(const net::Endpoint&)> is_self;
  const queue::ControlState* remembered = nullptr;
  /// By next hop name, kept over reloads; main thread.
  std::map<std::string, std::shared_ptr<outbound::Pace>> paces = {};
  std::shared_ptr<outbound::Told> told = std::make_shared<outbound::Told>();
  std::shared_ptr<queue::News> news = std::make_shared<queue::News>();
};

/// What has become of a wave's queued recipients, summed up over the shards as they go; any thread.
struct WaveMoves {
  explicit WaveMoves(std::size_t shards) : shards_left(shards) {}
  std::atomic<std::uint64_t> let_go{0}, in_delivery{0}, nowhere{0}, rerouted{0}, suspended{0},
      held{0};
  std::atomic<std::size_t> shards_left;
  std::promise<void> all_counted;

  void add(const queue::AskedAgain& some) {
    let_go += some.let_go;
    in_delivery += some.in_delivery;
    nowhere += some.nowhere;
    rerouted += some.rerouted;
    suspended += some.suspended;
    held += some.held;
    if (some.next == 0 && --shards_left == 0) all_counted.set_value();
  }
};

using Deliverers = std::map<std::string, std::unique_ptr<outbound::Deliverer>>;

class GatewayShard {
 public:
  /// `id_floor`: the highest queue id that recovery found.
  static Result<std::unique_ptr<GatewayShard>> make(unsigned index, const config::Config& config,
                                                    SharedParts& parts, QueueId id_floor);
  ~GatewayShard();
  GatewayShard(const GatewayShard&) = delete;
  GatewayShard& operator=(const GatewayShard&) = delete;

  net::Shard& shard() { return shard_; }
  QueueIdSource& ids() { return ids_; }
  queue::Queue& queue() { return *queue_; }

  void start();
  /// Makes the deliverers of a new configuration without using them yet; main thread.
  Result<Deliverers> make_deliverers(const std::vector<outbound::NextHopOptions>& next_hops);
  /// Puts them into use on the shard's thread; what was there finishes its attempts first.
  void replace_deliverers(Deliverers deliverers);
  /// Another table: what waits is asked again.
  void routes_changed();
  /// A wave has changed: what is queued is asked again, and what waits of this wave is tried now.
  /// `moves`: null, or told what has come of it.
  void apply_wave(const std::string& wave, std::shared_ptr<WaveMoves> moves);
  /// The MX hosts of a domain as this shard sees them; `done` is called on its thread.
  void ask_mx(const std::string& domain, std::chrono::milliseconds patience,
              std::function<void(Result<net::MxAnswer>)> done);
  /// For the queue, on the shard's thread.
  void replace_options(queue::Options options);
  /// Phase one for delivery: no new attempts. queue_finished() turns true when the running ones
  /// have ended.
  void stop_queue();
  bool queue_finished() const { return queue_finished_.load(std::memory_order_acquire); }
  /// Phase two: ends running attempts now.
  void cancel_deliveries();
  /// Lets the thread end when nothing is left to do.
  void release();
  /// False if the thread has not ended by then; it is left alone.
  bool join_by(SteadyTime deadline);

  /// Runs `ask(queue)` on the shard's thread; nullopt if it does not begin within `patience`: then
  /// it never will. (What has begun is waited for as long again; a step of the queue takes less.)
  template <class Answer, class Ask>
  std::optional<Answer> ask_queue(std::chrono::milliseconds patience, Ask ask) {
    struct Question {
      std::atomic<bool> taken{false};  // by the shard, or back by who asked
      std::promise<Answer> answer;
    };
    auto question = std::make_shared<Question>();
    auto coming = question->answer.get_future();
    boost::asio::post(shard_.io, [this, question, ask = std::move(ask)] {
      if (!question->taken.exchange(true)) question->answer.set_value(ask(*queue_));
    });
    if (coming.wait_for(patience) == std::future_status::ready) return coming.get();
    if (!question->taken.exchange(true)) return std::nullopt;
    if (coming.wait_for(patience) != std::future_status::ready) return std::nullopt;
    return coming.get();
  }
  /// Runs `tell(queue)` on the shard's thread, however late. The future: when it has.
  std::future<void> tell_queue(std::function<void(queue::Queue&)> tell);
  /// Asks the thread to show that it is alive; last_beat() tells when it last did.
  void request_beat();
  SteadyTime last_beat() const;

 private:
  GatewayShard(unsigned index, SharedParts& parts, QueueId id_floor);
  net::Task<void> run_queue();
  void ask_slice(const std::string& wave, const std::shared_ptr<WaveMoves>& moves,
                 std::uint32_t from);
  net::Task<void> answer_mx(std::string domain, SteadyTime deadline,
                            std::function<void(Result<net::MxAnswer>)> done);

  SharedParts& parts_;
  net::Shard shard_;
  QueueIdSource ids_;
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<net::Connector> connector_;
  Deliverers deliverers_;
  std::vector<Deliverers> retired_;
  std::map<std::string, outbound::Deliverer*> by_name_;
  std::unique_ptr<queue::Queue> queue_;
  std::optional<boost::asio::executor_work_guard<net::Executor>> work_;
  std::thread thread_;
  std::atomic<bool> queue_finished_{false};
  std::binary_semaphore thread_ended_{0};
  std::atomic<std::int64_t> last_beat_ns_{0};
};

}  // namespace waypost::app
