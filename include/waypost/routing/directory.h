// A directory (Active Directory or any LDAP server) as a source of the routing table.
//
// Owns: what to read from which servers (DirectoryOptions), the reading (Directory) and the
// snapshot that it leaves on this disk, from which the table is loaded: also when no server
// answers. Directory: one thread at a time, blocking; a stop token and deadlines cut every wait for
// a server within a fifth of a second. Nothing of a reading is used unless all of it is there.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"
#include "waypost/routing/table.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// ldaps://dc1.corp.example:636
struct DirectoryServer {
  bool ldaps = true;
  std::string host;  // an IPv6 address stands here without brackets
  std::uint16_t port = 636;
  std::string to_string() const;
};
/// ErrorKind::invalid says what is wrong and what to write.
Result<DirectoryServer> parse_directory_server(std::string_view url);
/// "localhost", 127.0.0.0/8 and ::1.
bool is_loopback(const DirectoryServer& server);

enum class DirectoryTls : std::uint8_t {
  verify,  // ldaps:// as it says, ldap:// with StartTLS; certificate and name must be right
  none,    // ldap:// in plain text; with gssapi still signed and sealed
};
enum class DirectoryBind : std::uint8_t { simple, gssapi };

struct DirectoryOptions {
  std::string name;
  std::vector<std::string> servers;  // tried in this order
  DirectoryTls tls = DirectoryTls::verify;
  std::string ca_file;  // empty: the CAs of the system
  DirectoryBind bind = DirectoryBind::simple;
  std::string bind_dn;        // simple
  std::string password_file;  // simple; its first line
  std::string base;
  std::string filter;  // empty: default_directory_filter()
  std::string addresses_attribute = "proxyAddresses";
  std::string target_attribute = "targetAddress";
  std::string mail_attribute = "mail";  // one more address; empty: not read
  std::string wave_attribute;           // empty: no waves
  std::string state_attribute;          // empty: no states
  std::string snapshot;                 // path of the file
  std::uint32_t page_size = 1000;
  Duration interval = std::chrono::minutes(5);
  Duration full_interval = std::chrono::hours(24);
  /// Not read for so long: addresses that the table does not know are deferred, not refused.
  Duration stale_after = std::chrono::hours(24);
  Duration connect_timeout = std::chrono::seconds(10);    // name, TCP and TLS, of one server
  Duration operation_timeout = std::chrono::seconds(30);  // one request: a bind, a page
  Duration total_timeout = std::chrono::minutes(5);       // one synchronisation
  double most_removed = 0.1;             // a larger share of the entries leaves only when confirmed
  std::vector<std::string> own_domains;  // addresses elsewhere are left out; with the aliases
  std::vector<std::string> target_domains;  // targets elsewhere are Problems
};

/// `text` as a value in a filter (RFC 4515 §3).
std::string escape_filter_value(std::string_view text);
/// (&(objectClass=user)(targetAddress=smtp:*@TARGET)(!(homeMDB=*))) for each target domain.
std::string default_directory_filter(const DirectoryOptions& options);

struct DirectorySyncRequest {
  bool full = false;            // read everything again
  bool confirm_shrink = false;  // also if many entries leave
};

/// What came of one synchronisation.
struct DirectoryOutcome {
  std::string directory;
  std::string server;  // the one that was read; empty: none
  bool full = false;
  std::string why_full;  // "the server is another one"
  bool changed = false;  // entries are different from before: load the table again
  std::size_t entries = 0, added = 0, removed = 0, retargeted = 0;
  std::size_t restated = 0;  // of those changed: another wave or state, or one of them gone
  bool confirmed = false;    // an operator has agreed to what leaves
  std::size_t people = 0;    // objects with at least one entry
  std::size_t left_out = 0;  // addresses outside the own domains
  Duration took{};
  std::vector<Problem> problems;            // with the DN; at most kMaxDirectoryProblems
  std::size_t more_problems = 0;            // that were not kept
  std::vector<std::string> failed_servers;  // "ldaps://dc1...: connection refused"
  std::optional<Error> error;               // nothing was changed
  bool credentials_refused = false;         // trying again soon may lock the account
};
inline constexpr std::size_t kMaxDirectoryProblems = 200;

/// What `waypost directory check` shows; one page is read and nothing is written.
struct DirectoryCheck {
  std::string server, tls, bound_as, naming_context, invocation_id;
  std::optional<std::uint64_t> highest_usn;  // nullopt: no incremental reading
  bool shows_deleted = false;                // the account sees deleted objects
  bool more = false;                         // there are more pages
  std::string filter;
  DirectoryOutcome outcome;  // of this page; server, entries, people, problems, error
};

class Directory {
 public:
  static std::unique_ptr<Directory> create(DirectoryOptions options,
                                           const Clock& clock = Clock::system());
  virtual ~Directory() = default;
  virtual const DirectoryOptions& options() const = 0;
  /// Reads what has changed, or everything, and writes the snapshot. On any failure
  /// `outcome.error` is set and the snapshot is what it was.
  virtual DirectoryOutcome synchronise(DirectorySyncRequest request, std::stop_token stop) = 0;
  virtual DirectoryCheck check(std::stop_token stop) = 0;
};

/// The DN of the object behind a line of a snapshot, for explanations. ErrorKind::not_found if that
/// line holds no entry.
Result<std::string> directory_dn_at(const std::string& snapshot, std::uint32_t line);

}  // namespace waypost::routing
