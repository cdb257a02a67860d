// The whole gateway, built from a configuration and wired together.
//
// Gateway: one per process; all its functions on the main thread. It owns the spool, the shards,
// the SMTP server and the admin API, and knows the order in which they start and stop. It holds no
// logic that a room could hold. Life: start() -> (reload(), actions)* -> stop_accepting() ->
// finished()? or cancel() -> close().
#pragma once

#include "waypost/admin/server.h"
#include "waypost/config/config.h"
#include "waypost/inbound/server.h"

#include "app/gateway_shard.h"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

  /// Reads the configuration file and its tables again. All or nothing.
  ReloadReport reload();
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
  admin::Answer explain(std::string_view body);
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
  bool is_self(const net::Endpoint& remote) const;

  config::Config config_;
  boost::asio::io_context& main_io_;
  ops::Metrics metrics_;
  MemoryBudget budget_;
  std::unique_ptr<ops::TrackingLog> tracking_;
  std::unique_ptr<spool::Spool> spool_;
  std::unique_ptr<queue::Journal> journal_;  // what operators said of the queue
  QueueId highest_stored_id_;  // new ids start above it, should the wall clock have gone back
  routing::RouterHolder router_;
  bool table_loaded_ = false;
  std::string table_trouble_;
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
