// Reload: everything that can fail comes first, then everything is put into use.
#include "waypost/ops/log.h"

#include "app/gateway.h"

namespace waypost::app {

ReloadReport Gateway::reload() {
  ReloadReport report;
  config::Loaded loaded = config::load_file(config_.file);
  for (const auto& diagnostic : loaded.diagnostics)
    report.problems.push_back(diagnostic.to_string());
  const auto refuse = [&report](std::string why) {
    report.summary = "nothing changed: " + std::move(why);
    ops::log().error("reload: {}", report.summary);
    for (const auto& problem : report.problems) ops::log().error("reload: {}", problem);
    return report;
  };
  if (!loaded.usable()) return refuse("the configuration has errors");
  // Some of it greets and some signs what was queued: half a new name would be worse than the old.
  const auto for_later = config::needs_restart(config_, loaded.config);
  loaded.config.inbound.own_name = config_.inbound.own_name;

  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(loaded.config.routing, problems);
  for (const auto& problem : problems) report.problems.push_back(problem.to_string());
  if (!router) return refuse(router.error().message);

  std::vector<Deliverers> deliverers;
  for (auto& shard : shards_) {
    auto made = shard->make_deliverers(loaded.config.next_hops);
    if (!made) return refuse(made.error().message);
    deliverers.push_back(std::move(*made));
  }
  auto tracking = ops::TrackingLog::open_file(loaded.config.tracking);
  if (!tracking) return refuse(tracking.error().message);
  if (auto reloaded = server_->reload(loaded.config.inbound); !reloaded) {
    return refuse(reloaded.error().message);
  }

  const auto before = router_.get();
  report.summary =
      "routing table: " + routing::diff(before->table(), (*router)->table()).summary() + ", " +
      std::to_string((*router)->table().size()) + " entries";
  router_.set(*router);
  table_loaded_ = true;
  table_trouble_.clear();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->replace_options(loaded.config.queue);
    shards_[i]->replace_deliverers(std::move(deliverers[i]));
  }
  ops::configure_log(loaded.config.log);
  tracking_->use(std::move(*tracking));
  config_.inbound = loaded.config.inbound;
  config_.routing = loaded.config.routing;
  config_.next_hops = loaded.config.next_hops;
  config_.queue = loaded.config.queue;
  config_.log = loaded.config.log;
  config_.tracking = loaded.config.tracking;
  for (const auto& key : for_later)
    report.problems.push_back(config_.file + ": warning: needs a restart: " + key);
  report.applied = true;
  ops::log().info("reload: {}", report.summary);
  for (const auto& problem : report.problems) ops::log().warn("reload: {}", problem);
  return report;
}

}  // namespace waypost::app
