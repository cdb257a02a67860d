// One life of the gateway: what app wires together on one shard, from recovery to the end, over the
// simulated clock, network and disk. No thread, no socket, no file.
#pragma once

#include "waypost/base/durable.h"
#include "waypost/outbound/deliverer.h"
#include "waypost/queue/queue.h"

#include "base/fault_disk.h"
#include "inbound/session.h"
#include "sim/network.h"
#include "sim/receiver.h"
#include "sim/watched_spool.h"

#include <memory>
#include <vector>

namespace waypost::sim {

/// What stays the same from one life to the next.
struct Settings {
  spool::Options spool;
  queue::Options queue;
  std::vector<outbound::NextHopOptions> next_hops;
  std::size_t memory = 1024 * 1024;
  static Settings drawn(Chance& chance, std::uint64_t seed);
};

/// Names become addresses, or trouble.
class SimulatedDns final : public net::Resolver {
 public:
  SimulatedDns(Stage& stage, net::Timers& timers) : stage_(stage), timers_(timers) {}
  net::Task<Result<net::MxAnswer>> mx(std::string domain, SteadyTime deadline) override;
  net::Task<Result<std::vector<std::string>>> addresses(std::string host,
                                                        SteadyTime deadline) override;
  void flush() override {}

 private:
  net::Task<Result<>> wait(SteadyTime deadline);
  Stage& stage_;
  net::Timers& timers_;
};

/// Connections to next hops. The peers outlive the gateway.
class SimulatedConnector final : public net::Connector {
 public:
  using Peers = std::vector<std::unique_ptr<Receiver>>;
  SimulatedConnector(Stage& stage, Ledger& ledger, net::Timers& timers, Peers& peers,
                     std::vector<std::shared_ptr<Link>>& links)
      : stage_(stage), ledger_(ledger), timers_(timers), peers_(peers), links_(links) {}
  net::Task<Result<std::unique_ptr<net::Stream>>> connect(net::Endpoint to, std::string source,
                                                          SteadyTime deadline) override;

 private:
  Stage& stage_;
  Ledger& ledger_;
  net::Timers& timers_;
  Peers& peers_;
  std::vector<std::shared_ptr<Link>>& links_;
};

class Gateway {
 public:
  /// Recovers; an Error: it would not start.
  static Result<std::unique_ptr<Gateway>> start(Stage& stage, Ledger& ledger, FaultDisk& disk,
                                                const Settings& settings, const Routes& routes,
                                                SimulatedConnector::Peers& peers);
  /// REQUIRES: crash() or stop() has come to its end.
  ~Gateway() = default;

  /// Runs one handler that can run now; false: there is none.
  bool run_one();
  /// When something is due: a timer, or the spool.
  SteadyTime next_due() const;
  /// Does what is due; the clock must have come there.
  void run_due();

  void accept(const std::shared_ptr<Link>& link);
  void reload(const Routes& routes);
  /// As app's gateway carries out a wave command.
  enum class Said : std::uint8_t { done, needless, refused, failed };
  Said say_of_wave(const WaveWord& word);
  /// The operator takes what can be read of the waves' journal for all that was said.
  bool accept_waves();
  bool waves_known() const { return wave_journal_->damage().empty(); }
  /// As app does each second; here when that could bring something.
  void look_at_clock();
  void clock_was_set();
  /// True once after mail has been asked again because a wave has changed by itself.
  bool wave_has_turned() { return std::exchange(wave_turned_, false); }
  void flush() { queue_->flush(""); }
  /// As app's gateway carries out a command: what must survive goes into the journal.
  void say(const queue::Command& command);
  /// Lets the ledger see where everything waits.
  void inspect();
  bool journal_usable() const { return journal_->usable().has_value(); }
  /// The power is gone: nothing that happens from now on is seen by anybody.
  void crash();
  /// As at SIGTERM: phase one. tick it until stopped(); `finish` then makes everything durable.
  void stop();
  bool stopped() const { return queue_ended_ && door_->sessions.empty(); }
  void cancel();
  void finish();
  bool read_only() const { return spool_->read_only(); }
  queue::QueueStats stats() const { return queue_->stats(); }
  std::uint64_t stored_messages() const { return spool_->health().messages; }
  std::size_t memory_used() const { return budget_.used(); }

 private:
  Gateway(Stage& stage, Ledger& ledger, const Settings& settings, SimulatedConnector::Peers& peers);
  using Deliverers = std::map<std::string, std::unique_ptr<outbound::Deliverer>>;
  Deliverers make_deliverers();
  void begin(std::vector<spool::StoredMessage> found, QueueId floor);
  void stand(const queue::Command& command);
  void open_waves(FaultDisk& disk, QueueId highest);
  std::shared_ptr<const routing::Waves> waves_now() const;
  void use_table(const Routes& routes);
  void look_at_clock_later();
  void ask_wave(const std::string& wave, std::uint32_t from);
  std::string strangers_to(const routing::WaveCommand& command) const;
  void name_all_addresses(routing::WaveCommand& command) const;
  void note_idle();
  net::Task<void> run_queue();
  void spool_has_work();
  void run_until_quiet();
  /// In order of birth: the order of addresses differs from run to run.
  std::vector<inbound::Session*> sessions() const;

  Stage& stage_;
  Ledger& ledger_;
  Settings settings_;
  net::Shard shard_;
  MemoryBudget budget_;
  WatchedTracking tracking_;
  routing::RouterHolder router_;
  SimulatedDns dns_;
  std::vector<std::shared_ptr<Link>> links_;
  SimulatedConnector connector_;
  std::unique_ptr<WatchedSpool> spool_;
  std::unique_ptr<queue::Journal> journal_;
  std::unique_ptr<routing::WaveJournal> wave_journal_;
  std::unique_ptr<DurableFile> table_size_;
  std::vector<routing::WaveOptions> configured_waves_;
  WallTime waves_seen_at_{};
  SteadyTime look_due_ = SteadyTime::max();
  bool wave_turned_ = false;
  std::unique_ptr<QueueIdSource> ids_;
  Deliverers deliverers_;
  std::vector<Deliverers> retired_;
  std::map<std::string, outbound::Deliverer*> by_name_;
  std::unique_ptr<queue::Queue> queue_;
  std::unique_ptr<inbound::Context> inbound_;
  std::shared_ptr<const inbound::Settings> inbound_settings_;
  inbound::ClientCounts clients_;
  std::unique_ptr<inbound::ShardDoor> door_;
  std::vector<inbound::Session*> born_;
  SteadyTime spool_due_{};
  unsigned spool_spins_ = 0;
  bool queue_ended_ = false;
};

}  // namespace waypost::sim
