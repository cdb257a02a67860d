// The decision for one recipient, and its explanation: one code path for both.
//
// Router: immutable snapshot of options and table; shared by all shards; replaced as a whole on
// reload (RouterHolder). decide() is pure: no I/O, no lock, no clock but the time that it is given.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/mail/address.h"
#include "waypost/routing/srs.h"
#include "waypost/routing/table.h"
#include "waypost/routing/waves.h"
#include "waypost/smtp/reply.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace waypost::routing {

struct DomainAlias {
  std::string alias, domain;
};  // both names own the same mailboxes
struct TargetDomain {
  std::string domain, next_hop;
};  // "orgname.awsapps.com" -> "workmail"
/// Where entries come from. Several sources: in order of precedence; an address that two of them
/// know is the earlier one's, and both places are told.
struct TableSource {
  enum class Kind : std::uint8_t { csv, inline_yaml, exchange, workmail, directory };
  Kind kind = Kind::csv;
  std::vector<std::string> paths;    // csv, exchange: one; workmail: the pages; directory: its
                                     // snapshot on this disk
  std::vector<std::string> aliases;  // workmail: outputs of list-aliases
  std::string
      address_domain;     // workmail: of who has no known alias in an own domain; empty: left out
  std::string directory;  // directory: its configured name
  std::string wave;       // of entries that name none
  std::optional<EntryState> state;  // of entries that name none
  std::vector<Entry> entries;       // inline_yaml, with their places
};
/// An own-domain address that the table does not know.
enum class UnknownPolicy : std::uint8_t { refuse, defer };

struct Options {
  std::vector<std::string> own_domains;  // unknown addresses here are refused, never looped
  std::vector<DomainAlias> domain_aliases;
  std::vector<TargetDomain>
      target_domains;                // shape A passes only if the address is a known target ...
  bool target_pass_unlisted = true;  // ... or if this is true (AWS's own flow has no table)
  std::vector<TableSource> sources;
  std::string plus_separator = "+";  // empty: no plus-addressing
  bool plus_keep_in_target = true;   // bob+x@corp -> bob+x@orgname
  std::string default_next_hop;      // for other domains; empty: they are refused (not a relay)
  std::string pending_next_hop;  // entries that are pending or rolled back; empty: deferred 4.2.1
  UnknownPolicy unknown = UnknownPolicy::refuse;
  double most_removed = 0.1;  // share of the entries that a reload may remove unconfirmed
  SrsOptions srs;
  std::vector<WaveOptions> waves;
};

enum class Verdict : std::uint8_t { rewrite, pass, hold, defer, refuse };
std::string_view to_string(Verdict verdict);

struct TraceStep {
  std::string step;    // "exact entry", "plus-suffix stripped", ...
  std::string detail;  // what was looked up and what came of it
};

struct Copy {
  mail::Mailbox target;
  std::string next_hop;
};

struct Decision {
  Verdict verdict = Verdict::refuse;
  mail::Mailbox original;
  mail::Mailbox target;  // rewrite and pass; hold: where it will go
  std::string next_hop;  // configured name; empty for defer and refuse
  std::optional<EntryState> state;
  std::string wave;
  SourcePlace place;  // of the entry that decided
  std::string why;    // one sentence
  smtp::Reply reply;  // defer and refuse: what the client hears; else 250
  /// Further targets of the entry, each with its next hop: rewrite and hold only. They get a copy;
  /// what becomes of it is not told to the sender.
  std::vector<Copy> copies;
  /// A pending wave in shadow mode: what would happen if it were active. Empty: none.
  std::string shadow_target, shadow_next_hop;
};

class Router {
 public:
  /// Loads every source. Problems go into `problems`; an Error means that no usable router came of
  /// it.
  /// `waves`: nullptr: those of `options` alone.
  static Result<std::shared_ptr<const Router>> load(const Options& options,
                                                    std::vector<Problem>& problems,
                                                    std::shared_ptr<const Waves> waves = nullptr);
  /// No table at all (never loaded, or stale beyond the limit): every own-domain address gets
  /// 451 4.3.0, never 550.
  static std::shared_ptr<const Router> unavailable(const Options& options, std::string reason);
  virtual ~Router() = default;
  /// The same table and options with other waves; cheap.
  virtual std::shared_ptr<const Router> with_waves(std::shared_ptr<const Waves> waves) const = 0;
  virtual const Waves& waves() const = 0;
  /// The same, but known to be out of date (`why`; empty: it is not): who is not in the table may
  /// be in a newer one, and gets 451 4.3.0, never 550. Cheap.
  virtual std::shared_ptr<const Router> with_staleness(std::string why) const = 0;
  /// What holds for this entry at a time: its own state, else its wave's, else active; an
  /// operator's word about this person comes before all.
  virtual EntryState state_of(const Entry& entry, WallTime at) const = 0;
  /// `trace`: filled step by step when not null; the decision is the same either way.
  virtual Decision decide(const mail::Mailbox& address, WallTime at,
                          std::vector<TraceStep>* trace = nullptr) const = 0;
  /// What stands in MAIL FROM for a recipient about whom decide() has said `decision`.
  virtual SenderChoice sender_for(const mail::ReversePath&, const Decision&, WallTime) const {
    return {};
  }
  virtual const Table& table() const = 0;
  virtual const Options& options() const = 0;
  virtual WallTime loaded_at() const = 0;
};

/// "412 added, 3 removed, 1 target changed" between two tables.
struct TableDiff {
  std::uint64_t added_count = 0, removed_count = 0, changed_count = 0;
  std::uint64_t targets_changed = 0;  // of those changed
  std::vector<Entry> added, removed;  // as many as were asked for
  std::vector<std::pair<Entry, Entry>> changed;
  std::string summary() const;
};
/// `most_names`: so many entries of each kind are kept; all are counted.
TableDiff diff(const Table& before, const Table& after,
               std::size_t most_names = static_cast<std::size_t>(-1));

/// What sessions hold: get() is one atomic load.
class RouterHolder {
 public:
  explicit RouterHolder(std::shared_ptr<const Router> router) : router_(std::move(router)) {}
  std::shared_ptr<const Router> get() const { return router_.load(std::memory_order_acquire); }
  void set(std::shared_ptr<const Router> router) {
    router_.store(std::move(router), std::memory_order_release);
  }

 private:
  std::atomic<std::shared_ptr<const Router>> router_;
};

/// IMCEAEX-_O=CORP_OU=...@corp.example -> "/O=CORP/OU=..."; nullopt if the local part is not of
/// that form.
std::optional<std::string> decode_imceaex(std::string_view local_part);

}  // namespace waypost::routing
