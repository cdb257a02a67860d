// The whole gateway, built from a configuration and wired together.
//
// Gateway: one per process; all its functions on the main thread. It owns the spool, the shards,
// the SMTP server and the admin API, and knows the order in which they start and stop. It holds no
// logic that a room could hold. Life: start() -> (reload(), actions)* -> stop_accepting() ->
// finished()? or cancel() -> close().
#pragma once

#include "waypost/admin/server.h"
#include "waypost/base/durable.h"
#include "waypost/config/config.h"
#include "waypost/inbound/server.h"
#include "waypost/routing/directory_watch.h"
#include "waypost/routing/table_facts.h"

#include "app/gateway_shard.h"

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

namespace waypost::app {

/// What a reload did, or why it did nothing.
struct ReloadReport {
  bool applied = false;
  std::string summary;                // one line
  std::vector<std::string> problems;  // file:line:column: ...
};

class Gateway {
 public:
  /// Everything up to listening and delivering. An Error names the part and what to do. A routing
  /// table that can't be loaded does not keep the gateway from starting: own-domain addresses then
  /// get 451 4.3.0 and /readyz is red.
  static Result<std::unique_ptr<Gateway>> start(config::Config config,
                                                boost::asio::io_context& main_io);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// Reads the configuration file and its tables again, all or nothing; the table on a thread of
  /// its own. `done` is called on the main thread. Reloads that come meanwhile wait their turn.
  void reload(bool confirm_shrink, std::function<void(const ReloadReport&)> done);
  /// Puts scheduled changes of waves into use that have become due since the last call.
  void apply_due_waves();
  /// Looks whether a directory could not be read for too long.
  void judge_staleness();
  /// Phase one of the shutdown: no new connections and attempts; open transactions and attempts end
  /// by themselves.
  void stop_accepting();
  bool finished() const;
  /// Phase two: everything that still runs is cut.
  void cancel();
  /// Syncs and closes the spool, ends the threads. False if a thread did not end in time: the
  /// process must then exit without unwinding (nothing acknowledged is lost by that).
  bool close();

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
  void load_first_table();
  Result<> make_shards();
  void restore_queues();
  Result<> open_doors();
  std::vector<admin::Action> actions();
  admin::Answer health();
  admin::Answer ready();
  admin::Answer status();
  // gateway_explain.cc
  void explain(std::string_view body, std::function<void(admin::Answer)> done);
  boost::json::object health_of(const std::string& next_hop);
  // gateway_table.cc
  /// A table that was loaded beside the one in use.
  struct LoadedTable {
    std::shared_ptr<const routing::Router> router;  // null: `trouble`
    std::string trouble;
    std::vector<routing::Problem> problems;
    routing::TableDiff diff;
    routing::TableSize size;
  };
  void load_table(const routing::Options& options, std::size_t names,
                  std::function<void(LoadedTable)> done);
  std::string suspicion_about(const LoadedTable& loaded, const routing::Options& options);
  void use_table(std::shared_ptr<const routing::Router> router, const routing::TableSize& size);
  void read_table_size();
  void add_table_actions(std::vector<admin::Action>& list);
  admin::Answer table_stats();
  admin::Answer table_who(std::string_view body);
  admin::Answer table_entries(std::string_view body);
  void table_diff(std::string_view body, std::function<void(admin::Answer)> done);
  // gateway_reload.cc
  struct WaitingReload {
    bool confirm_shrink = false;
    std::function<void(const ReloadReport&)> done;
    std::string directory, what;  // set: only the table, because this directory has changed
  };
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
  void refresh_table(const std::string& directory, const std::string& what);
  void add_directory_actions(std::vector<admin::Action>& list);
  admin::Answer list_directories();
  admin::Answer sync_directory(const admin::Call& call);
  // gateway_waves.cc
  void add_wave_actions(std::vector<admin::Action>& list);
  const std::map<std::string, std::uint64_t>& people_of_waves();
  std::string unknown_wave(const std::string& name);
  std::string strangers_to_wave(const routing::WaveCommand& command) const;
  static Result<routing::WaveCommand> wave_command_of(const boost::json::object& request);
  std::string note_wave_command(const routing::WaveCommand& command);
  admin::Answer list_waves();
  admin::Answer show_wave(std::string_view body);
  admin::Answer wave_members(std::string_view body);
  std::variant<routing::WaveCommand, admin::Answer> checked_wave_command(const admin::Call& call);
  admin::Answer plan_wave(const admin::Call& call);
  admin::Answer command_wave(const admin::Call& call);
  // gateway_queue.cc
  void add_queue_actions(std::vector<admin::Action>& list);
  admin::Answer list_queue(std::string_view body);
  admin::Answer export_queue(const admin::Call& call);
  admin::Answer control_queue(const admin::Call& call);
  std::optional<admin::Answer> let_stand(const queue::Command& command);
  void track_command(std::string_view by, std::string_view action, const queue::Selector& selector,
                     const std::string& reason);
  admin::Answer content_of(std::string_view body);
  void refresh_gauges();
  /// False, and a line in the log, if its disk takes too long.
  bool flush_tracking();
  bool is_self(const net::Endpoint& remote) const;
  void watch_spool();

  config::Config config_;
  boost::asio::io_context& main_io_;
  ops::Metrics metrics_;
  MemoryBudget budget_;
  std::unique_ptr<ops::TrackingLog> tracking_;
  std::unique_ptr<spool::Spool> spool_;
  std::string spool_trouble_;                // why no mail is taken, as it was logged last
  std::unique_ptr<queue::Journal> journal_;  // what operators said of the queue
  QueueId highest_stored_id_;  // new ids start above it, should the wall clock have gone back
  routing::RouterHolder router_;
  bool table_loaded_ = false;
  std::string table_trouble_;
  DurableFile table_size_file_{Disk::system(), config_.spool.directory + "/table-size.json", 0640};
  std::optional<routing::TableSize> table_size_;  // of the last good table, also of the run before
  std::unique_ptr<routing::WaveJournal> wave_journal_;
  WallTime waves_seen_at_{};                              // up to here scheduled changes are in use
  std::map<std::string, std::uint64_t> people_of_waves_;  // of this table:
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
  bool stopping_ = false;
};

}  // namespace waypost::app
