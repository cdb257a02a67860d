// Reload: everything that can fail comes first, then everything is put into use.
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"
#include "waypost/routing/wave_facts.h"

#include "app/answers.h"
#include "app/descriptor_limit.h"
#include "app/gateway.h"
#include "app/wave_view.h"

#include <boost/asio/post.hpp>
#include <boost/json.hpp>

namespace waypost::app {
namespace {

/// A warning stays a warning, whatever else was wrong.
void log_problems(const ReloadReport& report) {
  for (const auto& one : report.problems)
    ops::log().log(one.error ? spdlog::level::err : spdlog::level::warn, "reload: {}", one.text);
}

std::string listed(const std::vector<std::string>& keys) {
  std::string all = "changed ";
  for (const auto& key : keys) all += (&key == keys.data() ? "" : ", ") + key;
  return all;
}

ReloadReport refuse(ReloadReport report, std::string why) {
  report.summary = "nothing changed: " + std::move(why);
  ops::log().error("reload: {}", report.summary);
  log_problems(report);
  return report;
}

}  // namespace

void Gateway::reload(bool confirm_shrink, std::function<void(const ReloadReport&)> done) {
  control_->post("reload", [this, confirm_shrink, done = std::move(done)] {
    begin_reload(confirm_shrink, [this, done](const ReloadReport& report) {
      boost::asio::post(main_io_, [done, report] { done(report); });
    });
  });
}

void Gateway::begin_reload(bool confirm_shrink, std::function<void(const ReloadReport&)> done) {
  if (loading_) return waiting_reloads_.push_back({confirm_shrink, std::move(done), {}, {}});
  ReloadReport report;
  auto loaded = std::make_shared<config::Loaded>(config::load_file(config_.file));
  for (const auto& diagnostic : loaded->diagnostics)
    report.problems.push_back(
        {diagnostic.level == config::Diagnostic::Level::error, diagnostic.to_string()});
  if (!loaded->usable()) return done(refuse(std::move(report), "the configuration has errors"));
  loading_ = true;
  load_table(loaded->config.routing, 0, {},
             [this, loaded, confirm_shrink, report, done = std::move(done)](LoadedTable table) {
               loading_ = false;
               done(finish_reload(*loaded, table, confirm_shrink, report));
               next_reload();
             });
}

void Gateway::reload_for(const admin::Call& call, std::function<void(admin::Answer)> done) {
  auto fields = admin::Fields::of_body(call.body);
  const bool confirm_shrink = fields.flag("confirm_shrink");
  if (const auto wrong = fields.finish(); !wrong.empty()) return done(refuse_fields(wrong));
  begin_reload(confirm_shrink, [done = std::move(done)](const ReloadReport& report) {
    boost::json::array problems;
    for (const auto& one : report.problems) problems.emplace_back(one.text);
    done(answer_json(report.applied ? 200 : 409,
                     {{"applied", report.applied},
                      {"summary", report.summary},
                      {"changed", boost::json::value_from(report.changed)},
                      {"problems", std::move(problems)}}));
  });
}

void Gateway::next_reload() {
  if (loading_ || waiting_reloads_.empty()) return;
  WaitingReload next = std::move(waiting_reloads_.front());
  waiting_reloads_.pop_front();
  if (!next.directory.empty()) return refresh_table(next.directory, next.what, next.confirm_shrink);
  begin_reload(next.confirm_shrink, std::move(next.done));
}

ReloadReport Gateway::finish_reload(config::Loaded& loaded, LoadedTable& table, bool confirm_shrink,
                                    ReloadReport report) {
  for (const auto& problem : table.problems)
    report.problems.push_back({problem.error, problem.to_string()});
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
  std::string untracked;
  if (!tracking && !loaded.config.tracking_is_asked_for) {
    untracked = tracking.error().message;
    tracking = ops::TrackingLog::open_file({});
  }
  if (!tracking) return refuse(std::move(report), tracking.error().message);
  auto log_file = ops::open_log(loaded.config.log);
  if (!log_file) return refuse(std::move(report), log_file.error().message);
  if (auto reloaded = server_->reload(within_descriptors(loaded.config.inbound)); !reloaded)
    return refuse(std::move(report), reloaded.error().message);

  report.changed = config::changed_keys(config_, loaded.config);
  report.summary = "routing table: " + table.diff.summary() + ", " +
                   counted(table.size.entries, "entry", "entries") + "; configuration: " +
                   (report.changed.empty() ? std::string("no change") : listed(report.changed));
  const auto before = router_.get();
  use_table(table.router, table.size);
  for (const auto& change :
       wave_states_changed(before->waves(), router_.get()->waves(), Clock::system().now()))
    report.problems.push_back({false, config_.file + ": warning: " + change});
  for (const auto& problem :
       routing::wave_problems(*router_.get(), Clock::system().now(), &config_.routing.waves))
    report.problems.push_back({problem.error, config_.file + ": " + problem.to_string()});
  for (const auto& left : mail_left_behind(loaded.config))
    report.problems.push_back({false, config_.file + ": warning: " + left});
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->replace_options(loaded.config.queue);
    shards_[i]->replace_deliverers(std::move(deliverers[i]));
  }
  ops::use_log(loaded.config.log, std::move(*log_file));
  tracking_->use(std::move(*tracking));
  untracked_.clear();
  if (!untracked.empty()) tell_no_tracking(untracked);
  config_.places = loaded.config.places;
  config_.inbound = loaded.config.inbound;
  config_.routing = loaded.config.routing;
  config_.next_hops = loaded.config.next_hops;
  config_.directories = loaded.config.directories;
  config_.queue = loaded.config.queue;
  config_.log = loaded.config.log;
  config_.tracking = loaded.config.tracking;
  config_.tracking_is_asked_for = loaded.config.tracking_is_asked_for;
  watch_directories();
  for (const auto& key : for_later)
    report.problems.push_back({false, config_.file + ": warning: needs a restart: " + key});
  report.applied = true;
  ops::log().info("reload: {}", report.summary);
  log_problems(report);
  return report;
}

}  // namespace waypost::app
