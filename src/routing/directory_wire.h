// The wire to one directory server, as a contract: so that tests can cut, fail and fake it.
//
// Private to routing. A connection is used by one thread. Every call ends by its Patience: when the
// deadline has passed (ErrorKind::timeout) or somebody wants to stop (ErrorKind::cancelled). After
// a failure the connection is of no more use.
#pragma once

#include "waypost/routing/directory.h"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waypost::routing {

/// Until when a caller waits.
struct Patience {
  const Clock* clock = nullptr;
  SteadyTime until{};
  std::stop_token stop;

  /// Error: the deadline has passed or a stop is wanted.
  Result<> check() const;
  /// The same with a deadline that is no later than `within` from now.
  Patience at_most(Duration within) const;
};

struct LdapEntry {
  std::string dn;
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes;

  /// Values of an attribute, whose name compares without case; empty: none. An option behind a
  /// semicolon ("proxyAddresses;range=0-1499") belongs to the name as the server wrote it and is
  /// ignored here.
  const std::vector<std::string>& values(std::string_view name) const;
  std::string_view first(std::string_view name) const;
  /// What the server has sent a part of: "proxyAddresses;range=0-1499". The name, without options,
  /// and the number of the first value that is missing; nullopt: all is there.
  struct Range {
    std::string name;
    std::size_t next = 0;
  };
  std::optional<Range> cut_short() const;
  /// Adds the next part, read by itself; false if it is not the one that was asked for.
  bool take_range(const Range& asked, const LdapEntry& part);
};

struct LdapSearch {
  std::string base = {};
  bool subtree = true;  // false: the base alone
  std::string filter = "(objectClass=*)";
  std::vector<std::string> attributes = {};
  std::uint32_t page_size = 0;  // 0: not paged
  std::string cookie = {};      // of the page before; empty: the first
  bool show_deleted = false;    // 1.2.840.113556.1.4.417
  bool domain_scope = false;    // 1.2.840.113556.1.4.1339: no references to other domains
};

struct LdapPage {
  std::vector<LdapEntry> entries;
  std::string cookie;  // empty: this was the last
};

class DirectoryWire {
 public:
  virtual ~DirectoryWire() = default;
  /// "TLS1.3", or "none".
  virtual std::string tls_version() const = 0;
  /// One page, whole or not at all.
  virtual Result<LdapPage> search(const LdapSearch& search, const Patience& patience) = 0;
};

/// Why no connection came about.
struct DialFailure {
  Error error;
  bool credentials_refused = false;  // the same credentials won't do at another server
};

/// Connects, verifies, binds.
using DirectoryDialler = std::function<std::expected<std::unique_ptr<DirectoryWire>, DialFailure>(
    const DirectoryOptions&, const DirectoryServer&, const Patience&)>;

/// By libldap.
std::expected<std::unique_ptr<DirectoryWire>, DialFailure> dial_ldap(const DirectoryOptions&,
                                                                     const DirectoryServer&,
                                                                     const Patience&);

/// Directory::create with another wire.
std::unique_ptr<Directory> make_directory(DirectoryOptions options, const Clock& clock,
                                          DirectoryDialler dial);

}  // namespace waypost::routing
