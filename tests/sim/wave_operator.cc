// An operator who says things of the waves, in nights that go wrong.
#include "sim/world.h"

namespace waypost::sim {

using routing::state_after;

WaveWord World::new_word(WaveVerb verb, std::string wave) {
  WaveWord word;
  word.number = ++wave_words_;
  word.verb = verb;
  word.wave = std::move(wave);
  word.said_at = stage_.clock.now();
  return word;
}

Gateway::Said World::say_of_wave(WaveWord word) {
  word.said_at = stage_.clock.now();
  const auto said = gateway_->say_of_wave(word);
  stage_.agenda.at(stage_.in(seconds(4)), [this] { inspect(); });
  return said;
}

void World::give_wave_word() {
  if (!gateway_ || stopping_) return;
  Chance& chance = stage_.chance;
  if (!gateway_->waves_known() && chance.odds(0.5)) {
    gateway_->accept_waves();
    return;
  }
  constexpr WaveVerb kVerbs[] = {WaveVerb::hold,     WaveVerb::hold,     WaveVerb::activate,
                                 WaveVerb::activate, WaveVerb::rollback, WaveVerb::rollback,
                                 WaveVerb::reset,    WaveVerb::cancel,   WaveVerb::shadow,
                                 WaveVerb::unshadow};
  WaveWord word =
      new_word(kVerbs[chance.below(std::size(kVerbs))], kWaves[chance.below(kWaves.size())]);
  const bool about_state = word.verb != WaveVerb::cancel && word.verb != WaveVerb::shadow &&
                           word.verb != WaveVerb::unshadow;
  if (about_state && chance.odds(0.3)) {
    name_members(word);
  } else if (about_state && chance.odds(0.4)) {
    word.at = drawn_time();
    stage_.agenda.at(stage_.in(*word.at - word.said_at + seconds(4)), [this] { inspect(); });
  }
  // The machine may go down, or its disk fail, while the word is written.
  if (chance.odds(0.12)) {
    disk_.stop_at(disk_.operations() + chance.between(1, 12));
  } else if (chance.odds(0.06)) {
    ledger_.disk_has_trouble();
    disk_.fail_operation(disk_.operations() + chance.between(1, 8),
                         chance.odds(0.5) ? FaultDisk::Fault::io : FaultDisk::Fault::full);
  }
  say_of_wave(word);
  // Second thoughts, and a machine whose clock is corrected in the middle of it.
  if (chance.odds(0.5)) {
    stage_.agenda.at(stage_.in(chance.span(seconds(1), hours(1))), [this] {
      if (act_ == Act::storm) give_wave_word();
    });
  }
  if (chance.odds(0.15)) {
    stage_.agenda.at(stage_.in(chance.span(seconds(1), hours(1))), [this] {
      if (act_ == Act::storm) jump_clock();
    });
  }
}

/// In the near future; often a whole minute, so that several words mean the same time.
WallTime World::drawn_time() {
  Chance& chance = stage_.chance;
  const WallTime at = stage_.clock.now() + chance.span(seconds(1), hours(3));
  if (chance.odds(0.4)) return at;
  return std::chrono::floor<minutes>(at) + minutes(5);
}

void World::name_members(WaveWord& word) {
  Chance& chance = stage_.chance;
  const auto& people = ledger_.waves().people();
  if (word.verb == WaveVerb::reset && !people.empty()) {
    const auto person =
        std::next(people.begin(), static_cast<std::ptrdiff_t>(chance.below(people.size())));
    word.wave = person->second.wave;
    word.addresses = {person->first};
  } else {
    for (std::uint64_t n = chance.between(1, 2); n > 0; --n) {
      const std::string member = routes_.drawn_member(chance, word.wave);
      if (!member.empty() && (word.addresses.empty() || word.addresses.front() != member))
        word.addresses.push_back(member);
    }
  }
  word.address_only = !word.addresses.empty() && chance.odds(0.3);
}

/// The end of the migration: each wave is through or has gone back, and nobody has a way of their
/// own. False: a restart is needed first.
bool World::settle_waves() {
  if (!gateway_->waves_known() && !gateway_->accept_waves()) return false;
  const bool back = routes_.old_system_works() && stage_.chance.odds(0.3);
  for (const char* wave : kWaves) {
    const auto verb = back ? WaveVerb::rollback : WaveVerb::activate;
    if (say_of_wave(new_word(verb, wave)) == Gateway::Said::failed) return false;
  }
  const auto people = ledger_.waves().people();
  for (const auto& [address, person] : people) {
    if (!ledger_.waves().people().contains(address)) continue;  // with another of the same person
    WaveWord word = new_word(WaveVerb::reset, person.wave);
    word.addresses = {address};
    const auto said = say_of_wave(word);
    if (said == Gateway::Said::failed) return false;
    if (said != Gateway::Said::done)
      ledger_.accuse("a word about " + address + " can't be taken back");
  }
  return true;
}

}  // namespace waypost::sim
