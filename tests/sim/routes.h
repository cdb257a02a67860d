// The routing table of a schedule, and what it means, told once more in a few lines: the product's
// routing is checked against this, not against itself.
#pragma once

#include "waypost/routing/router.h"

#include "sim/waves.h"

#include <array>
#include <optional>
#include <vector>

namespace waypost::sim {

inline constexpr std::size_t kUsers = 8;
inline constexpr const char* kOwnDomain = "corp.example";
inline constexpr const char* kTargetDomain = "orgname.awsapps.com";

struct Place {
  mail::Mailbox address;
  std::string hop;
  bool operator==(const Place&) const = default;
};

class Routes {
 public:
  static Routes drawn(Chance& chance, WallTime clock);
  /// What an operator does to a table: states and waves change, in the file too, targets change,
  /// people go.
  void change(Chance& chance, WallTime clock);
  /// The end of the migration: the table itself holds nobody and lets nobody wait.
  void release_all();
  void lose_table(bool lost) { lost_ = lost; }
  /// The same table while the waves are this.
  Routes at(Standing standing) const;
  const WavesFile& waves_file() const { return file_; }
  bool is_lost() const { return lost_; }
  const Standing& standing() const { return standing_; }
  /// All addresses of the person who has this one, by the table; empty: it is not in it.
  std::vector<std::string> person_of(const std::string& address) const;
  /// An address of the wave; empty: it has none.
  std::string drawn_member(Chance& chance, const std::string& wave) const;
  bool old_system_works() const { return !pending_hop_.empty(); }

  /// Where mail for this address may go now, further targets of its entry behind the first; empty:
  /// nowhere (held, unknown, not ours).
  std::vector<Place> places(const mail::Mailbox& original) const;
  /// The same for mail that is held while its entry is migrating: where it will go.
  std::vector<Place> places_in_the_end(const mail::Mailbox& original) const;
  /// Where mail for this address may go now if it is accepted now; nullopt: nowhere.
  std::optional<Place> where(const mail::Mailbox& original) const;
  /// Nowhere for now only: the table is lost, or the entry waits for something.
  bool waits(const mail::Mailbox& original) const;
  /// Held in the spool now: on the move.
  bool holds(const mail::Mailbox& original) const;
  routing::Options options() const;
  std::shared_ptr<const routing::Router> router(std::shared_ptr<const routing::Waves> waves) const;

 private:
  /// A person: the entry of the main address and perhaps that of another.
  struct Row {
    bool present = true;
    std::optional<EntryState> own;        // written in the entry
    std::string wave, other_wave;         // of the main and the other address; empty: none
    bool other = false;                   // there is another address
    std::vector<unsigned> targets = {0};  // the mailbox, then who gets a copy
    unsigned next_target = 1;
  };
  /// One address, without its suffix.
  struct Found {
    std::size_t user = 0;
    EntryState state = EntryState::active;
    bool known = true;  // false: it is of a wave, and nobody knows what that is
  };
  std::optional<Found> find(const mail::Mailbox& address) const;
  Found look_at(std::size_t user, bool other) const;
  /// Entries with this target.
  std::vector<Found> owners_of(const mail::Mailbox& target) const;
  static constexpr unsigned kArchive = 1000;  // the same mailbox in whatever row
  static std::string local_of(std::size_t user, unsigned target) {
    return target == kArchive ? "archive"
                              : "u" + std::to_string(user) + "." + std::to_string(target);
  }
  static std::string address_of(std::size_t user, bool other);
  static std::string drawn_wave(Chance& chance);
  static void change_targets(Chance& chance, Row& row);
  static void change_state(Chance& chance, Row& row);
  void add_entries(routing::TableSource& source, std::size_t user) const;
  std::array<Row, kUsers> rows_;
  WavesFile file_;
  Standing standing_;
  std::string pending_hop_, default_hop_;
  bool unknown_defers_ = false, lost_ = false;
};

}  // namespace waypost::sim
