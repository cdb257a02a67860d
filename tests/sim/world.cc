#include "sim/world.h"

namespace waypost::sim {
namespace {

constexpr std::uint64_t kMostSteps =
    1'000'000;  // large mail that drips in single octets takes many
constexpr auto kLongestRest = hours(24 * 30);

}  // namespace

World::World(std::uint64_t seed, Journal::Mode mode)
    : stage_(seed, mode),
      ledger_(stage_),
      settings_(Settings::drawn(stage_.chance, seed)),
      routes_(Routes::drawn(stage_.chance, stage_.clock.now())) {
  begun_ = stage_.clock.steady_now();
  stage_.weather = Weather::drawn(stage_.chance);
  ledger_.limits_are(settings_.queue,
                     settings_.spool.settle_delay + 4 * stage_.weather.disk_latency);
  plan();
}

World::~World() {
  if (!gateway_) return;
  disk_.stop_at(1);
  gateway_->crash();
}

/// Most trouble comes while mail comes; the rest at any time.
Duration World::moment() {
  Chance& chance = stage_.chance;
  if (chance.odds(0.3)) return Duration(chance.below(static_cast<std::uint64_t>(storm_.count())));
  return arrivals_[chance.below(arrivals_.size())] + chance.span(milliseconds(1), minutes(10));
}

void World::plan_some(unsigned most, void (World::*deed)()) {
  if (stage_.chance.odds(0.4)) return;
  for (std::uint64_t n = stage_.chance.between(1, most); n > 0; --n) {
    stage_.agenda.at(begun_ + moment(), [this, deed] {
      if (act_ == Act::storm) (this->*deed)();
    });
  }
}

void World::plan() {
  Chance& chance = stage_.chance;
  storm_ = chance.span(seconds(30), hours(12));
  for (std::uint64_t n = chance.between(1, stage_.weather.bulk ? 15 : 6); n > 0; --n) {
    arrivals_.push_back(chance.span(milliseconds(1), storm_));
    stage_.agenda.at(begun_ + arrivals_.back(), [this] { new_sender(); });
  }
  plan_some(2, &World::lose_power);
  plan_some(3, &World::lose_power_soon);
  plan_some(1, &World::stop_gateway);
  plan_some(4, &World::change_routes);
  plan_some(2, &World::jump_clock);
  plan_some(2, &World::spoil_disk);
  plan_some(1, &World::fill_disk);
  plan_some(1, &World::flush_queue);
  plan_some(10, &World::give_command);
  plan_some(6, &World::give_wave_word);
  plan_some(4, &World::inspect);
  stage_.agenda.at(begun_ + storm_ + minutes(15), [this] { calm_down(); });
}

Outcome World::run() {
  start_gateway();
  while (act_ != Act::over && ledger_.wrong().empty()) tick();
  outcome_.wrong = ledger_.wrong();
  outcome_.hash = stage_.journal.hash();
  outcome_.sums = ledger_.sums();
  return outcome_;
}

/// One thing happens: a handler, else what is due next.
void World::tick() {
  if (++outcome_.steps > kMostSteps) return ledger_.accuse("the world does not come to rest");
  if (gateway_ && disk_.power_gone()) return lose_power();
  if (gateway_ && gateway_->wave_has_turned())
    stage_.agenda.at(stage_.in(seconds(3)), [this] { inspect(); });
  if (gateway_ && gateway_->run_one()) {
    if (handlers_until_crash_ > 0 && --handlers_until_crash_ == 0 && act_ == Act::storm)
      lose_power();
    return;
  }
  if (stopping_ && gateway_ && gateway_->stopped()) return finish_stop();
  if (act_ == Act::calm && at_rest()) {
    act_ = Act::last_stop;
    return stop_gateway();
  }
  if (!advance()) ledger_.accuse("nothing happens any more, and mail is left");
}

bool World::advance() {
  const SteadyTime agenda = stage_.agenda.next();
  const SteadyTime next = std::min(agenda, gateway_ ? gateway_->next_due() : SteadyTime::max());
  if (next == SteadyTime::max()) return false;
  const SteadyTime now = stage_.clock.steady_now();
  if (next > now) stage_.clock.advance(std::chrono::ceil<Duration>(next - now));
  if (act_ == Act::calm && next > rest_by_)
    ledger_.accuse("mail is still queued long after the storm");
  if (agenda <= stage_.clock.steady_now()) {
    stage_.agenda.run_next();
  } else {
    gateway_->run_due();
  }
  return true;
}

void World::new_sender() {
  if (!gateway_ || stopping_) {
    stage_.agenda.at(stage_.in(minutes(1)), [this] { new_sender(); });
    return;
  }
  auto& sender = senders_.emplace_back(std::make_unique<Sender>(stage_, ledger_));
  auto link = std::make_shared<Link>(stage_, *sender);
  gateway_->accept(link);
  sender->connect(std::move(link));
}

void World::start_later() {
  start_planned_ = true;
  stage_.agenda.at(stage_.in(stage_.chance.span(seconds(1), minutes(20))),
                   [this] { start_gateway(); });
}

void World::start_gateway() {
  start_planned_ = stopping_ = false;
  const bool stormy = act_ == Act::storm;
  disk_.restart_counting();
  // A second crash in a row, or a disk that does not even let it start.
  if (stormy && stage_.chance.odds(0.1)) disk_.stop_at(1 + stage_.chance.below(24));
  const bool faulty = stormy && stage_.chance.odds(0.05);
  if (faulty) disk_.fail_operation(1 + stage_.chance.below(20), FaultDisk::Fault::io);
  routes_.lose_table(stormy && stage_.chance.odds(0.05));
  auto started = Gateway::start(stage_, ledger_, disk_, settings_, routes_, receivers_);
  if (!started) {
    stage_.journal.note("the gateway does not start: {}", started.error().message);
    if (disk_.power_gone()) {
      ++outcome_.crashes;
      if (stage_.chance.odds(0.6)) disk_.crash(stage_.chance.bits());
    }
    return start_later();
  }
  ++outcome_.lives;
  gateway_ = std::move(*started);
  if (faulty) {
    ledger_.disk_has_trouble();
    ledger_.doubt_found_waves();
  }
  if (act_ == Act::calm && !let_all_go()) lose_power();
}

void World::lose_power() {
  if (!gateway_) return;
  // A killed process leaves to the system what it has written; a power cut also loses that.
  const bool only_killed = stage_.chance.odds(0.4);
  stage_.journal.note("{}", only_killed ? "the gateway is killed" : "the power is gone");
  ++outcome_.crashes;
  handlers_until_crash_ = 0;
  disk_.stop_at(1);
  ledger_.went_down(false);
  gateway_->crash();
  gateway_.reset();
  if (!only_killed) disk_.crash(stage_.chance.bits());
  disk_.restart_counting();
  start_later();
}

void World::lose_power_soon() {
  if (!gateway_) return;
  if (stage_.chance.odds(0.5)) {
    handlers_until_crash_ = static_cast<unsigned>(stage_.chance.between(1, 60));
  } else {
    disk_.stop_at(disk_.operations() + stage_.chance.between(1, 12));
  }
}

void World::stop_gateway() {
  if (!gateway_ || stopping_) return;
  stage_.journal.note("the gateway is told to stop");
  stopping_ = true;
  gateway_->stop();
  stage_.agenda.at(stage_.in(seconds(30)), [this] {
    if (stopping_ && gateway_) gateway_->cancel();
  });
}

void World::finish_stop() {
  gateway_->finish();
  if (disk_.power_gone()) return lose_power();
  stage_.journal.note("the gateway has stopped");
  stopping_ = false;
  if (act_ == Act::last_stop && gateway_->memory_used() != 0)
    ledger_.accuse("memory is left over after the end");
  ledger_.went_down(true);
  gateway_.reset();
  if (act_ == Act::last_stop) return last_words();
  start_later();
}

void World::change_routes() {
  if (!gateway_) return;
  if (!stage_.chance.odds(0.2)) routes_.change(stage_.chance, stage_.clock.now());
  routes_.lose_table(false);
  stage_.journal.note("the routing table changes");
  ++outcome_.reloads;
  gateway_->reload(routes_);
  stage_.agenda.at(stage_.in(seconds(2)), [this] { inspect(); });
}

/// Often it is corrected soon.
void World::jump_clock() {
  const Duration least = minutes(1);
  Duration by = stage_.chance.odds(0.5) ? stage_.chance.span(least, hours(72))
                                        : stage_.chance.span(hours(50), hours(24 * 400));
  if (stage_.chance.odds(0.4)) by = -by;
  move_clock(by);
  if (stage_.chance.odds(0.6))
    stage_.agenda.at(stage_.in(stage_.chance.span(seconds(1), minutes(30))),
                     [this, by] { move_clock(-by); });
}

/// The gateway looks at the clock each second: it has seen what came due until now.
void World::move_clock(Duration by) {
  if (gateway_) gateway_->look_at_clock();
  stage_.journal.note("the clock jumps by {} s", by.count() / 1'000'000);
  ledger_.catch_up();
  stage_.clock.set_wall(stage_.clock.now() + by);
  ledger_.clock_jumped(by);
  if (gateway_) gateway_->clock_was_set();
}

void World::inspect() {
  if (gateway_ && !stopping_) gateway_->inspect();
}

void World::spoil_disk() {
  if (!gateway_) return;
  ledger_.disk_has_trouble();
  const auto how = stage_.chance.odds(0.5) ? FaultDisk::Fault::io : FaultDisk::Fault::full;
  stage_.journal.note("the disk will fail");
  disk_.fail_operation(disk_.operations() + stage_.chance.between(1, 12), how);
}

void World::fill_disk() {
  disk_.set_free(0);
  stage_.agenda.at(stage_.in(stage_.chance.span(seconds(1), hours(1))),
                   [this] { disk_.set_free(std::uint64_t{1} << 40); });
}

void World::flush_queue() {
  if (gateway_ && !stopping_) gateway_->flush();
}

/// Everything works again, every wave is settled: whatever is left must now come to its end.
void World::calm_down() {
  if (stopping_) {  // first the stop, then the calm
    stage_.agenda.at(stage_.in(minutes(2)), [this] { calm_down(); });
    return;
  }
  act_ = Act::calm;
  stage_.journal.note("calm");
  const Weather storm = stage_.weather;
  stage_.weather = Weather{};
  stage_.weather.bulk = storm.bulk;
  stage_.weather.latency = storm.latency;
  stage_.weather.disk_latency = storm.disk_latency;
  disk_.restart_counting();
  routes_.release_all();
  routes_.lose_table(false);
  rest_by_ = stage_.in(kLongestRest);
  if (!gateway_) return;
  // An operator restarts it.
  if (gateway_->read_only() || !gateway_->journal_usable()) return lose_power();
  gateway_->reload(routes_);
  if (!let_all_go()) lose_power();
}

bool World::at_rest() const {
  if (!gateway_ || stopping_) return false;
  for (const auto& sender : senders_) {
    if (!sender->over()) return false;
  }
  return gateway_->stats().messages == 0;
}

/// What is on the disk now must be nothing.
void World::last_words() {
  act_ = Act::over;
  start_gateway();
  if (!gateway_) return ledger_.accuse("the gateway does not start again in the end");
  if (gateway_->stored_messages() != 0) ledger_.accuse("the spool is not empty in the end");
  ledger_.all_done();
}

}  // namespace waypost::sim
