// The configuration file, read into the Options that each room defines.
//
// The only room that sees yaml-cpp. Pure but for reading the named files. Every mistake is a
// Diagnostic with file, line and column, what is wrong, and what was meant.
#pragma once

#include "waypost/base/result.h"
#include "waypost/inbound/options.h"
#include "waypost/net/resolver.h"
#include "waypost/ops/log.h"
#include "waypost/ops/tracking.h"
#include "waypost/outbound/next_hop.h"
#include "waypost/queue/queue.h"
#include "waypost/routing/directory.h"
#include "waypost/routing/router.h"
#include "waypost/spool/spool.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::config {

struct AdminOptions {
  std::string socket = "/run/waypost/admin.sock";  // the full admin API; mode 0660
  std::string http_address = "127.0.0.1";          // read-only: /metrics, /healthz, /readyz
  std::uint16_t http_port = 9725;                  // 0: off
};

/// Where a value stands in the file; 1-based; 0: not in the file.
struct Place {
  std::uint32_t line = 0, column = 0;
};
/// The place of `path`, or of the nearest section around it that the file holds.
Place nearest_place(const std::map<std::string, Place>& places, std::string path);

struct Config {
  std::string file;
  unsigned shards = 0;  // 0: one per core
  std::uint64_t memory_for_content = 128ull * 1024 * 1024;
  inbound::Options inbound;
  routing::Options routing;
  std::vector<routing::DirectoryOptions> directories;
  std::vector<outbound::NextHopOptions> next_hops;
  queue::Options queue;
  spool::Options spool;
  net::ResolverOptions dns;
  ops::LogOptions log;
  ops::TrackingOptions tracking{"/var/log/waypost/tracking.jsonl"};
  /// The file names it: without it the daemon does not start. The default may be missing.
  bool tracking_is_asked_for = false;
  AdminOptions admin;
  /// Places of what the file holds, by path: "routing.default_next_hop", "listeners[0].port".
  std::map<std::string, Place> places;
};

/// "30s", "5m", "1h 30m", "2 days", "250ms"; a bare 0 is no time at all.
Result<Duration> parse_duration(std::string_view text);

struct Diagnostic {
  enum class Level : std::uint8_t { error, warning } level = Level::error;
  std::string file;
  std::uint32_t line = 0, column = 0;
  std::string message;
  std::string to_string() const;  // "/etc/waypost/waypost.yaml:12:5: error: unknown key 'next_hop'
                                  // ... did you mean ..."
};

struct Loaded {
  Config config;
  std::vector<Diagnostic> diagnostics;
  /// admin.socket is what the file says, or the default because it says nothing of it; whatever
  /// else is wrong.
  bool socket_known = false;
  bool usable() const;  // no errors
};

/// Reads, checks types, names and values, and the things that only show across sections: references
/// to next hops that do not exist, open relay, files that are missing or unreadable, listeners
/// twice, a next hop that is ourselves.
struct LoadOptions {
  /// False: files that the configuration names are not looked at (they may be on another machine).
  bool check_files = true;
  /// False: what the table is read from is not looked at: loading the table tells what is wrong.
  bool check_table_files = true;
};
Loaded load_file(const std::string& path, LoadOptions options = {});
/// `file_name`: for diagnostics; relative paths are relative to its folder.
Loaded load_text(std::string_view yaml, const std::string& file_name, LoadOptions options = {});

/// The safety check of `waypost check`: problems that would make this an open relay or a loop.
std::vector<Diagnostic> audit(const Config& config);

/// One key of the file format, as the reader itself knows it.
struct KeyDescription {
  std::string path;           // "next_hops.NAME.tls"; [] stands for list items
  std::string type;           // "duration", "one of none, starttls, implicit"
  std::string default_value;  // as it would be written; empty: none
  std::string meaning;
  bool required = false;
};
/// Every known key, in the order of docs/configuration.md.
std::vector<KeyDescription> known_keys();
/// Keys whose values differ and which only a restart takes over, as SECTION.KEY.
std::vector<std::string> needs_restart(const Config& running, const Config& wanted);
/// Keys whose values differ and which a reload takes over: "admission.networks",
/// "next_hops.workmail.tls"; "waves.wave-3 (new)". And sections and keys that the file does not
/// have any more, so that their defaults hold: "queue (removed)".
std::vector<std::string> changed_keys(const Config& running, const Config& wanted);
/// The tables of docs/configuration.md.
std::string reference_markdown();

}  // namespace waypost::config
