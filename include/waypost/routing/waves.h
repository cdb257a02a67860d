// Waves: groups of people who move together, and what each wave is at each time.
//
// Waves: an immutable snapshot, part of a Router, shared by all threads. What the configuration
// says and what operators have said (WaveJournal) add up to a list of changes in order of time; the
// state at a time is that of the last change that is not later. So a schedule needs no timer to be
// right, and explain can ask about any time. Names of waves compare octet by octet.
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
#include <string>
#include <string_view>
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

struct Wave {
  std::string name;
  std::vector<WaveChange> changes;  // by `at`; the first is of kBeginningOfTime
  bool shadow = false;
  /// People who do not follow their wave, by normalised key (an operator has said so).
  std::map<std::string, EntryState, std::less<>> members;
  bool schedule_replaced = false;  // a command has overruled what the configuration schedules

  EntryState state_at(WallTime at) const;
  /// The next scheduled change after `at`.
  const WaveChange* next_after(WallTime at) const;
};

enum class WaveVerb : std::uint8_t { hold, activate, rollback, reset, shadow, unshadow, cancel };
std::string_view to_string(WaveVerb verb);
/// The state that a wave has after hold, activate, rollback and reset (pending); nullopt for the
/// others.
std::optional<EntryState> state_after(WaveVerb verb);

/// What an operator says. hold, activate, rollback and reset without `at` (or with one that has
/// passed) act now and drop every scheduled change, the configuration's too; with `at` they are
/// scheduled beside those of the same wave. `cancel` drops what is scheduled. With `members` only
/// these people change (never scheduled), until somebody says otherwise: a word about the whole
/// wave does not touch them; `reset` lets them follow their wave again.
struct WaveCommand {
  WaveVerb verb = WaveVerb::activate;
  std::string wave;
  std::vector<std::string> members;  // normalised keys; empty: the whole wave
  std::optional<WallTime> at;
  WallTime said_at{};
  std::string by;
  std::string reason;
  std::uint64_t people = 0;  // how many it touched, for the record
  std::uint64_t queued = 0;  // recipients of queued mail that it touched
};

class Waves {
 public:
  /// `options` first, then `commands` in their order.
  static std::shared_ptr<const Waves> make(const std::vector<WaveOptions>& options,
                                           const std::vector<WaveCommand>& commands);
  /// nullptr: nobody has said anything of this wave; it is pending.
  const Wave* find(std::string_view name) const;
  const std::map<std::string, Wave, std::less<>>& all() const { return waves_; }
  /// When the next scheduled change of any wave takes effect.
  std::optional<WallTime> next_change_after(WallTime at) const;

 private:
  std::map<std::string, Wave, std::less<>> waves_;
};

/// What operators have said of the waves: a file of JSON lines, kept for good (it is the history).
///
/// One per process, main thread; an AppendJournal (base/durable.h). append() returns when the line
/// is on stable storage; after a failed write the command did not happen, and after a failed sync
/// the journal takes no more until a restart. A torn last line (a crash: it was never acknowledged)
/// is left out; a line in the middle that makes no sense is skipped and told to `complain`.
class WaveJournal {
 public:
  static Result<std::unique_ptr<WaveJournal>> open(
      const std::string& path, const std::function<void(const std::string&)>& complain,
      Disk& disk = Disk::system());
  virtual ~WaveJournal() = default;
  virtual const std::vector<WaveCommand>& commands() const = 0;
  virtual Result<> append(const WaveCommand& command) = 0;
};

/// One object, one line, without line break.
std::string to_json(const WaveCommand& command);
/// ErrorKind::invalid names the member that makes no sense.
Result<WaveCommand> wave_command_from_json(std::string_view text);

/// "2026-12-01T02:00:00Z", "2026-12-01T02:00:00+01:00", "2026-12-01 02:00 Europe/Berlin" (IANA
/// names), "2026-12-01 02:00" (UTC), "now", "+2h". Seconds may be left out. ErrorKind::invalid says
/// what is wrong; a local time that a change of clocks leaves out or repeats is refused and named.
Result<WallTime> parse_time(std::string_view text, WallTime now);
/// "2026-12-01T02:00:00Z".
std::string format_time(WallTime at);

}  // namespace waypost::routing
