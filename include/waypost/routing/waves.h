// Waves: groups of people who move together, and what each wave is at each time.
//
// Waves: an immutable snapshot, part of a Router, shared by all threads. What the configuration
// says and what operators have said (WaveJournal) add up to what holds now and a list of changes to
// come. So a schedule needs no timer to be right, and explain can ask about any time to come. What
// was said to act at once acts by its place in the journal: a clock that is corrected undoes
// nothing. Names of waves compare octet by octet.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/disk.h"
#include "waypost/base/result.h"
#include "waypost/routing/table.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waypost::routing {

/// One wave as the configuration has it.
struct WaveOptions {
  std::string name;
  std::optional<EntryState> state;  // from the beginning; nullopt: pending
  std::optional<WallTime> hold_at;  // migrating from then on
  std::optional<WallTime> activate_at;
  bool shadow = false;       // while pending: decide and log the new route, use the old one
  std::string members_file;  // addresses, one a line, that are of this wave; empty: none
  std::uint32_t line = 0;    // in the configuration
};

enum class WaveVerb : std::uint8_t { hold, activate, rollback, reset, shadow, unshadow, cancel };
std::string_view to_string(WaveVerb verb);
/// The state that a wave has after hold, activate, rollback and reset (pending); nullopt for the
/// others.
std::optional<EntryState> state_after(WaveVerb verb);

/// The time of a wave's first change: what it is before anybody says anything.
inline constexpr WallTime kBeginningOfTime = WallTime::min();

/// A wave is `to` from `at` on.
struct WaveChange {
  WallTime at{};
  EntryState to = EntryState::pending;
  std::string by;      // "root (uid 0)"; "configuration"
  WallTime said_at{};  // when it was said; before `at`: scheduled
  std::string reason;  // empty: none
};

/// True of what the configuration says, false of what somebody has said.
bool is_configured(const WaveChange& change);

struct Wave {
  std::string name;
  /// What has been is in front of `base`, in the order in which it was said. changes[base] holds
  /// whatever the clock says: it is the last word that acts at once. Behind it, by `at`, stands
  /// what is scheduled.
  std::vector<WaveChange> changes;
  std::size_t base = 0;
  bool shadow = false;
  /// People who do not follow their wave, by normalised key (an operator has said so of this wave).
  std::map<std::string, EntryState, std::less<>> members;
  bool schedule_replaced = false;  // a command has overruled what the configuration schedules
  /// What the configuration schedules in vain, each with the word that overrules it.
  struct Overruled {
    WaveChange configured, by;
    WaveVerb verb = WaveVerb::cancel;  // of `by`
    bool knowingly = false;            // the word knew of this schedule; else it was said before
  };
  std::vector<Overruled> overruled;
  bool state_overruled = false;  // its configured state was changed after the word that holds

  /// What holds at this time. REQUIRES: the time is not before the last word (what held before is
  /// history, and the clock may have been corrected since).
  const WaveChange& change_at(WallTime at) const;
  EntryState state_at(WallTime at) const { return change_at(at).to; }
  /// What holds next, after `at`: of several changes in one second the last.
  const WaveChange* next_after(WallTime at) const;
  /// All that is scheduled after `at`, in order.
  std::vector<WaveChange> scheduled_after(WallTime at) const;
};

/// What an operator has said of one person, in whatever wave this person is by now.
struct MemberWord {
  EntryState state = EntryState::pending;
  std::string wave;  // when it was said
  std::string by, reason;
  WallTime said_at{};
  bool address_only = false;  // of this address, not of the person's others
  std::string target;         // the address's, normalised, when it was said; empty: not known
  std::size_t number = 0;     // its command's place in the journal, from 1
};

/// What the configuration said of a wave when somebody said something of it.
struct WaveConfigured {
  std::optional<EntryState> state;
  std::optional<WallTime> hold_at, activate_at;
  bool shadow = false;
  bool operator==(const WaveConfigured&) const = default;
};
WaveConfigured configured(const std::vector<WaveOptions>& options, std::string_view wave);

/// What an operator says. hold, activate, rollback and reset without `at` (or with one that has
/// passed) act from their place in the journal on, whatever the clock says later, and drop every
/// scheduled change, the configuration's too; with `at` they are scheduled beside those of the same
/// wave. `cancel` drops what is scheduled. A word drops and overrules only what the configuration
/// said at that time: what is written there afterwards is new. With `members` only these people
/// change (never scheduled), until somebody says otherwise: neither a word about the whole wave nor
/// another wave in the table touches them; `reset` lets them follow their wave again. Addresses
/// that get the target of such a person later follow the word.
struct WaveCommand {
  WaveVerb verb = WaveVerb::activate;
  std::string wave;
  std::vector<std::string> members;  // normalised keys; empty: the whole wave
  /// The normalised target of each member then, in the same order; "": it had left the table. No
  /// list: not known, as in the lines of old journals.
  std::vector<std::string> targets;
  std::optional<WallTime> at;
  WallTime said_at{};
  std::string by;
  std::string reason;
  std::uint64_t people = 0;     // how many it touched, for the record
  std::uint64_t addresses = 0;  // of these people; 0: not known (people were counted by address)
  std::uint64_t queued = 0;     // recipients of queued mail that it touched
  bool address_only = false;    // `members` are addresses, not all of which a person has
  /// cancel: what the wave was, and goes on to be; nullopt: not known (old lines).
  std::optional<EntryState> holds;
  /// nullopt: not known, as in the lines of old journals.
  std::optional<WaveConfigured> configured;
};

class Waves {
 public:
  /// An address, and what was said of it.
  using Word = std::pair<const std::string, MemberWord>;
  Waves() = default;
  Waves(const Waves&) = delete;
  Waves& operator=(const Waves&) = delete;
  /// `options` first, then `commands` in their order. `trouble`: why it is not known what operators
  /// have said (empty: it is): no entry of a wave may be routed by it.
  static std::shared_ptr<const Waves> make(const std::vector<WaveOptions>& options,
                                           const std::vector<WaveCommand>& commands,
                                           std::string trouble = {});
  /// nullptr: nobody has said anything of this wave; it is pending.
  const Wave* find(std::string_view name) const;
  const std::map<std::string, Wave, std::less<>>& all() const { return waves_; }
  /// Of single people, by normalised key.
  const std::map<std::string, MemberWord, std::less<>>& words() const { return words_; }
  /// The word that counts for an address of the table: what was said of it, else the last that was
  /// said of its person, so that an address which the person gets later follows. nullptr: none.
  /// `person`: makes the normalised target, only if it is asked for.
  template <class Person>
  const Word* word_for(std::string_view key, Person person) const {
    if (const auto own = words_.find(key); own != words_.end()) return &*own;
    if (people_.empty() || apart_.contains(key)) return nullptr;
    const auto said = people_.find(person());
    return said == people_.end() ? nullptr : said->second;
  }
  const std::string& trouble() const { return trouble_; }
  /// When the next scheduled change of any wave takes effect.
  std::optional<WallTime> next_change_after(WallTime at) const;

 private:
  void say_of_members(const WaveCommand& command, std::size_t number);
  void note_people();

  std::map<std::string, Wave, std::less<>> waves_;
  std::map<std::string, MemberWord, std::less<>> words_;
  std::map<std::string, const Word*, std::less<>> people_;    // by target: the last word about it
  std::map<std::string, std::size_t, std::less<>> reset_at_;  // by target: its last reset
  std::set<std::string, std::less<>> apart_;  // reset by themselves: no word about the person
  std::string trouble_;
};

/// What operators have said of the waves: a file of JSON lines, kept for good (it is the history).
///
/// One per process, main thread. append() returns when the line and its mark are on stable storage;
/// after a failed write the command did not happen. The mark beside the file knows how many
/// commands were acknowledged, and which: a torn last line that was not among them is left out;
/// everything else of the two files that is missing, changed or can't be read is damage(), and then
/// nothing is appended until accept().
class WaveJournal {
 public:
  /// `complain` is told of everything that is not as it should be, now and later. `used_before`:
  /// this spool has had a gateway, so that a journal or a mark must be there.
  static std::unique_ptr<WaveJournal> open(Disk& disk, const std::string& path,
                                           std::function<void(const std::string&)> complain,
                                           bool used_before = false);
  virtual ~WaveJournal() = default;
  virtual const std::vector<WaveCommand>& commands() const = 0;
  /// What is wrong, each with its place; empty: what was said is known.
  virtual const std::vector<std::string>& damage() const = 0;
  virtual Result<> append(const WaveCommand& command) = 0;
  /// The operator takes what can be read for all that was said. Gives the name under which the
  /// damaged file is kept; empty: there was none.
  virtual Result<std::string> accept(WallTime now) = 0;
  /// Up to when operators were told what schedules have brought; nullopt: never.
  virtual std::optional<WallTime> told_until() const = 0;
  virtual Result<> tell_until(WallTime at) = 0;
};

/// The journal as it lies there, for a look; writes nothing.
struct WaveRecord {
  std::vector<WaveCommand> commands;
  std::vector<std::string> damage;
};
/// `used_before`: as in open(). An Error: the journal can't be read.
Result<WaveRecord> read_wave_journal(const std::string& path, bool used_before = false);

/// One sentence about damage and what to do; empty if there is none.
std::string wave_trouble(const std::vector<std::string>& damage);

/// One object, one line, without line break.
std::string to_json(const WaveCommand& command);
/// ErrorKind::invalid names the member that makes no sense.
Result<WaveCommand> wave_command_from_json(std::string_view text);

/// "2026-12-01T02:00:00Z", "2026-12-01T02:00:00+01:00", "2026-12-01 02:00 Europe/Berlin" (IANA
/// names) or "2026-12-01 02:00 UTC", "now", "+2h". Seconds may be left out. ErrorKind::invalid says
/// what is wrong: a time without a zone, whose meaning would be a guess, is refused, and so is a
/// local time that a change of clocks leaves out or repeats.
Result<WallTime> parse_time(std::string_view text, WallTime now);
/// "2026-12-01T02:00:00Z".
std::string format_time(WallTime at);

}  // namespace waypost::routing
