// What the spool must have after the gateway went down, and what must be true at the end.
#include "sim/ledger.h"

namespace waypost::sim {

using spool::Settlement;

/// A settlement may be lost as long as nobody could expect it on the disk.
bool Ledger::crash_may_lose(const Fate& fate) const {
  if (disk_trouble_) return true;
  return !clean_stop_ && down_at_ - fate.settled_at <= settled_within_;
}

void Ledger::recovered(const std::vector<spool::StoredMessage>& found) {
  std::map<QueueId, const spool::StoredMessage*> by_found;
  for (const auto& stored : found) {
    if (!by_found.emplace(stored.ref.id, &stored).second)
      accuse("message " + stored.ref.id.to_string() + " is found twice");
    if (by_id(stored.ref.id) == nullptr)
      accuse("message " + stored.ref.id.to_string() + " is found, but was never stored");
  }
  ++life_;
  born_at_ = stage_.clock.steady_now();
  // Reports that came through count before their recipients are looked at.
  for (const auto& [id, stored] : by_found) {
    if (Letter* letter = by_id(id); letter != nullptr) note_found(*letter);
  }
  for (Letter& letter : letters_) {
    if (letter.stored == Letter::Stored::no) continue;
    if (by_id(letter.id) != &letter) continue;  // its id, never acknowledged, was given again
    const auto at = by_found.find(letter.id);
    if (at == by_found.end()) {
      check_missing(letter);
    } else {
      check_found(letter, *at->second);
    }
  }
  disk_trouble_ = clean_stop_ = false;
}

void Ledger::check_missing(Letter& letter) {
  if (letter.stored != Letter::Stored::yes) {
    letter.stored = Letter::Stored::no;
    return;
  }
  for (const std::size_t i : letter.stored_fates) {
    if (letter.fates[i].settled == Settlement::open)
      accuse(name(letter, letter.fates[i]) + " is lost: neither settled nor in the spool");
  }
}

void Ledger::note_found(Letter& letter) {
  if (letter.stored == Letter::Stored::refused)
    accuse("message " + letter.id.to_string() + " comes back, but its sender was refused");
  if (letter.stored == Letter::Stored::yes) return;
  letter.stored = Letter::Stored::yes;
  letter.stored_at = stage_.clock.steady_now();
  letter.stored_in = life_ - 1;
  if (letter.is_report()) note_report(letter.content);
}

void Ledger::check_found(Letter& letter, const spool::StoredMessage& stored) {
  if (stored.settled.size() != letter.stored_fates.size())
    return accuse("message " + letter.id.to_string() + " comes back with other recipients");
  for (std::size_t i = 0; i < stored.settled.size(); ++i) {
    Fate& fate = letter.fates[letter.stored_fates[i]];
    forget_unpromised(fate);
    fate.lies_since.reset();
    fate.routes_from = routes_.size() - 1;  // no attempt of ours runs any more
    if (stored.settled[i] != Settlement::open) {
      if (stored.settled[i] != fate.settled)
        accuse(name(letter, fate) + " is found settled otherwise than it was");
      continue;
    }
    if (fate.settled != Settlement::open) {
      if (!crash_may_lose(fate)) accuse(name(letter, fate) + " was settled, and is open again");
      fate.settled = Settlement::open;
    }
    fate.reports_before_reopened = fate.reports;
  }
}

void Ledger::all_done() {
  for (const Letter& letter : letters_) {
    if (letter.stored != Letter::Stored::yes) {
      if (letter.answer == Letter::Answer::acknowledged)
        accuse("letter " + std::to_string(letter.number) + " was acknowledged and is not stored");
      continue;
    }
    for (const std::size_t i : letter.stored_fates) {
      const Fate& fate = letter.fates[i];
      if (fate.settled == Settlement::open)
        accuse(name(letter, fate) + " is neither delivered nor failed, and nobody works on it");
      if (fate.settled == Settlement::delivered && !is_reached(letter, fate, false))
        accuse(name(letter, fate) + " counts as delivered and never arrived");
    }
    for (const Fate& fate : letter.fates) {
      const bool meant = !letter.is_report() && fate.acknowledged;
      if (meant && letter.answer == Letter::Answer::acknowledged &&
          fate.settled == Settlement::open)
        accuse(name(letter, fate) + " was acknowledged and is forgotten");
    }
  }
}

Ledger::Sums Ledger::sums() const {
  Sums sums = said_;
  for (const Letter& letter : letters_) {
    if (letter.stored != Letter::Stored::yes) continue;
    ++(letter.is_report() ? sums.reports : sums.letters);
    for (const std::size_t i : letter.stored_fates) {
      const Fate& fate = letter.fates[i];
      ++sums.recipients;
      sums.copies += fate.copies.size();
      sums.doubled += fate.copies.size() > 1;
      sums.failed += fate.settled == Settlement::failed || fate.settled == Settlement::reported;
    }
  }
  return sums;
}

}  // namespace waypost::sim
