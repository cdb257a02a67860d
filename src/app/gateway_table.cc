// The routing table in the running gateway: loading one beside the one in use, whether it may take
// its place, and what operators see of it.
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"
#include "waypost/routing/table_facts.h"

#include "app/answers.h"
#include "app/gateway.h"
#include "app/table_size_mark.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::size_t kEntriesAtOnce = 2000;
constexpr std::chrono::minutes kLoadPatience{10};  // a million entries, a slow directory
/// Below the shards: who loads a million entries must not delay mail, nor starve.
constexpr int kLoaderNice = 10;

json::object entry_json(const routing::Router& router, const routing::Entry& entry, WallTime at) {
  json::object object{{"address", entry.address.to_string()},
                      {"target", entry.target.to_string()},
                      {"state", routing::to_string(router.state_of(entry, at))},
                      {"place", entry.place.to_string()}};
  if (!entry.wave.empty()) object["wave"] = entry.wave;
  if (entry.has_state) object["own_state"] = true;
  json::array copies;
  for (const auto& copy : entry.copies) copies.emplace_back(copy.to_string());
  if (!copies.empty()) object["copies"] = std::move(copies);
  return object;
}

json::array strings(const std::vector<routing::Problem>& problems) {
  json::array all;
  for (const auto& problem : problems) all.emplace_back(problem.to_string());
  return all;
}

/// What changed, with at most as many names as were asked for.
json::object diff_json(const routing::TableDiff& diff) {
  json::array added;
  json::array removed;
  json::array changed;
  for (const auto& entry : diff.added)
    added.emplace_back(json::object{{"address", entry.address.to_string()},
                                    {"target", entry.target.to_string()},
                                    {"place", entry.place.to_string()}});
  for (const auto& entry : diff.removed)
    removed.emplace_back(json::object{{"address", entry.address.to_string()},
                                      {"target", entry.target.to_string()},
                                      {"place", entry.place.to_string()}});
  for (const auto& [was, now] : diff.changed)
    changed.emplace_back(json::object{{"address", now.address.to_string()},
                                      {"was", was.target.to_string()},
                                      {"target", now.target.to_string()},
                                      {"was_state", routing::to_string(was.state)},
                                      {"state", routing::to_string(now.state)},
                                      {"was_wave", was.wave},
                                      {"wave", now.wave},
                                      {"place", now.place.to_string()}});
  return {{"added", std::move(added)},
          {"removed", std::move(removed)},
          {"changed", std::move(changed)}};
}

}  // namespace

/// On a thread of its own; `done` runs on the control worker's.
void Gateway::load_table(const routing::Options& options, std::size_t names,
                         routing::TableExcuse excuse, std::function<void(LoadedTable)> done) {
  if (loader_.joinable()) loader_.join();  // its `done` has run: one at a time
  loader_ = std::thread([this, options, names, excuse = std::move(excuse), done = std::move(done),
                         before = router_.get(), waves = waves_for(options)] {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kLoaderNice);
    auto loaded = std::make_shared<LoadedTable>();
    auto router = routing::Router::load(options, loaded->problems, waves);
    if (router) {
      loaded->router = *router;
      const WallTime now = Clock::system().now();
      loaded->size = routing::size_of(**router, now);
      auto compared = routing::compare(*before, **router, now, names, excuse);
      loaded->diff = std::move(compared.diff);
      loaded->losses = std::move(compared.losses);
    } else {
      loaded->trouble = router.error().message;
    }
    control_->post("a table that was loaded", [loaded, done] { done(std::move(*loaded)); });
  });
}

/// Empty: it may be used.
std::string Gateway::suspicion_about(const LoadedTable& loaded, const routing::Options& options) {
  // A start, or a table that was not available: only numbers are known of what was before.
  if (!table_loaded_) return refusal_at_start(table_size_, loaded.size, *loaded.router);
  if (!table_size_.size) return {};
  const auto found =
      routing::suspicious_shrink(*table_size_.size, loaded.size, loaded.losses, options);
  return found ? confirm_hint(*found) : std::string();
}

void Gateway::use_table(std::shared_ptr<const routing::Router> router,
                        const routing::TableSize& size) {
  // A wave command may have come while it was loaded.
  router_.set(router->with_waves(waves_for(router->options())));
  if (!stale_.empty()) router_.set(router_.get()->with_staleness(stale_));
  table_loaded_ = true;
  table_trouble_.clear();
  table_unchecked_ =
      std::exchange(table_size_gone_, false)
          ? table_size_file_.path() +
                " is gone: nobody could say whether the table has shrunk since the last run; see "
                "that the table's files are whole ('waypost table stats' counts), then say "
                "'waypost reload'"
          : std::string();
  table_size_ = {size, {}, false};
  keep_table_size(size);
}

void Gateway::keep_table_size(const routing::TableSize& size) {
  auto kept = table_size_file_.replace(size.to_json() + "\n");
  const auto mark = table_size_mark(table_size_file_.path());
  std::error_code ignored;
  // Only now: a size that could never be written is not missed.
  if (kept && !std::filesystem::exists(mark, ignored))
    kept = DurableFile(Disk::system(), mark, 0640).replace("table-size.json was here\n");
  if (!kept)
    ops::log().warn("{}; a restart can't tell whether the table has shrunk", kept.error().message);
}

/// Before the first table is loaded. A spool of this version has had this file since its first
/// start.
void Gateway::find_table_size() {
  table_size_ = read_table_size(table_size_file_.path());
  if (table_size_.may_not_be_read)
    table_size_.trouble = table_size_file_.path() + ": may not be read by this user";
  const bool missing = !table_size_.size && table_size_.trouble.empty();
  table_size_gone_ = missing && spool_knows_gateway_;
  if (missing && !spool_knows_gateway_) {
    ops::log().warn(
        "spool {}: it is new: no mail waits in it, nothing that was said of waves is known, and "
        "there is no earlier table to compare this one with; if this gateway has run before, stop "
        "it and look at spool.directory and at whether its disk is mounted",
        config_.spool.directory);
    keep_table_size({});
  }
}

/// A table is in use for the first time in this run.
void Gateway::tell_first_table(const LoadedTable& loaded) {
  ops::log().info("routing table: {}", counted(loaded.size.entries, "entry", "entries"));
  for (const auto& problem :
       routing::wave_problems(*router_.get(), Clock::system().now(), &config_.routing.waves))
    ops::log().warn("{}", problem.without_level());
  if (!table_unchecked_.empty()) ops::log().warn("{}", table_unchecked_);
}

void Gateway::load_first_table() {
  find_table_size();
  LoadedTable loaded;
  auto router = routing::Router::load(config_.routing, loaded.problems, waves_for(config_.routing));
  for (const auto& problem : loaded.problems) {
    ops::log().log(problem.error ? spdlog::level::err : spdlog::level::warn, "{}",
                   problem.without_level());
  }
  if (router) {
    loaded.router = *router;
    loaded.size = routing::size_of(**router, Clock::system().now());
    table_trouble_ = suspicion_about(loaded, config_.routing);
  } else {
    table_trouble_ = router.error().message;
  }
  if (table_trouble_.empty()) {
    use_table(*router, loaded.size);
    return tell_first_table(loaded);
  }
  ops::log().critical(
      "routing table: {}; every address gets 451 4.3.0 until it is mended and "
      "'waypost reload' is run",
      table_trouble_);
  // What operators say of waves meanwhile is weighed by what they are.
  router_.set(routing::Router::unavailable(config_.routing, table_trouble_)
                  ->with_waves(waves_for(config_.routing)));
}

void Gateway::add_table_actions(std::vector<admin::Action>& list) {
  list.push_back({"GET",
                  "/v1/table/stats",
                  false,
                  [this](const admin::Call& call) { return table_stats(call); },
                  {},
                  0,
                  kLoadPatience});
  list.push_back(
      {"GET", "/v1/table/who", false, [this](const admin::Call& call) { return table_who(call); }});
  list.push_back({"GET", "/v1/table/entries", false,
                  [this](const admin::Call& call) { return table_entries(call); }});
  list.push_back({"GET", "/v1/table/diff", false, nullptr,
                  [this](const admin::Call& call, std::function<void(admin::Answer)> done) {
                    table_diff(call, std::move(done));
                  },
                  0, kLoadPatience});
}

admin::Answer Gateway::table_stats(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  const auto router = router_.get();
  const auto stats = routing::table_stats(*router, Clock::system().now());
  return answer_json(200,
                     json::object{{"entries", stats.entries},
                                  {"with_copies", stats.with_copies},
                                  {"memory_octets", stats.memory_octets},
                                  {"loaded_at", routing::format_time(router->loaded_at())},
                                  {"trouble", table_trouble_},
                                  {"by_source", json::value_from(stats.by_source)},
                                  {"by_state", json::value_from(stats.by_state)},
                                  {"by_wave", json::value_from(stats.by_wave)},
                                  {"by_domain", json::value_from(stats.by_domain)},
                                  {"by_target_domain", json::value_from(stats.by_target_domain)}});
}

admin::Answer Gateway::table_who(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  const std::string text = fields.text("address", admin::Need::required);
  const auto address = mail::parse_mailbox(text);
  if (!address && !text.empty())
    fields.refuse("address", "can't be '" + text + "': " + address.error().message);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  const auto router = router_.get();
  json::array entries;
  for (const auto& entry : routing::entries_of_person(router->table(), *address))
    entries.emplace_back(entry_json(*router, entry, Clock::system().now()));
  return answer_json(200, json::object{{"entries", std::move(entries)}});
}

/// A page of the whole table, in no order that means anything.
admin::Answer Gateway::table_entries(const admin::Call& call) {
  auto fields = admin::Fields::of_query(call.query);
  const std::uint64_t from = fields.count("from").value_or(0);
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  const auto router = router_.get();
  const WallTime now = Clock::system().now();
  std::uint64_t seen = 0;
  json::array entries;
  router->table().for_each([&](const routing::Entry& entry) {
    if (seen++ < from || entries.size() >= kEntriesAtOnce) return;
    entries.emplace_back(entry_json(*router, entry, now));
  });
  json::object answer;
  if (from + entries.size() < seen) answer["from"] = from + entries.size();
  answer["entries"] = std::move(entries);
  return answer_json(200, answer);
}

/// What a reload would change: the files as they lie there now against what runs.
void Gateway::table_diff(const admin::Call& call, std::function<void(admin::Answer)> done) {
  auto fields = admin::Fields::of_query(call.query);
  const auto names = static_cast<std::size_t>(fields.count("names").value_or(0));
  if (const auto wrong = fields.finish(); !wrong.empty()) return done(refuse_fields(wrong));
  if (loading_) return done(refuse_call(409, "a table is being loaded; try again in a moment"));
  config::Loaded loaded = config::load_file(config_.file);
  if (!loaded.usable()) {
    json::array problems;
    for (const auto& one : loaded.diagnostics) problems.emplace_back(one.to_string());
    return done(answer_json(422, json::object{{"error", "the configuration has errors"},
                                              {"problems", std::move(problems)}}));
  }
  loading_ = true;
  const routing::Options options = loaded.config.routing;
  load_table(options, names, {}, [this, options, done = std::move(done)](LoadedTable table) {
    loading_ = false;
    if (!table.router) {
      done(answer_json(
          422, json::object{{"error", table.trouble}, {"problems", strings(table.problems)}}));
    } else {
      json::object answer = diff_json(table.diff);
      answer["summary"] = table.diff.summary();
      answer["counts"] = json::object{{"added", table.diff.added_count},
                                      {"removed", table.diff.removed_count},
                                      {"changed", table.diff.changed_count},
                                      {"entries", table.size.entries}};
      answer["suspicion"] = suspicion_about(table, options);
      answer["problems"] = strings(table.problems);
      done(answer_json(200, answer));
    }
    next_reload();
  });
}

}  // namespace waypost::app
