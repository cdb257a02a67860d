// What stands in the journal of waves: its lines, each sealed, and whether anything of it is lost.
//
// Private to routing. Pure. A line ends in "sum":"OWN-CHAIN": OWN is over the line itself, CHAIN
// over all lines until here, so that a line that was cut out is seen, too. Lines of old journals
// have none; the first start of a version that has marks gives it to them.
#pragma once

#include "waypost/routing/waves.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// Beside the journal, so that its loss is seen: how many commands were acknowledged and which, and
/// up to when operators were told what schedules have brought. It has a check sum of its own.
struct WaveMark {
  std::uint64_t commands = 0;
  std::string chain;  // of the journal up to the last of them; empty: not known (old marks)
  std::optional<WallTime> told_until;

  std::string to_json() const;
  static Result<WaveMark> from_json(std::string_view text);
};

/// What lies in the place of the mark.
struct FoundMark {
  bool there = false;
  std::optional<WaveMark> mark;
  std::string trouble;  // it is there, but says nothing
  static FoundMark from(const Result<std::optional<std::string>>& text);
};

class WaveLines {
 public:
  /// The next line of the file. Its Error says what is wrong with it. A line that is whole, but
  /// before which others are missing, is a gap.
  Result<> take(std::string_view line);
  /// The line that this command makes behind the last that makes sense, without line break.
  std::string sealed(const WaveCommand& command) const;
  const std::vector<WaveCommand>& commands() const { return commands_; }
  /// Numbers of commands, from 1, before which something is missing.
  const std::vector<std::size_t>& gaps() const { return gaps_; }
  /// The check sum of all lines up to this command, from 1; of none: empty.
  std::string chain_of(std::size_t command) const;
  /// The last line that makes sense, with its seal if it had none.
  const std::string& last() const { return last_; }
  bool has_sealed() const { return has_sealed_; }
  bool has_unsealed() const { return has_unsealed_; }

 private:
  std::vector<WaveCommand> commands_;
  std::vector<std::string> chains_;  // one for each command
  std::vector<std::size_t> gaps_;
  std::string last_;
  bool has_sealed_ = false, has_unsealed_ = false;
  std::optional<std::string> beyond_;  // up to those that make none behind it
};

/// Collects what is wrong with a journal, then says whether its commands may be trusted.
class WaveJournalCheck {
 public:
  explicit WaveJournalCheck(std::string path) : path_(std::move(path)) {}
  void defect(std::size_t line, const std::string& why, bool last);
  void unreadable(const std::string& why) { damage_.push_back(why); }
  /// `exists`: the journal. `used_before`: this spool has had a gateway.
  void finish(bool exists, const WaveLines& lines, const FoundMark& found, bool used_before);
  /// Acknowledged commands are lost or changed. Empty: the journal is whole.
  const std::vector<std::string>& damage() const { return damage_; }
  /// What is only worth a line in the log.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  void finish_without_mark(bool exists, const WaveLines& lines, bool used_before);
  void compare(bool exists, const WaveLines& lines, const WaveMark& mark);

  std::string path_;
  std::vector<std::string> damage_, remarks_;
  std::string torn_;  // about the last line
};

}  // namespace waypost::routing
