// The whole gateway, built from a configuration and wired together.
//
// Gateway: one per process; its public functions on the main thread, which they never block. It
// owns the spool, the shards, the SMTP server and the admin API, and knows the order in which they
// start and stop. It holds no logic that a room could hold. Life: start() -> (reload(), actions)*
// -> stop_accepting() -> finished()? or cancel() -> close().
//
// From start() on the table, waves, journals, directories and the configuration belong to the
// control worker's thread: everything private here runs there, but for health, readiness, numbers
// and status, which see what publish() has left for them.
#pragma once

#include "waypost/admin/server.h"
#include "waypost/base/durable.h"
#include "waypost/config/config.h"
#include "waypost/inbound/server.h"
#include "waypost/routing/directory_watch.h"
#include "waypost/routing/table_facts.h"
#include "waypost/routing/wave_facts.h"
#include "waypost/routing/wave_turns.h"

#include "app/control_worker.h"
#include "app/gateway_shard.h"
#include "app/queue_request.h"
#include "app/shard_survey.h"
#include "app/table_size_file.h"

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

namespace waypost::app {

/// What a reload did, or why it did nothing.
struct ReloadReport {
  struct Problem {
    bool error = false;
    std::string text;  // file:line:column: error: ...
  };
  bool applied = false;
  std::string summary;               // one line
  std::vector<std::string> changed;  // keys of the configuration
  std::vector<Problem> problems;
};

class Gateway {
 public:
  /// Everything up to listening and delivering. An Error names the part and what to do. A routing
  /// table that can't be loaded does not keep the gateway from starting: own-domain addresses then
  /// get 451 4.3.0 and /readyz is red. `before_mail` is called when the first client may come next.
  static Result<std::unique_ptr<Gateway>> start(config::Config config,
                                                boost::asio::io_context& main_io,
                                                const std::function<void()>& before_mail);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// Reads the configuration file and its tables again, all or nothing; the table on a thread of
  /// its own. `done` is called on the main thread. Reloads that come meanwhile wait their turn.
  void reload(bool confirm_shrink, std::function<void(const ReloadReport&)> done);
  /// Every few seconds: scheduled changes of waves that have become due are put into use, and
  /// directories that could not be read for too long are told.
  void look_at_the_clock();
  /// Phase one of the shutdown: no new connections and attempts; open transactions and attempts end
  /// by themselves.
  void stop_accepting();
  bool finished() const;
  /// Phase two: everything that still runs is cut.
  void cancel();
  /// How close() has ended: but for `whole` a thread is left, and the process must exit without
  /// unwinding (nothing acknowledged is lost by that). without_tracking: it is only the one that
  /// writes the tracking log, whose reader or disk does not take it.
  enum class End : std::uint8_t { whole, without_tracking, threads_left };
  /// Syncs and closes the spool, ends the threads.
  End close();

  /// True while every shard has answered lately; feeds the watchdog. REQUIRES: request_beats()
  /// every few seconds.
  bool alive() const;
  void request_beats();
  std::string status_line() const;
  /// Empty: mail is taken.
  std::string why_no_mail() const;

 private:
  Gateway(config::Config config, boost::asio::io_context& main_io);
  Result<> open_storage();
  /// What the main thread may see of what belongs to the control worker.
  struct Standing {
    bool table_loaded = false;
    std::string table_trouble;
    std::string wave_trouble;           // empty too: nobody of the table is of a wave
    std::vector<std::string> warnings;  // of directories
  };
  void publish();
  void apply_due_waves();
  void judge_staleness();
  void load_first_table();
  Result<> make_shards();
  void open_control_journal();
  std::string control_damage() const;
  void restore_queues();
  Result<> open_doors();
  std::vector<admin::Action> actions();
  // gateway_status.cc, on the main thread
  void metrics_answer(std::function<void(admin::Answer)> done);
  admin::Answer health();
  std::string not_ready() const;
  void ready(std::function<void(admin::Answer)> done);
  std::vector<std::string> warnings(const QueueSurvey& survey) const;
  void status(const admin::Call& call, std::function<void(admin::Answer)> done);
  boost::json::object status_json(const QueueSurvey& survey);
  void flush_tracking_then(std::function<void()> done);
  // gateway_explain.cc
  void explain(const admin::Call& call, std::function<void(admin::Answer)> done);
  void reload_for(const admin::Call& call, std::function<void(admin::Answer)> done);
  boost::json::object health_of(const std::string& next_hop);
  // gateway_table.cc
  /// A table that was loaded beside the one in use.
  struct LoadedTable {
    std::shared_ptr<const routing::Router> router;  // null: `trouble`
    std::string trouble;
    std::vector<routing::Problem> problems;
    routing::TableDiff diff;
    routing::TableLosses losses;  // against the one in use
    routing::TableSize size;
  };
  /// `excuse`: of the directory whose change is the reason.
  void load_table(const routing::Options& options, std::size_t names, routing::TableExcuse excuse,
                  std::function<void(LoadedTable)> done);
  std::string suspicion_about(const LoadedTable& loaded, const routing::Options& options);
  void use_table(std::shared_ptr<const routing::Router> router, const routing::TableSize& size);
  void find_table_size();
  void keep_table_size(const routing::TableSize& size);
  void tell_first_table(const LoadedTable& loaded);
  void add_table_actions(std::vector<admin::Action>& list);
  admin::Answer table_stats(const admin::Call& call);
  admin::Answer table_who(const admin::Call& call);
  admin::Answer table_entries(const admin::Call& call);
  void table_diff(const admin::Call& call, std::function<void(admin::Answer)> done);
  // gateway_reload.cc
  struct WaitingReload {
    bool confirm_shrink = false;
    std::function<void(const ReloadReport&)> done;
    std::string directory, what;  // set: only the table, because this directory has changed
  };
  void begin_reload(bool confirm_shrink, std::function<void(const ReloadReport&)> done);
  ReloadReport finish_reload(config::Loaded& loaded, LoadedTable& table, bool confirm_shrink,
                             ReloadReport report);
  void next_reload();
  // gateway_directories.cc
  struct DirectoryState {
    routing::DirectoryOutcome outcome;
    WallTime succeeded_at{};
  };
  void watch_directories();
  void note_directory(const routing::DirectoryOutcome& outcome);
  /// `confirmed`: an operator has agreed to what this directory takes away.
  void refresh_table(const std::string& directory, const std::string& what, bool confirmed);
  void add_directory_actions(std::vector<admin::Action>& list);
  admin::Answer list_directories(const admin::Call& call);
  admin::Answer sync_directory(const admin::Call& call);
  // gateway_waves.cc
  void add_wave_actions(std::vector<admin::Action>& list);
  const std::map<std::string, routing::WaveCount>& people_of_waves();
  std::shared_ptr<const routing::Waves> waves_for(const routing::Options& options) const;
  void open_wave_journal();
  admin::Answer accept_wave_journal(const admin::Call& call);
  void tell_wave_turn(const routing::WaveTurn& turn, WallTime now);
  void name_all_addresses(routing::WaveCommand& command) const;
  std::set<std::string> waves_touched(const routing::WaveCommand& command) const;
  boost::json::object clocks_json(WallTime held_from) const;
  void tell_outcome(const routing::Router& before, const routing::WaveCommand& command,
                    boost::json::object& answer) const;
  std::string unknown_wave(const std::string& name);
  std::string nobody_to_move(const routing::WaveCommand& command);
  std::string strangers_to_wave(const routing::WaveCommand& command) const;
  static routing::WaveCommand read_wave_command(admin::Fields& fields);
  boost::json::object apply_waves(const std::set<std::string>& waves);
  void note_wave_command(const routing::WaveCommand& command);
  admin::Answer list_waves(const admin::Call& call);
  admin::Answer show_wave(const admin::Call& call);
  admin::Answer wave_members(const admin::Call& call);
  std::variant<routing::WaveCommand, admin::Answer> checked_wave_command(admin::Fields& fields,
                                                                         const std::string& by);
  admin::Answer plan_wave(const admin::Call& call);
  admin::Answer command_wave(const admin::Call& call);
  // gateway_queue.cc
  void add_queue_actions(std::vector<admin::Action>& list);
  admin::Answer list_queue(QueueRequest request);
  admin::Answer export_queue(const admin::Call& call);
  admin::Answer control_queue(const admin::Call& call);
  std::string unknown_in(const queue::Selector& selector);
  std::optional<std::set<std::string>> next_hops_with_mail();
  std::vector<std::string> mail_left_behind(const config::Config& config);
  void tell_resting_reroutes();
  std::optional<admin::Answer> let_stand(const queue::Command& command);
  void track_command(std::string_view by, std::string_view action, const queue::Selector& selector,
                     const std::string& reason);
  admin::Answer content_of(const admin::Call& call);
  void refresh_gauges(const QueueSurvey& survey);
  /// False, and a line in the log, if its disk takes too long.
  bool flush_tracking();
  void tell_no_tracking(const std::string& why);
  bool is_self(const net::Endpoint& remote) const;
  void watch_spool();
  /// Empty: every end of a recipient is written, or will be in a moment.
  std::string unwritten_ends() const;

  config::Config config_;
  const spool::Options spool_options_{config_.spool};  // as opened; any thread
  boost::asio::io_context& main_io_;
  ops::Metrics metrics_;
  MemoryBudget budget_;
  std::unique_ptr<ops::TrackingLog> tracking_;
  std::string untracked_;  // why the default tracking log is not written; empty: it is, or need not
  std::unique_ptr<spool::Spool> spool_;
  SteadyTime ends_said_at_{};                // that ends of recipients can't be written; or never
  bool ends_are_told_ = false;               // and since then nothing else
  std::string spool_trouble_;                // why no mail is taken, as it was logged last
  std::unique_ptr<queue::Journal> journal_;  // what operators said of the queue
  QueueId highest_stored_id_;  // new ids start above it, should the wall clock have gone back
  routing::RouterHolder router_;
  bool table_loaded_ = false;
  std::string table_trouble_;
  DurableFile table_size_file_{Disk::system(), table_size_path(config_), 0640};
  KeptTableSize table_size_;          // of the last good table, also of the run before
  bool spool_knows_gateway_ = false;  // a gateway of this version has run on this spool before
  bool table_size_gone_ = false;      // there was one, and it could not be found at the start
  std::string table_unchecked_;       // why nobody could compare the table in use; empty: it was
  std::unique_ptr<routing::WaveJournal> wave_journal_;
  WallTime waves_seen_at_{};  // up to here scheduled changes are in use
  std::map<std::string, routing::WaveCount> people_of_waves_;  // of this table:
  const routing::Table* counted_table_ = nullptr;
  WallTime counted_at_{};
  std::unique_ptr<routing::DirectoryWatch> directory_watch_;
  std::map<std::string, DirectoryState> directory_states_;
  std::string stale_;  // why the table is out of date; empty: it is not
  std::thread loader_;
  bool loading_ = false;
  std::deque<WaitingReload> waiting_reloads_;
  std::unique_ptr<SharedParts> parts_;
  std::vector<std::unique_ptr<GatewayShard>> shards_;
  std::vector<net::Endpoint> own_endpoints_;  // fixed before the shards start
  std::vector<std::string> own_addresses_;    // of this machine's interfaces
  std::unique_ptr<inbound::Server> server_;
  std::unique_ptr<admin::Server> admin_;
  WallTime started_at_{};
  std::atomic<bool> stopping_{false};
  std::atomic<std::shared_ptr<const Standing>> standing_ = std::make_shared<const Standing>();
  std::atomic<bool> clock_is_looked_at_{false};
  std::unique_ptr<ControlWorker> control_;
};

}  // namespace waypost::app
