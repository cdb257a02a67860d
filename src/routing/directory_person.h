// One object of a directory, as far as routing wants to know it, and how it becomes rows.
//
// Private to routing. Pure.
#pragma once

#include "routing/directory_wire.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// One line of the snapshot. `key` is the normalised address.
struct DirectoryRow {
  std::string key, address, target, state, wave;
  bool contested = false;  // another object has this address and had it before
  bool operator==(const DirectoryRow&) const = default;
};

struct DirectoryPerson {
  std::string guid;  // of objectGUID or entryUUID, lower case with dashes
  std::string dn;
  std::vector<DirectoryRow> rows;
};

/// By guid, so that a snapshot's order does not depend on the server's.
using DirectoryPeople = std::map<std::string, DirectoryPerson, std::less<>>;

/// What the reading of objects adds up.
struct DirectoryFindings {
  std::vector<Problem> problems;
  std::size_t more_problems = 0;
  std::size_t left_out = 0;

  void tell(std::string_view directory, std::string_view dn, std::string_view what);
};

/// Active Directory's own spelling of 16 octets: "c0a8...-....-....". Empty if they are not 16.
std::string guid_of_octets(std::string_view octets);
/// The identity of an object; empty: it shows neither objectGUID nor entryUUID.
std::string guid_of(const LdapEntry& entry);

/// "SMTP:ann@x", "smtp:ann@x" and "ann@x" give "ann@x"; nullopt for X400:, X500:, EUM: and others.
std::optional<std::string_view> smtp_address(std::string_view proxy_address);

class PersonReader {
 public:
  explicit PersonReader(const DirectoryOptions& options);
  /// What to ask for.
  std::vector<std::string> attributes() const;
  /// nullopt: no rows come of this object; `findings` says why.
  std::optional<DirectoryPerson> read(const LdapEntry& entry, DirectoryFindings& findings) const;

 private:
  bool read_target(const LdapEntry& entry, DirectoryRow& row, DirectoryFindings& findings) const;
  bool read_wave(const LdapEntry& entry, DirectoryRow& row, DirectoryFindings& findings) const;
  bool read_state(const LdapEntry& entry, DirectoryRow& row, DirectoryFindings& findings) const;
  void tell(const LdapEntry& entry, DirectoryFindings& findings, std::string_view what) const {
    findings.tell(options_.name, entry.dn, what);
  }

  const DirectoryOptions& options_;
  std::set<std::string, std::less<>> own_, targets_;  // normalised
};

/// Two objects with one address: who had it before keeps it, else the one that stands first; the
/// others' rows are contested, and a Problem names both.
void settle_contests(DirectoryPeople& people, const DirectoryPeople& before,
                     std::string_view directory, DirectoryFindings& findings);

}  // namespace waypost::routing
