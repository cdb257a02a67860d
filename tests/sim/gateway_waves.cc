// Waves in the simulated gateway, wired as app's gateway_waves.cc and gateway_wave_journal.cc do
// it.
#include "waypost/routing/wave_facts.h"
#include "waypost/routing/wave_turns.h"

#include "app/wave_view.h"
#include "sim/gateway.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <set>

namespace waypost::sim {

void Gateway::open_waves(FaultDisk& disk, QueueId highest) {
  const std::string folder = settings_.spool.directory;
  table_size_ = std::make_unique<DurableFile>(disk, folder + "/table.size");
  const bool used_before = disk.open(table_size_->path(), false).has_value() || highest.value > 0;
  wave_journal_ = routing::WaveJournal::open(
      disk, folder + "/waves.journal",
      [this](const std::string& line) { stage_.journal.note("{}", line); }, used_before);
  const WallTime now = stage_.clock.now();
  waves_seen_at_ = std::min(wave_journal_->told_until().value_or(now), now);
  if (auto kept = wave_journal_->tell_until(waves_seen_at_); !kept)
    stage_.journal.note("{}", kept.error().message);
}

std::shared_ptr<const routing::Waves> Gateway::waves_now() const {
  return routing::Waves::make(configured_waves_, wave_journal_->commands(),
                              routing::wave_trouble(wave_journal_->damage()));
}

void Gateway::use_table(const Routes& routes) {
  configured_waves_ = routes.options().waves;
  router_.set(routes.router(waves_now()));
  if (routes.is_lost()) return;
  if (auto kept = table_size_->replace("{}\n"); !kept)
    stage_.journal.note("{}", kept.error().message);
}

bool Gateway::accept_waves() {
  const auto aside = wave_journal_->accept(stage_.clock.now());
  if (!aside) return false;
  stage_.journal.note("an operator accepts the waves' journal");
  router_.set(router_.get()->with_waves(waves_now()));
  ledger_.waves_accepted();
  for (const char* wave : kWaves) ask_wave(wave, 0);
  look_at_clock_later();
  return true;
}

/// Empty: all of them are people of the wave.
std::string Gateway::strangers_to(const routing::WaveCommand& command) const {
  const auto router = router_.get();
  for (const auto& member : command.members) {
    const auto entry = router->table().find(member);
    const auto word = router->waves().words().find(member);
    const bool renamed = command.verb == WaveVerb::reset && word != router->waves().words().end() &&
                         word->second.wave == command.wave;
    if ((!entry || entry->wave != command.wave) && !renamed) return member;
  }
  return {};
}

void Gateway::name_all_addresses(routing::WaveCommand& command) const {
  const auto router = router_.get();
  auto entries = routing::entries_of_people(router->table(), command.members);
  const std::set<std::string> named(command.members.begin(), command.members.end());
  std::set<std::string> keys = named;
  for (const auto& entry : entries) {
    const auto key = routing::normalise_key(entry.address);
    if (key && (!command.address_only || named.contains(*key))) keys.insert(*key);
  }
  command.members.assign(keys.begin(), keys.end());
  routing::note_targets(*router, command);
}

Gateway::Said Gateway::say_of_wave(const WaveWord& word) {
  routing::WaveCommand command;
  command.verb = word.verb;
  command.wave = word.wave;
  command.members = word.addresses;
  command.address_only = word.address_only;
  command.at = word.at;
  command.said_at = word.said_at;
  command.by = "operator";
  command.reason = std::to_string(word.number);
  look_at_clock();
  const auto before = router_.get();
  if (!strangers_to(command).empty() || !waves_known()) return Said::refused;
  command.configured = routing::configured(configured_waves_, command.wave);
  if (!command.members.empty()) name_all_addresses(command);
  const auto* wave = before->waves().find(command.wave);
  if (command.verb == WaveVerb::cancel)
    command.holds = wave != nullptr ? wave->state_at(command.said_at) : EntryState::pending;
  if (!app::out_of_place(before->waves(), command).empty()) return Said::refused;
  if (!app::nothing_to_do(before->waves(), command).empty()) {
    ledger_.wave_word_needless(word);
    return Said::needless;
  }
  if (auto kept = wave_journal_->append(command); !kept) {
    stage_.journal.note("word {} is not taken: {}", word.number, kept.error().message);
    ledger_.wave_word_in_vain(word);
    return Said::failed;
  }
  stage_.journal.note("word {}: {} {}{}{}", word.number, routing::to_string(word.verb), word.wave,
                      word.addresses.empty() ? "" : " member " + word.addresses.front(),
                      word.at ? " at " + routing::format_time(*word.at) : "");
  router_.set(before->with_waves(waves_now()));
  ledger_.wave_word(word);
  if (!word.at) {
    std::set<std::string> touched{command.wave};
    for (const auto& member : command.members)
      if (const auto entry = before->table().find(member); entry && !entry->wave.empty())
        touched.insert(entry->wave);
    for (const auto& one : touched) boost::asio::post(shard_.io, [this, one] { ask_wave(one, 0); });
  }
  note_idle();
  look_at_clock_later();
  return Said::done;
}

/// Mail goes on between two slices.
void Gateway::ask_wave(const std::string& wave, std::uint32_t from) {
  const auto done = queue_->ask_again(wave, queue::Slice{from});
  spool_has_work();
  if (done.next == 0) return;
  boost::asio::post(shard_.io, [this, wave, next = done.next] { ask_wave(wave, next); });
}

/// Up to a second later than it could be.
void Gateway::look_at_clock_later() {
  const SteadyTime next = ledger_.next_wave_change();
  if (next == SteadyTime::max()) return;
  look_due_ = std::min(look_due_, next + Duration(stage_.chance.below(1'000'000)));
}

void Gateway::clock_was_set() {
  look_due_ = std::min(look_due_, stage_.in(Duration(stage_.chance.below(1'000'000))));
}

void Gateway::look_at_clock() {
  const WallTime now = stage_.clock.now();
  const WallTime seen = std::exchange(waves_seen_at_, now);
  look_due_ = SteadyTime::max();
  look_at_clock_later();
  note_idle();
  if (!waves_known()) return;
  const auto turns = routing::turns_between(router_.get()->waves(), seen, now);
  for (const auto& turn : turns) {
    stage_.journal.note("{} is {} {}", turn.wave, routing::to_string(turn.change.to),
                        turn.back ? "again" : "now, as scheduled");
    boost::asio::post(shard_.io, [this, wave = turn.wave] { ask_wave(wave, 0); });
  }
  if (turns.empty()) return;
  wave_turned_ = true;
  if (auto kept = wave_journal_->tell_until(now); !kept)
    stage_.journal.note("{}", kept.error().message);
}

}  // namespace waypost::sim
