// Waves: what they are at each time, as the book has it, and what follows for waiting mail.
#include "sim/ledger.h"

namespace waypost::sim {
namespace {

/// The gateway looks at the clock each second.
constexpr auto kLooksWithin = seconds(2);

}  // namespace

void Ledger::routes_are(const Routes& routes) {
  catch_up();
  table_ = routes;
  waves_.file_is(routes.waves_file());
  said_at_ = stage_.clock.steady_now();
  routes_.emplace_back(said_at_, table_.at(waves_.standing(stage_.clock.now())));
}

/// From now on routing is what the table says while the waves are this.
void Ledger::stand(SteadyTime when, WallTime clock) {
  if (routes_.empty()) return;
  const Standing standing = waves_.standing(clock);
  if (routes_.back().second.standing() == standing) return;
  routes_.emplace_back(when, table_.at(standing));
  said_at_ = std::max(said_at_, when + kLooksWithin);
}

void Ledger::catch_up() {
  const WallTime now = stage_.clock.now();
  for (auto at = waves_.next_change(caught_up_); at && *at <= now; at = waves_.next_change(*at)) {
    ++said_.wave_schedules_due;
    stand(stage_.clock.steady_now() - (now - *at), *at);
    caught_up_ = *at;
  }
  caught_up_ = now;
}

/// REQUIRES: caught up before.
void Ledger::clock_jumped(Duration by) {
  wall_ahead_.emplace_back(stage_.clock.steady_now(), wall_ahead_.back().second + by);
  caught_up_ = stage_.clock.now();
  stand(stage_.clock.steady_now(), caught_up_);
}

SteadyTime Ledger::next_wave_change() const {
  const WallTime now = stage_.clock.now();
  const auto next = waves_.next_change(now);
  return next ? stage_.in(*next - now) : SteadyTime::max();
}

/// Who is meant: by default each named person with all addresses.
WaveWord Ledger::with_people(WaveWord word) const {
  const auto named = word.addresses;
  for (const std::string& address : named) {
    if (word.address_only) continue;
    for (const std::string& other : table_.person_of(address)) {
      if (std::find(word.addresses.begin(), word.addresses.end(), other) == word.addresses.end())
        word.addresses.push_back(other);
    }
  }
  return word;
}

void Ledger::wave_word(const WaveWord& word) {
  catch_up();
  ++said_.wave_words;
  waves_.say(with_people(word));
  stand(stage_.clock.steady_now(), stage_.clock.now());
}

void Ledger::wave_word_in_vain(const WaveWord& word) {
  ++said_.wave_words_in_vain;
  waves_.say_in_vain(with_people(word));
}

void Ledger::wave_word_needless(const WaveWord& word) {
  catch_up();
  if (!waves_.is_needless(with_people(word)))
    accuse("word " + std::to_string(word.number) + " about " + word.wave +
           " is said to change nothing, and would");
}

void Ledger::waves_found(const std::vector<routing::WaveCommand>& commands, bool damaged) {
  catch_up();
  const std::string wrong = waves_.found(commands, damaged);
  if (!wrong.empty()) accuse(wrong);
  stand(stage_.clock.steady_now(), stage_.clock.now());
}

void Ledger::waves_accepted() {
  waves_.accept();
  stand(stage_.clock.steady_now(), stage_.clock.now());
}

void Ledger::waves_told(const std::map<std::string, EntryState>& told) {
  catch_up();
  const Standing standing = waves_.standing(stage_.clock.now());
  for (const auto& [wave, state] : standing.waves) {
    const auto one = told.find(wave);
    const EntryState is = one == told.end() ? EntryState::pending : one->second;
    if (is != state)
      accuse(wave + " is said to be " + std::string(routing::to_string(is)) + " and is " +
             std::string(routing::to_string(state)));
  }
}

void Ledger::in_no_delivery(const std::vector<queue::ListedMessage>& listed) {
  catch_up();
  for (const queue::ListedMessage& message : listed) {
    Letter* letter = by_id(message.id);
    if (letter == nullptr) continue;
    for (const queue::ListedRecipient& one : message.open) {
      if (one.index >= letter->stored_fates.size()) continue;
      Fate& fate = letter->fates[letter->stored_fates[one.index]];
      const bool lies =
          one.state == queue::RecipientState::ready || one.state == queue::RecipientState::waiting;
      if (!lies) fate.lies_since.reset();
      if (lies && !fate.lies_since) fate.lies_since = routes_.size() - 1;
      if (one.state != queue::RecipientState::active) fate.routes_from = routes_.size() - 1;
    }
  }
}

/// Whoever is held by a wave goes as soon as the wave lets go.
void Ledger::check_held(const Letter& letter, const Fate& fate, const queue::ListedRecipient& one) {
  if (one.why != "its wave is migrating") return;
  if (const auto place = place_of(fate, routes_.back().second))
    accuse(name(letter, fate) + " is held as of a wave that is migrating, and should go by " +
           place->hop);
}

}  // namespace waypost::sim
