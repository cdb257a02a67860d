// The routing table of a schedule, and what it means, told once more in a few lines: the product's
// routing is checked against this, not against itself.
#pragma once

#include "waypost/routing/router.h"

#include "sim/stage.h"

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
  static Routes drawn(Chance& chance);
  /// What an operator does to a table: waves move on, are rolled back, targets change, people go.
  void change(Chance& chance);
  /// The end of the migration: nobody is held or waits any more.
  void release_all();
  void lose_table(bool lost) { lost_ = lost; }

  /// Where mail for this address may go now, further targets of its entry behind the first; empty:
  /// nowhere (held, unknown, not ours).
  std::vector<Place> places(const mail::Mailbox& original) const;
  /// The same for mail that is held while its entry is migrating: where it will go.
  std::vector<Place> places_in_the_end(const mail::Mailbox& original) const;
  /// Where mail for this address may go now if it is accepted now; nullopt: nowhere.
  std::optional<Place> where(const mail::Mailbox& original) const;
  /// Nowhere for now only: the table is lost, or the entry waits for something.
  bool waits(const mail::Mailbox& original) const;
  std::shared_ptr<const routing::Router> router() const;

 private:
  struct Row {
    std::optional<routing::EntryState> state;  // nullopt: not in the table
    std::vector<unsigned> targets = {0};       // the mailbox, then who gets a copy
    unsigned next_target = 1;
  };
  static constexpr unsigned kArchive = 1000;  // the same mailbox in whatever row
  static std::string local_of(std::size_t user, unsigned target) {
    return target == kArchive ? "archive"
                              : "u" + std::to_string(user) + "." + std::to_string(target);
  }
  static void change_targets(Chance& chance, Row& row);
  std::array<Row, kUsers> rows_;
  std::string pending_hop_, default_hop_;
  bool unknown_defers_ = false, lost_ = false;
};

}  // namespace waypost::sim
