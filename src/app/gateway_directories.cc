// Directories in the running gateway: kept synchronised, and their changes put into the table.
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"
#include "waypost/routing/wave_facts.h"

#include "app/answers.h"
#include "app/gateway.h"

#include <sys/stat.h>

#include <filesystem>
#include <set>

namespace waypost::app {
namespace {

namespace json = boost::json;

/// When the file was written; the epoch if it is not there.
WallTime written_at(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return {};
  return WallTime(std::chrono::seconds(about.st_mtim.tv_sec));
}

std::string snapshot_of(const std::vector<routing::DirectoryOptions>& directories,
                        const std::string& name) {
  for (const auto& one : directories)
    if (one.name == name) return one.snapshot;
  return {};
}

std::string sentence_of(const routing::DirectoryOutcome& outcome) {
  return outcome.server + ": " + (outcome.full ? "full reading" : "changes") + ": " +
         std::to_string(outcome.added) + " added, " + std::to_string(outcome.removed) +
         " removed, " + std::to_string(outcome.retargeted) + " changed, " +
         counted(outcome.entries, "entry", "entries") + " of " +
         counted(outcome.people, "person", "people");
}

/// What the new table makes of what was said of waves and people: nobody sees it come in.
void tell_wave_problems(const routing::Router& before, const routing::Router& after,
                        const std::vector<routing::WaveOptions>& waves) {
  const WallTime now = Clock::system().now();
  std::set<std::string> known;
  for (const auto& problem : routing::wave_problems(before, now, &waves))
    known.insert(problem.without_level());
  for (const auto& problem : routing::wave_problems(after, now, &waves))
    if (!known.contains(problem.without_level())) ops::log().warn("{}", problem.without_level());
}

}  // namespace

/// Also after a reload: what was going on is cut, and everything is looked at again.
void Gateway::watch_directories() {
  directory_watch_.reset();
  std::vector<std::unique_ptr<routing::Directory>> directories;
  for (const auto& options : config_.directories) {
    std::error_code ignored;  // writing the snapshot says what is wrong
    std::filesystem::create_directories(std::filesystem::path(options.snapshot).parent_path(),
                                        ignored);
    directories.push_back(routing::Directory::create(options));
  }
  if (directories.empty()) return;
  directory_watch_ = std::make_unique<routing::DirectoryWatch>(
      std::move(directories), [this](const routing::DirectoryOutcome& outcome) {
        control_->post("a directory's report", [this, outcome] { note_directory(outcome); });
      });
}

void Gateway::note_directory(const routing::DirectoryOutcome& outcome) {
  auto& state = directory_states_[outcome.directory];
  const ops::Labels labels = {{"directory", outcome.directory}};
  for (const auto& server : outcome.failed_servers)
    ops::log().warn("directory {}: not used: {}", outcome.directory, server);
  state.outcome = outcome;
  if (outcome.error) {
    metrics_.counter("waypost_directory_failures_total", "Synchronisations that failed", labels)
        .add();
    ops::log().error("directory {}: {}; the last good snapshot stays in use", outcome.directory,
                     outcome.error->message);
    return;
  }
  state.succeeded_at = Clock::system().now();
  metrics_.gauge("waypost_directory_success_timestamp_seconds", "Last good synchronisation", labels)
      .set(std::chrono::duration_cast<std::chrono::seconds>(state.succeeded_at.time_since_epoch())
               .count());
  metrics_.gauge("waypost_directory_entries", "Entries that the directory gives", labels)
      .set(static_cast<std::int64_t>(outcome.entries));
  for (const auto& problem : outcome.problems)
    ops::log().warn("directory {}: {}", outcome.directory, problem.without_level());
  if (outcome.changed || !table_loaded_)
    refresh_table(outcome.directory, sentence_of(outcome), outcome.confirmed);
}

/// A directory has changed: the same configuration, the table anew.
void Gateway::refresh_table(const std::string& directory, const std::string& what, bool confirmed) {
  if (loading_) {
    waiting_reloads_.push_back({confirmed, nullptr, directory, what});
    return;
  }
  loading_ = true;
  // How much may leave a directory is its own limit, which has been asked already. All other
  // sources are read again as well, and they may be half written at this moment.
  routing::TableExcuse excuse{snapshot_of(config_.directories, directory), confirmed};
  load_table(config_.routing, 0, std::move(excuse), [this, directory, what](LoadedTable table) {
    loading_ = false;
    for (const auto& problem : table.problems)
      ops::log().log(problem.error ? spdlog::level::err : spdlog::level::warn, "{}",
                     problem.without_level());
    if (stopping_) return;
    const auto trouble =
        table.router ? suspicion_about(table, config_.routing) : std::move(table.trouble);
    if (!trouble.empty()) {
      ops::log().error("directory {}: {}; the table did not change: {}", directory, what, trouble);
      if (!table_loaded_) table_trouble_ = trouble;
    } else {
      const auto before = router_.get();
      use_table(table.router, table.size);
      tell_wave_problems(*before, *router_.get(), config_.routing.waves);
      for (auto& shard : shards_) shard->routes_changed();
      ops::log().info("directory {}: {}; routing table: {}, {}", directory, what,
                      table.diff.summary(), counted(table.size.entries, "entry", "entries"));
    }
    next_reload();
  });
}

void Gateway::look_at_the_clock() {
  if (clock_is_looked_at_.exchange(true)) return;  // the worker has not come to the last time yet
  control_->post("the clock", [this] {
    clock_is_looked_at_ = false;
    apply_due_waves();
    judge_staleness();
  });
}

void Gateway::publish() {
  auto standing = std::make_shared<Standing>();
  standing->table_loaded = table_loaded_;
  standing->table_trouble = table_trouble_;
  const auto router = router_.get();
  if (!router->waves().trouble().empty() && !people_of_waves().empty())
    standing->wave_trouble = router->waves().trouble();
  if (!standing->wave_trouble.empty() && standing_.load()->wave_trouble.empty())
    ops::log().critical("waves: everybody of a wave gets 451 4.3.0: {}", standing->wave_trouble);
  if (!stale_.empty()) standing->warnings.push_back(stale_);
  if (!untracked_.empty()) standing->warnings.push_back(untracked_);
  if (!table_unchecked_.empty()) standing->warnings.push_back(table_unchecked_);
  for (const auto& [name, state] : directory_states_)
    if (state.outcome.error)
      standing->warnings.push_back("directory " + name + ": " + state.outcome.error->message);
  standing_.store(std::move(standing));
}

/// Who is not in a table that nobody could read for a day may well be in a newer one.
void Gateway::judge_staleness() {
  std::string why;
  const WallTime now = Clock::system().now();
  for (const auto& options : config_.directories) {
    WallTime good_at = directory_states_[options.name].succeeded_at;
    if (good_at == WallTime{}) good_at = written_at(options.snapshot);
    if (good_at == WallTime{} || now - good_at <= options.stale_after) continue;
    why = "directory " + options.name + " was last read at " + routing::format_time(good_at);
  }
  if (why == stale_) return;
  if (stale_.empty()) {
    ops::log().error("routing table: {}: addresses that it does not know are deferred, not refused",
                     why);
  } else if (why.empty()) {
    ops::log().info("routing table: up to date again");
  }
  stale_ = why;
  if (table_loaded_) router_.set(router_.get()->with_staleness(stale_));
}

void Gateway::add_directory_actions(std::vector<admin::Action>& list) {
  list.push_back({"GET", "/v1/directories", false,
                  [this](const admin::Call& call) { return list_directories(call); }});
  list.push_back({"POST", "/v1/directory/sync", false,
                  [this](const admin::Call& call) { return sync_directory(call); }});
}

admin::Answer Gateway::list_directories(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  json::array all;
  for (const auto& options : config_.directories) {
    json::object object{{"directory", options.name}};
    const auto known = directory_states_.find(options.name);
    if (known != directory_states_.end()) {
      const auto& outcome = known->second.outcome;
      object["server"] = outcome.server;
      object["entries"] = outcome.entries;
      object["people"] = outcome.people;
      object["problems"] = outcome.problems.size() + outcome.more_problems;
      if (known->second.succeeded_at > WallTime{})
        object["succeeded_at"] = routing::format_time(known->second.succeeded_at);
      if (outcome.error) object["error"] = outcome.error->message;
    }
    all.emplace_back(std::move(object));
  }
  return answer_json(200, json::object{{"directories", std::move(all)}});
}

admin::Answer Gateway::sync_directory(const admin::Call& call) {
  auto fields = admin::Fields::of_body(call.body);
  const std::string name = fields.text("name", admin::Need::required);
  routing::DirectorySyncRequest wanted;
  wanted.full = fields.flag("full");
  wanted.confirm_shrink = fields.flag("confirm_shrink");
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  if (!directory_watch_ || !directory_watch_->synchronise_now(name, wanted))
    return refuse_call(404, "the daemon has no directory '" + name +
                                "'; see 'directories' in its "
                                "configuration, and 'waypost reload' after a change");
  ops::log().info("{}: directory {} is to be synchronised now{}{}", call.by, name,
                  wanted.full ? ", everything" : "",
                  wanted.confirm_shrink ? ", a shrink is confirmed" : "");
  return answer_json(200, json::object{{"asked", true}});
}

}  // namespace waypost::app
