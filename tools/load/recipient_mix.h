// Who the messages go to: drawn from the routing table by wave and weight, with unknown and foreign
// addresses mixed in.
//
// RecipientMix: immutable after make(), shared by all threads. A draw depends on the seed and the
// message's number alone: the same run again sends the same mail.
#pragma once

#include "waypost/base/result.h"

#include "load/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::load {

enum class RecipientKind : std::uint8_t { known, unknown, foreign };
char letter(RecipientKind kind);
std::optional<RecipientKind> kind_of(char letter);
/// In logs, instead of the letter of a known address: no report was to be sent (NOTIFY=NEVER).
inline constexpr char kGroupMember = 'g';
/// The name of the wave of who is of none.
inline constexpr std::string_view kNoWave = "-";

struct WaveWeight {
  std::string wave;
  double weight = 1;
};
/// "pilot=3" or "pilot"
Result<WaveWeight> parse_wave(std::string_view text);

struct RecipientOptions {
  std::vector<std::string> addresses;  // given by name
  std::string table_file;              // a routing table
  std::vector<WaveWeight> waves;    // empty: every entry the same chance; "-": entries of no wave
  std::vector<std::string> states;  // entries that are drawn; empty: active
  double unknown_share = 0, foreign_share = 0;
  double group_share = 0.05;  // of the known ones
  std::string foreign_domain = "elsewhere.example";
  std::uint32_t per_message = 1;
  std::uint64_t burst_every = 0;  // every Nth message goes to burst_recipients; 0: none
  std::uint32_t burst_recipients = 1000;
  std::uint64_t seed = 1;
};

struct Recipient {
  std::string address;
  std::string expected;  // where it must arrive; empty for unknown
  RecipientKind kind = RecipientKind::known;
  bool group_member = false;  // a group was expanded to it, and the group wants no reports
};

class RecipientMix {
 public:
  static Result<RecipientMix> make(const RecipientOptions& options);
  /// Recipients of message `sequence`; `wave` is the first one's, an index into waves().
  void draw(std::uint64_t sequence, std::vector<Recipient>& into, std::uint16_t& wave) const;
  const std::vector<std::string>& waves() const { return waves_; }
  /// What the draw takes from, in words.
  const std::string& description() const { return description_; }

 private:
  struct Person {
    std::string address, target;
  };
  struct Group {
    std::vector<Person> people;
    double limit = 1;  // cumulated weight
    std::uint16_t wave = 0;
  };
  Result<> load_table();
  void set_limits();
  const Group& group(double at) const;
  void draw_one(Random& random, Recipient& into, std::uint16_t& wave) const;

  RecipientOptions options_;
  std::vector<Group> groups_;
  std::vector<std::string> waves_;
  std::string description_;
};

}  // namespace waypost::load
