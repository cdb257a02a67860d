// Reload: everything that can fail comes first, then everything is put into use.
#include "waypost/ops/log.h"

#include "app/gateway.h"

namespace waypost::app {
namespace {

ReloadReport refuse(ReloadReport report, std::string why) {
  report.summary = "nothing changed: " + std::move(why);
  ops::log().error("reload: {}", report.summary);
  for (const auto& problem : report.problems) ops::log().error("reload: {}", problem);
  return report;
}

}  // namespace

void Gateway::reload(bool confirm_shrink, std::function<void(const ReloadReport&)> done) {
  if (loading_) return waiting_reloads_.push_back({confirm_shrink, std::move(done), {}, {}});
  ReloadReport report;
  auto loaded = std::make_shared<config::Loaded>(config::load_file(config_.file));
  for (const auto& diagnostic : loaded->diagnostics)
    report.problems.push_back(diagnostic.to_string());
  if (!loaded->usable()) return done(refuse(std::move(report), "the configuration has errors"));
  loading_ = true;
  load_table(loaded->config.routing, 0,
             [this, loaded, confirm_shrink, report, done = std::move(done)](LoadedTable table) {
               loading_ = false;
               done(finish_reload(*loaded, table, confirm_shrink, report));
               next_reload();
             });
}

void Gateway::next_reload() {
  if (loading_ || waiting_reloads_.empty()) return;
  WaitingReload next = std::move(waiting_reloads_.front());
  waiting_reloads_.pop_front();
  if (!next.directory.empty()) return refresh_table(next.directory, next.what);
  reload(next.confirm_shrink, std::move(next.done));
}

ReloadReport Gateway::finish_reload(config::Loaded& loaded, LoadedTable& table, bool confirm_shrink,
                                    ReloadReport report) {
  for (const auto& problem : table.problems) report.problems.push_back(problem.to_string());
  if (stopping_) return refuse(std::move(report), "waypost is stopping");
  if (!table.router) return refuse(std::move(report), table.trouble);
  if (const auto suspicion = suspicion_about(table, loaded.config.routing);
      !suspicion.empty() && !confirm_shrink)
    return refuse(std::move(report), suspicion);

  // Some of it greets and some signs what was queued: half a new name would be worse than the old.
  const auto for_later = config::needs_restart(config_, loaded.config);
  loaded.config.inbound.own_name = config_.inbound.own_name;

  std::vector<Deliverers> deliverers;
  for (auto& shard : shards_) {
    auto made = shard->make_deliverers(loaded.config.next_hops);
    if (!made) return refuse(std::move(report), made.error().message);
    deliverers.push_back(std::move(*made));
  }
  auto tracking = ops::TrackingLog::open_file(loaded.config.tracking);
  if (!tracking) return refuse(std::move(report), tracking.error().message);
  auto log_file = ops::open_log(loaded.config.log);
  if (!log_file) return refuse(std::move(report), log_file.error().message);
  if (auto reloaded = server_->reload(loaded.config.inbound); !reloaded)
    return refuse(std::move(report), reloaded.error().message);

  report.summary = "routing table: " + table.diff.summary() + ", " +
                   std::to_string(table.size.entries) + " entries";
  use_table(table.router, table.size);
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->replace_options(loaded.config.queue);
    shards_[i]->replace_deliverers(std::move(deliverers[i]));
  }
  ops::use_log(loaded.config.log, std::move(*log_file));
  tracking_->use(std::move(*tracking));
  config_.inbound = loaded.config.inbound;
  config_.routing = loaded.config.routing;
  config_.next_hops = loaded.config.next_hops;
  config_.directories = loaded.config.directories;
  config_.queue = loaded.config.queue;
  config_.log = loaded.config.log;
  config_.tracking = loaded.config.tracking;
  watch_directories();
  for (const auto& key : for_later)
    report.problems.push_back(config_.file + ": warning: needs a restart: " + key);
  report.applied = true;
  ops::log().info("reload: {}", report.summary);
  for (const auto& problem : report.problems) ops::log().warn("reload: {}", problem);
  return report;
}

}  // namespace waypost::app
