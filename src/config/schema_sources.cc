// routing.sources and waves: where the table's entries come from, and when who moves.
#include "config/schema.h"

namespace waypost::config {
namespace {

using Kind = routing::TableSource::Kind;
using routing::EntryState;

constexpr std::pair<std::string_view, Kind> kKinds[] = {{"csv", Kind::csv},
                                                        {"exchange", Kind::exchange},
                                                        {"workmail", Kind::workmail},
                                                        {"directory", Kind::directory}};
enum class Said : std::uint8_t { nothing, pending, migrating, active, rolled_back };
constexpr std::pair<std::string_view, Said> kSaid[] = {{"", Said::nothing},
                                                       {"pending", Said::pending},
                                                       {"migrating", Said::migrating},
                                                       {"active", Said::active},
                                                       {"rolled_back", Said::rolled_back}};

/// `current`: what holds where the key is absent, and what is told when the keys are described.
std::optional<EntryState> read_state(Section& section, std::string_view meaning,
                                     std::optional<EntryState> current) {
  Said said = current ? static_cast<Said>(static_cast<int>(*current) + 1) : Said::nothing;
  section.choice<Said>({"state", meaning}, said, kSaid);
  if (said == Said::nothing) return std::nullopt;
  return static_cast<EntryState>(static_cast<int>(said) - 1);
}

void need(Section& section, bool given, std::string_view kind, std::string_view what) {
  if (!given)
    section.reading().error(
        section.place(), "a source of type '" + std::string(kind) + "' needs " + std::string(what));
}

void check_source(Section& section, const routing::TableSource& source, const std::string& file) {
  switch (source.kind) {
    case Kind::csv:
      return need(section, !file.empty(), "csv", "file: TABLE.csv");
    case Kind::exchange:
      return need(section, !file.empty(), "exchange", "file: EXPORT.csv");
    case Kind::workmail:
      return need(section, !source.paths.empty(), "workmail", "users: [PAGE1.json, PAGE2.json]");
    case Kind::directory:
      return need(section, !source.directory.empty(), "directory",
                  "directory: NAME, one of the section 'directories'");
    case Kind::inline_yaml:
      return;
  }
}

std::optional<WallTime> read_time(Section& section, Key key, std::optional<WallTime> current) {
  std::string text = current ? routing::format_time(*current) : std::string();
  section.text(key, text);
  if (section.describing()) return current;
  if (text.empty()) return std::nullopt;
  // A schedule is not relative to anything: "now" and "+2h" mean nothing in a file.
  const bool relative = text.front() == '+' || text == "now";
  auto time = routing::parse_time(text, WallTime{});
  if (time && !relative) return *time;
  section.reading().error(
      section.place_of(key.name),
      "'" + std::string(key.name) + "': " +
          (relative ? "'" + text +
                          "' means nothing in a file; write a date, such as 2026-12-01T02:00:00Z"
                    : time.error().message));
  return std::nullopt;
}

}  // namespace

void read_source(Section& section, std::vector<routing::TableSource>& sources) {
  routing::TableSource source;
  section.choice<Kind>({"type", "what kind of source it is"}, source.kind, kKinds);
  std::string file;
  section.file({"file", "csv: address,target[,state[,wave]]; exchange: Get-MailUser | Export-Csv"},
               file, FileUse::table);
  section.files({"users", "workmail: all pages of 'aws workmail list-users'"}, source.paths);
  section.files({"aliases", "workmail: outputs of 'aws workmail list-aliases', one a user"},
                source.aliases);
  section.text({"address_domain",
                "workmail: the own domain of users for whom no alias is known; empty: they are "
                "left out"},
               source.address_domain);
  section.text({"directory", "directory: its name in the section 'directories'"}, source.directory);
  section.text({"wave", "wave of all entries that name none"}, source.wave);
  source.state =
      read_state(section, "state of all entries that name none; empty: their wave's", source.state);
  if (section.describing()) return;
  check_source(section, source, file);
  if (!file.empty()) source.paths = {file};
  sources.push_back(std::move(source));
}

void read_wave(Section& section, routing::WaveOptions& wave) {
  wave.state =
      read_state(section, "what the wave is from the beginning; empty: pending", wave.state);
  wave.hold_at =
      read_time(section, {"hold_at", "mail is held (migrating) from then on"}, wave.hold_at);
  wave.activate_at = read_time(section,
                               {"at",
                                "active from then on, such as 2026-12-01T02:00:00Z or "
                                "\"2026-12-01 02:00 Europe/Berlin\""},
                               wave.activate_at);
  section.boolean({"shadow", "while pending: log the new route, use the old one"}, wave.shadow);
  section.file({"members", "addresses of its people, one a line, if the sources don't say"},
               wave.members_file, FileUse::table);
  wave.line = section.place().line;
  if (section.describing() || !wave.hold_at || !wave.activate_at) return;
  if (*wave.hold_at >= *wave.activate_at)
    section.reading().error(section.place_of("hold_at"),
                            "'hold_at' is not before 'at': mail is held until the wave is active");
}

}  // namespace waypost::config
