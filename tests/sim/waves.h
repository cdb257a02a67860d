// What waves are at a time, told a second time from docs/waves.md: what the file says, what
// operators have said, what is scheduled, and whom single words are about. Without changes, bases
// and replay, so that the product's waves are checked against this, not against themselves.
#pragma once

#include "waypost/routing/waves.h"

#include "sim/stage.h"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace waypost::sim {

using routing::EntryState;
using routing::WaveVerb;

inline constexpr std::array<const char*, 3> kWaves = {"wave-1", "wave-2", "wave-3"};

/// What the configuration says of a wave.
struct WaveFile {
  std::optional<EntryState> state;
  std::optional<WallTime> hold_at, activate_at;
  bool shadow = false;
  static WaveFile drawn(Chance& chance, WallTime clock);
};
using WavesFile = std::map<std::string, WaveFile>;

/// What holds at one time.
struct Standing {
  std::map<std::string, EntryState> waves;
  std::map<std::string, EntryState> people;  // by address, whatever their wave is
  bool known = true;                         // false: nobody of a wave may go anywhere
  bool operator==(const Standing&) const = default;
};

/// What an operator says.
struct WaveWord {
  std::uint64_t number = 0;  // stands in the journal as its reason
  WaveVerb verb = WaveVerb::activate;
  std::string wave;
  std::vector<std::string> addresses = {};  // empty: the whole wave
  bool address_only = false;                // else their people, with all addresses
  std::optional<WallTime> at = {};
  WallTime said_at{};
  bool sure = true;  // it is on the disk, whatever comes
  // As it was when this was said.
  WaveFile seen = {};
  EntryState held = EntryState::pending;
};

class WaveBook {
 public:
  struct Person {
    EntryState state = EntryState::pending;
    std::string wave;  // when it was said
  };

  void file_is(const WavesFile& file) { file_ = file; }
  /// It is acknowledged.
  void say(WaveWord word);
  /// Whoever said it has heard no, or nothing: a restart may find it or not.
  void say_in_vain(WaveWord word);
  /// A restart has found these. What is wrong with that; empty: nothing.
  std::string found(const std::vector<routing::WaveCommand>& commands, bool damaged);
  /// The disk had trouble while they were found: what had not been acknowledged may go again.
  void doubt_what_was_found();
  void accept() { known_ = true; }

  Standing standing(WallTime clock) const;
  /// The next time at which a clock that runs on may change something.
  std::optional<WallTime> next_change(WallTime clock) const;
  /// True if nothing is another, now or later, for this word.
  bool is_needless(const WaveWord& word) const;
  const std::map<std::string, Person>& people() const { return people_; }
  bool known() const { return known_; }

 private:
  /// Of one wave.
  struct Story {
    std::optional<EntryState> word;  // the last that acts at once
    std::vector<std::pair<WallTime, EntryState>> scheduled;
    std::vector<std::pair<WallTime, WaveFile>> spoken;  // by which clock, before which file
  };
  WaveWord remembered(WaveWord word) const;
  void apply(const WaveWord& word);
  EntryState state(const std::string& wave, WallTime clock) const;
  WaveFile file_of(const std::string& wave) const;

  WavesFile file_;
  std::vector<WaveWord> said_, in_vain_;
  std::vector<std::uint64_t> newly_found_;
  std::map<std::string, Story> stories_;
  std::map<std::string, Person> people_;
  bool known_ = true;
};

}  // namespace waypost::sim
