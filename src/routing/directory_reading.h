// The reading of one server: what it is, everybody, or what has changed.
//
// Private to routing. Lives as long as one synchronisation. Any failure in the middle fails the
// whole: callers get everything or an Error.
#pragma once

#include "routing/directory_person.h"
#include "routing/directory_wire.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

namespace waypost::routing {

/// What the server says about itself (rootDSE, RFC 4512 §5.1).
struct DirectoryServerFacts {
  std::string naming_context;  // the one that holds the base; empty: the server does not say
  std::string invocation_id;   // of its database; it changes when that is restored
  std::optional<std::uint64_t> highest_usn;  // nullopt: it counts no changes that we could use
  bool can_show_deleted = false;
  bool can_scope = false;
};

/// The configured filter or the default one.
std::string directory_filter(const DirectoryOptions& options);

class DirectoryReading {
 public:
  /// REQUIRES: all three outlive the reading.
  DirectoryReading(const DirectoryOptions& options, DirectoryWire& wire, const Patience& patience)
      : options_(options), wire_(wire), patience_(patience), reader_(options) {}

  /// Comes first: what it learns is used below.
  Result<DirectoryServerFacts> facts();
  Result<DirectoryPeople> everybody(DirectoryFindings& findings);
  Result<DirectoryPeople> one_page(DirectoryFindings& findings, bool& more);
  /// Takes what has changed since `usn` into `people`; returns how many objects were touched.
  Result<std::size_t> changes(const DirectoryServerFacts& facts, std::uint64_t usn,
                              DirectoryPeople& people, DirectoryFindings& findings);
  bool shows_deleted(const DirectoryServerFacts& facts);

 private:
  /// Every page of a search.
  Result<> each(LdapSearch search, const std::function<void(const LdapEntry&)>& visit);
  Result<LdapPage> page(const LdapSearch& search);
  /// Every person of a search, with all values of all attributes.
  Result<> take_all(LdapSearch search, DirectoryPeople& people, DirectoryFindings& findings);
  /// Fetches what the server has left out of an entry because there is so much of it.
  Result<> complete(LdapEntry& entry);
  void take(const LdapEntry& entry, DirectoryPeople& people, DirectoryFindings& findings) const;
  LdapSearch people_search(std::string filter) const;

  const DirectoryOptions& options_;
  DirectoryWire& wire_;
  const Patience& patience_;
  PersonReader reader_;
  bool can_scope_ = false;
};

}  // namespace waypost::routing
