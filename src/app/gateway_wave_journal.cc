// The waves' journal in the running gateway: opened, found damaged, accepted as it is, and what its
// schedules bring while time goes on.
#include "waypost/base/counted.h"
#include "waypost/ops/log.h"

#include "app/answers.h"
#include "app/gateway.h"
#include "app/waves_on_disk.h"

#include <algorithm>
#include <utility>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::chrono::minutes kToldLate{1};

}  // namespace

void Gateway::open_wave_journal() {
  const bool used_before = spool_was_used(config_) || highest_stored_id_.value > 0;
  wave_journal_ = routing::WaveJournal::open(
      Disk::system(), wave_journal_file(config_),
      [](const std::string& what) { ops::log().error("{}", what); }, used_before);
  // What has fallen due since operators were told last is told at the start.
  const WallTime now = Clock::system().now();
  waves_seen_at_ = std::min(wave_journal_->told_until().value_or(now), now);
  if (auto kept = wave_journal_->tell_until(waves_seen_at_); !kept)
    ops::log().error("{}; no wave command is taken until waves.journal and its mark can be written",
                     kept.error().message);
}

std::shared_ptr<const routing::Waves> Gateway::waves_for(const routing::Options& options) const {
  return routing::Waves::make(options.waves, wave_journal_->commands(),
                              routing::wave_trouble(wave_journal_->damage()));
}

/// The operator takes what can be read for all that was said.
admin::Answer Gateway::accept_wave_journal(const admin::Call& call) {
  auto fields = admin::Fields::of_body(call.body);
  if (!fields.flag("accept")) fields.refuse("accept", "must be true: what is missing is lost then");
  if (const auto wrong = fields.finish(); !wrong.empty()) return refuse_fields(wrong);
  if (wave_journal_->damage().empty())
    return answer_json(
        200, json::object{{"changed", false}, {"why", "nothing changed: waves.journal is whole"}});
  json::object answer{{"changed", true}, {"damage", json::value_from(wave_journal_->damage())}};
  const WallTime now = Clock::system().now();
  const auto aside = wave_journal_->accept(now);
  if (!aside) return refuse_call(500, "nothing changed: " + aside.error().message);
  answer["commands"] = wave_journal_->commands().size();
  answer["kept_as"] = *aside;
  const auto router = router_.get()->with_waves(waves_for(config_.routing));
  router_.set(router);
  const std::string what =
      "waves.journal is accepted as it can be read: " +
      counted(wave_journal_->commands().size(), "command") +
      (aside->empty() ? std::string() : "; the damaged file is kept as " + *aside);
  ops::log().warn("{}: {}", call.by, what);
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::control;
  event.at = now;
  event.by = call.by;
  event.action = "wave accept-journal";
  event.why = what;
  tracking_->write(event);
  for (const auto& [name, count] : people_of_waves())
    for (auto& shard : shards_) shard->apply_wave(name, nullptr);
  return answer_json(200, answer);
}

void Gateway::tell_wave_turn(const routing::WaveTurn& turn, WallTime now) {
  const auto& change = turn.change;
  const bool late = now - change.at > kToldLate;
  const std::string is =
      "wave '" + turn.wave + "' is " + std::string(routing::to_string(change.to));
  const std::string what =
      turn.back ? is + " again: the clock was set back to before its schedule"
                : is + " now, as scheduled by " + change.by +
                      (late ? " for " + routing::format_time(change.at) : std::string());
  ops::log().info("{}", what);
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::control;
  event.at = now;
  event.wave = turn.wave;
  event.by = change.by;
  event.action = "wave schedule";
  event.why = what;
  tracking_->write(event);
  for (auto& shard : shards_) shard->apply_wave(turn.wave, nullptr);
}

void Gateway::apply_due_waves() {
  const WallTime now = Clock::system().now();
  const WallTime seen = std::exchange(waves_seen_at_, now);
  if (!wave_journal_->damage().empty()) return;
  const auto turns = routing::turns_between(router_.get()->waves(), seen, now);
  for (const auto& turn : turns) tell_wave_turn(turn, now);
  if (turns.empty()) return;
  if (auto kept = wave_journal_->tell_until(now); !kept)
    ops::log().error("{}; the next start tells this once more", kept.error().message);
}

}  // namespace waypost::app
