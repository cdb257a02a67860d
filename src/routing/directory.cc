// Synchronising: which server, full or incremental, and whether the result may be used.
#include "waypost/routing/directory.h"

#include "waypost/base/counted.h"
#include "waypost/routing/waves.h"

#include "routing/directory_reading.h"
#include "routing/directory_snapshot.h"
#include "routing/directory_wire.h"

#include <algorithm>
#include <unordered_map>

namespace waypost::routing {
namespace {

constexpr std::size_t kLeastRemoved = 10;
constexpr auto kBaseAge = std::chrono::hours(24);

struct Connection {
  std::unique_ptr<DirectoryWire> wire;
  std::size_t server = 0;
};

/// Entries that count: by key, their target, state and wave.
std::unordered_map<std::string_view, const DirectoryRow*> live_rows(const DirectoryPeople& people) {
  std::unordered_map<std::string_view, const DirectoryRow*> rows;
  rows.reserve(2 * people.size());
  for (const auto& [guid, person] : people)
    for (const auto& row : person.rows)
      if (!row.contested) rows.emplace(row.key, &row);
  return rows;
}

/// Returns how many entries there were.
std::size_t count_changes(const DirectoryPeople& before, const DirectoryPeople& after,
                          DirectoryOutcome& outcome) {
  const auto old_rows = live_rows(before);
  const auto new_rows = live_rows(after);
  outcome.entries = new_rows.size();
  std::size_t common = 0;
  for (const auto& [key, row] : new_rows) {
    const auto known = old_rows.find(key);
    if (known == old_rows.end()) continue;
    ++common;
    const auto& old = *known->second;
    if (old.target != row->target || old.state != row->state || old.wave != row->wave)
      ++outcome.retargeted;
    const bool state_lost = !old.state.empty() && old.state != row->state;
    if (state_lost || (!old.wave.empty() && old.wave != row->wave)) ++outcome.restated;
  }
  outcome.added = new_rows.size() - common;
  outcome.removed = old_rows.size() - common;
  return old_rows.size();
}

class LdapDirectory final : public Directory {
 public:
  LdapDirectory(DirectoryOptions options, const Clock& clock, DirectoryDialler dial)
      : options_(std::move(options)),
        clock_(clock),
        dial_(std::move(dial)),
        snapshot_(Disk::system(), options_.snapshot, kSnapshotMode) {}

  const DirectoryOptions& options() const override { return options_; }
  DirectoryOutcome synchronise(DirectorySyncRequest request, std::stop_token stop) override;
  DirectoryCheck check(std::stop_token stop) override;

 private:
  Result<> synchronise_into(DirectoryOutcome& outcome, DirectorySyncRequest request,
                            const Patience& patience);
  Result<Connection> connect(DirectoryOutcome& outcome, const Patience& patience);
  std::string why_full(const LoadedSnapshot& known, const DirectoryServerFacts& facts,
                       const std::string& server, DirectorySyncRequest request) const;
  DirectoryBase base_of(const LoadedSnapshot& known, std::size_t before) const;
  Result<> check_shrink(const DirectoryBase& base, std::size_t before,
                        const DirectoryOutcome& outcome, DirectorySyncRequest request) const;
  std::string settings() const;
  Patience whole() const { return {&clock_, clock_.steady_now() + options_.total_timeout, {}}; }

  DirectoryOptions options_;
  const Clock& clock_;
  DirectoryDialler dial_;
  DurableFile snapshot_;
  std::size_t broke_off_ = SIZE_MAX;  // a server that failed in the middle is tried last, once
};

/// A reading with another question can't be added to this one.
std::string LdapDirectory::settings() const {
  std::string out = "base=" + options_.base + " filter=" + directory_filter(options_);
  out += " attributes=";
  for (const auto& name : PersonReader(options_).attributes()) out += name + ",";
  for (const auto& [label, domains] : {std::pair{" own=", &options_.own_domains},
                                       std::pair{" targets=", &options_.target_domains}}) {
    out += label;
    for (const auto& domain : *domains) out += domain + ",";
  }
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

/// The first server that connects, is who it says, and takes our credentials.
Result<Connection> LdapDirectory::connect(DirectoryOutcome& outcome, const Patience& patience) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < options_.servers.size(); ++i)
    if (i != broke_off_) order.push_back(i);
  if (broke_off_ < options_.servers.size()) order.push_back(broke_off_);
  broke_off_ = SIZE_MAX;
  for (const auto i : order) {
    const auto server = parse_directory_server(options_.servers[i]);
    if (!server) return fail(server.error());
    auto wire = dial_(options_, *server, patience);
    if (wire) {
      outcome.server = server->to_string();
      return Connection{std::move(*wire), i};
    }
    const auto& failure = wire.error();
    const auto message = server->to_string() + ": " + failure.error.message;
    outcome.failed_servers.push_back(message);
    if (failure.credentials_refused) {
      outcome.credentials_refused = true;
      return fail(
          failure.error.kind,
          message + "; no other server is tried, because more attempts may lock the account");
    }
    if (auto patient = patience.check(); !patient) return fail({patient.error().kind, message});
  }
  std::string all = "no server can be used";
  for (const auto& message : outcome.failed_servers) all += "; " + message;
  return fail(ErrorKind::network, std::move(all));
}

std::string LdapDirectory::why_full(const LoadedSnapshot& known, const DirectoryServerFacts& facts,
                                    const std::string& server, DirectorySyncRequest request) const {
  const auto& snapshot = known.snapshot;
  if (request.full) return "it was asked for";
  if (!known.trusted) return "no snapshot to start from: " + known.why_not;
  if (snapshot.settings != settings()) return "the configuration asks for something else";
  if (!facts.highest_usn || !snapshot.usn) return "the server counts no changes (uSNChanged)";
  if (facts.invocation_id != snapshot.invocation_id) return "the server's database is another one";
  if (snapshot.server != server) return "the server is another one";
  if (*facts.highest_usn < *snapshot.usn) return "the server's count of changes went back";
  const auto age = clock_.now() - snapshot.full_at;
  if (age >= options_.full_interval || age < Duration::zero())
    return "the last full reading is too long ago";
  return {};
}

DirectoryBase LdapDirectory::base_of(const LoadedSnapshot& known, std::size_t before) const {
  const auto age = clock_.now() - known.snapshot.base.at;
  if (known.trusted && known.snapshot.base.at != WallTime{} && age >= Duration::zero() &&
      age < kBaseAge)
    return known.snapshot.base;
  return {clock_.now(), before, 0};
}

/// What earlier readings of the same hours have taken away counts too: who reads every few minutes
/// would lose everybody in small steps.
Result<> LdapDirectory::check_shrink(const DirectoryBase& base, std::size_t before,
                                     const DirectoryOutcome& outcome,
                                     DirectorySyncRequest request) const {
  const auto share = static_cast<std::size_t>(static_cast<double>(std::max(base.entries, before)) *
                                              options_.most_removed);
  const bool emptied = before > 0 && outcome.entries == 0;
  const auto lost = base.lost + outcome.removed + outcome.restated;
  if (request.confirm_shrink || (!emptied && lost <= std::max(share, kLeastRemoved))) return {};
  std::string what = std::to_string(outcome.removed) + " of " +
                     counted(before, "entry", "entries") + " would leave" +
                     (emptied ? ", which are all," : "");
  if (outcome.restated > 0)
    what +=
        " and " + std::to_string(outcome.restated) + " would have another wave or state or none";
  if (base.lost > 0)
    what += ", after " + std::to_string(base.lost) + " of " + std::to_string(base.entries) +
            " that left or changed since " + format_time(base.at);
  return fail(ErrorKind::exhausted,
              what + ", and that was not confirmed; if it is right: waypost directory sync " +
                  options_.name + " --confirm-shrink");
}

Result<> LdapDirectory::synchronise_into(DirectoryOutcome& outcome, DirectorySyncRequest request,
                                         const Patience& patience) {
  auto connection = connect(outcome, patience);
  if (!connection) return fail(std::move(connection).error());
  broke_off_ = connection->server;  // unless all goes well
  DirectoryReading reading(options_, *connection->wire, patience);
  const auto facts = reading.facts();
  if (!facts) return fail(facts.error());
  const auto known = load_snapshot(options_.snapshot);
  outcome.why_full = why_full(known, *facts, outcome.server, request);
  outcome.full = !outcome.why_full.empty();

  DirectorySnapshot fresh{.settings = settings(),
                          .server = outcome.server,
                          .invocation_id = facts->invocation_id,
                          .usn = facts->highest_usn,
                          .full_at = outcome.full ? clock_.now() : known.snapshot.full_at,
                          .written_at = clock_.now(),
                          .people = {}};
  DirectoryFindings findings;
  std::size_t touched = 0;
  if (outcome.full) {
    auto people = reading.everybody(findings);
    if (!people) return fail(std::move(people).error());
    fresh.people = std::move(*people);
  } else {
    fresh.people = known.snapshot.people;
    auto changes = reading.changes(*facts, *known.snapshot.usn + 1, fresh.people, findings);
    if (!changes) return fail(std::move(changes).error());
    touched = *changes;
  }
  settle_contests(fresh.people, known.snapshot.people, options_.name, findings);
  outcome.problems = std::move(findings.problems);
  outcome.more_problems = findings.more_problems;
  outcome.left_out = findings.left_out;
  outcome.people = fresh.people.size();
  const auto before = count_changes(known.snapshot.people, fresh.people, outcome);
  broke_off_ = SIZE_MAX;
  const auto base = base_of(known, before);
  if (auto allowed = check_shrink(base, before, outcome, request); !allowed) return allowed;
  if (!outcome.full && touched == 0) return {};
  fresh.base = base;
  fresh.base.lost += outcome.removed + outcome.restated;
  fresh.base.entries = std::max(base.entries, outcome.entries);
  if (request.confirm_shrink) fresh.base = {clock_.now(), outcome.entries, 0};
  if (auto patient = patience.check(); !patient) return patient;
  if (auto saved = save_snapshot(snapshot_, write_snapshot(fresh)); !saved) return saved;
  // After a snapshot that was not whole nobody knows what the table holds.
  outcome.changed = !known.trusted || outcome.added + outcome.removed + outcome.retargeted > 0;
  return {};
}

DirectoryOutcome LdapDirectory::synchronise(DirectorySyncRequest request, std::stop_token stop) {
  DirectoryOutcome outcome;
  outcome.directory = options_.name;
  outcome.confirmed = request.confirm_shrink;
  const auto begun = clock_.steady_now();
  auto patience = whole();
  patience.stop = std::move(stop);
  if (auto done = synchronise_into(outcome, request, patience); !done) {
    outcome.changed = false;
    outcome.error =
        Error{done.error().kind, "directory " + options_.name + ": " + done.error().message};
  }
  outcome.took = std::chrono::duration_cast<Duration>(clock_.steady_now() - begun);
  return outcome;
}

DirectoryCheck LdapDirectory::check(std::stop_token stop) {
  DirectoryCheck check;
  check.filter = directory_filter(options_);
  check.bound_as = options_.bind == DirectoryBind::simple ? options_.bind_dn : "Kerberos (GSSAPI)";
  auto& outcome = check.outcome;
  outcome.directory = options_.name;
  const auto begun = clock_.steady_now();
  auto patience = whole();
  patience.stop = std::move(stop);
  const auto look = [&]() -> Result<> {
    auto connection = connect(outcome, patience);
    if (!connection) return fail(std::move(connection).error());
    check.server = outcome.server;
    check.tls = connection->wire->tls_version();
    DirectoryReading reading(options_, *connection->wire, patience);
    const auto facts = reading.facts();
    if (!facts) return fail(facts.error());
    check.naming_context = facts->naming_context;
    check.invocation_id = facts->invocation_id;
    check.highest_usn = facts->highest_usn;
    check.shows_deleted = reading.shows_deleted(*facts);
    DirectoryFindings findings;
    auto people = reading.one_page(findings, check.more);
    if (!people) return fail(std::move(people).error());
    settle_contests(*people, {}, options_.name, findings);
    outcome.people = people->size();
    outcome.entries = live_rows(*people).size();
    outcome.left_out = findings.left_out;
    outcome.problems = std::move(findings.problems);
    outcome.more_problems = findings.more_problems;
    return {};
  };
  if (auto done = look(); !done)
    outcome.error =
        Error{done.error().kind, "directory " + options_.name + ": " + done.error().message};
  outcome.took = std::chrono::duration_cast<Duration>(clock_.steady_now() - begun);
  return check;
}

}  // namespace

std::unique_ptr<Directory> make_directory(DirectoryOptions options, const Clock& clock,
                                          DirectoryDialler dial) {
  return std::make_unique<LdapDirectory>(std::move(options), clock, std::move(dial));
}

std::unique_ptr<Directory> Directory::create(DirectoryOptions options, const Clock& clock) {
  return make_directory(std::move(options), clock, dial_ldap);
}

}  // namespace waypost::routing
