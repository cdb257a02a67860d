#include "routing/directory_snapshot.h"

#include "routing/csv_reader.h"
#include "routing/hex_digest.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>

namespace waypost::routing {
namespace {

constexpr std::string_view kFirstLine = "# waypost directory snapshot 1";
constexpr std::string_view kColumns = "address,target,state,wave,guid,dn";
constexpr std::string_view kContested = "#contested ";
constexpr std::string_view kChecksum = "# sha256: ";

/// One line stays one line.
void add_plain(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? '?' : c;
  }
}

void add_field(std::string& out, std::string_view text) {
  // A '#' at the front of a line would be a comment; blanks at the ends would be dropped.
  const bool quote = text.find_first_of("\",# ;\t") != std::string_view::npos;
  if (!quote) return add_plain(out, text);
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    add_plain(out, {&c, 1});
  }
  out += '"';
}

void add_head(std::string& out, std::string_view name, std::string_view value) {
  out += "# ";
  out += name;
  out += ": ";
  add_plain(out, value);
  out += '\n';
}

std::string microseconds(WallTime at) { return std::to_string(at.time_since_epoch().count()); }

std::string readable(WallTime at) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

template <class Number>
bool parse(std::string_view text, Number& out) {
  const auto* end = text.data() + text.size();
  const auto [at, trouble] = std::from_chars(text.data(), end, out);
  return trouble == std::errc() && at == end && !text.empty();
}

/// The value of "# name: value"; the whole head is read line by line.
class Head {
 public:
  explicit Head(std::string_view content) : content_(content) {}
  std::optional<std::string_view> value(std::string_view name) const {
    for (std::size_t at = 0; at < content_.size() && content_[at] == '#';) {
      const auto end = std::min(content_.find('\n', at), content_.size());
      auto line = content_.substr(at, end - at);
      at = end + 1;
      if (!line.starts_with("# ")) continue;
      line.remove_prefix(2);
      if (line.starts_with(name) && line.substr(name.size()).starts_with(": "))
        return line.substr(name.size() + 2);
    }
    return std::nullopt;
  }

 private:
  std::string_view content_;
};

bool take_row(const CsvReader& reader, bool contested, DirectoryPeople& people) {
  const auto& fields = reader.fields();
  if (fields.size() != 6 || fields[4].text.empty()) return false;
  const auto address = mail::parse_mailbox(fields[0].text);
  auto key = address ? normalise_key(*address) : Result<std::string>(std::unexpected(Error{}));
  if (!key) return false;
  const std::string guid(fields[4].text);
  auto& person = people[guid];
  person.guid = guid;
  person.dn = fields[5].text;
  person.rows.push_back(DirectoryRow{.key = std::move(*key),
                                     .address = std::string(fields[0].text),
                                     .target = std::string(fields[1].text),
                                     .state = std::string(fields[2].text),
                                     .wave = std::string(fields[3].text),
                                     .contested = contested});
  return true;
}

bool read_rows(std::string_view content, DirectoryPeople& people) {
  bool good = true;
  for (std::size_t at = 0; at < content.size();) {
    const auto end = std::min(content.find('\n', at), content.size());
    auto line = content.substr(at, end - at);
    at = end + 1;
    const bool contested = line.starts_with(kContested);
    if (contested) line.remove_prefix(kContested.size());
    if (line.empty() || line.front() == '#' || line == kColumns) continue;
    CsvReader reader(line, ',');
    good = reader.next() && !reader.defect() && take_row(reader, contested, people) && good;
  }
  return good;
}

bool read_head(std::string_view content, DirectorySnapshot& snapshot) {
  const Head head(content);
  const auto text = [&](std::string_view name) {
    return std::string(head.value(name).value_or(std::string_view()));
  };
  snapshot.settings = text("settings");
  snapshot.server = text("server");
  snapshot.invocation_id = text("invocation-id");
  std::uint64_t usn = 0;
  if (parse(text("highest-usn"), usn)) snapshot.usn = usn;
  std::int64_t full = 0, written = 0;
  const bool good = parse(text("full-at"), full) && parse(text("written-at"), written);
  snapshot.full_at = WallTime(std::chrono::microseconds(full));
  snapshot.written_at = WallTime(std::chrono::microseconds(written));
  std::int64_t base = 0;  // not in snapshots of the first version
  if (parse(text("base-at"), base) && parse(text("base-entries"), snapshot.base.entries) &&
      parse(text("base-lost"), snapshot.base.lost))
    snapshot.base.at = WallTime(std::chrono::microseconds(base));
  return good;
}

}  // namespace

std::string write_snapshot(const DirectorySnapshot& snapshot) {
  std::string out(kFirstLine);
  out += "; written by waypost, changes are lost\n";
  add_head(out, "settings", snapshot.settings);
  add_head(out, "server", snapshot.server);
  add_head(out, "invocation-id", snapshot.invocation_id);
  add_head(out, "highest-usn", snapshot.usn ? std::to_string(*snapshot.usn) : "none");
  add_head(out, "full-at", microseconds(snapshot.full_at));
  add_head(out, "written-at", microseconds(snapshot.written_at));
  add_head(out, "written", readable(snapshot.written_at));
  add_head(out, "base-at", microseconds(snapshot.base.at));
  add_head(out, "base-entries", std::to_string(snapshot.base.entries));
  add_head(out, "base-lost", std::to_string(snapshot.base.lost));
  out += kColumns;
  out += '\n';
  for (const auto& [guid, person] : snapshot.people) {
    for (const auto& row : person.rows) {
      if (row.contested) out += kContested;
      for (const std::string_view field : {row.address, row.target, row.state, row.wave}) {
        add_field(out, field);
        out += ',';
      }
      out += guid;
      out += ',';
      add_field(out, person.dn);
      out += '\n';
    }
  }
  const auto sum = sha256(out);
  out += kChecksum;
  out += sum;
  out += '\n';
  return out;
}

std::string snapshot_damage(std::string_view content) {
  if (!content.starts_with(kFirstLine)) return "it is no snapshot of this version";
  const auto at = content.rfind(kChecksum);
  const bool whole = at != std::string_view::npos &&
                     content.substr(at + kChecksum.size()) == sha256(content.substr(0, at)) + "\n";
  return whole ? "" : "its checksum is wrong";
}

LoadedSnapshot read_snapshot(std::string_view content) {
  LoadedSnapshot out;
  const bool rows = read_rows(content, out.snapshot.people);
  const bool head = read_head(content, out.snapshot);
  out.why_not = snapshot_damage(content);
  if (out.why_not.empty() && (!head || !rows)) out.why_not = "a line of it makes no sense";
  out.trusted = out.why_not.empty();
  return out;
}

LoadedSnapshot load_snapshot(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    LoadedSnapshot out;
    out.why_not = errno == ENOENT ? "there is none yet" : describe_errno(errno);
    return out;
  }
  std::string content;
  char block[65'536];
  while (file.read(block, sizeof block) || file.gcount() > 0)
    content.append(block, static_cast<std::size_t>(file.gcount()));
  if (file.bad()) {
    LoadedSnapshot out;
    out.why_not = "it can't be read";
    return out;
  }
  return read_snapshot(content);
}

Result<> save_snapshot(DurableFile& file, std::string_view content) {
  auto saved = file.replace(content);
  if (saved) return saved;
  return fail(saved.error().kind, file.path() +
                                      ": the snapshot can't be written: " + saved.error().message +
                                      "; its folder must be writable for the waypost user");
}

Result<std::string> directory_dn_at(const std::string& snapshot, std::uint32_t line) {
  std::ifstream file(snapshot);
  if (!file) return fail(ErrorKind::io, snapshot + ": " + describe_errno(errno));
  std::string text;
  for (std::uint32_t number = 0; number < line && std::getline(file, text);) ++number;
  CsvReader reader(text, ',');
  if (file && line > 0 && reader.next() && !reader.defect() && reader.fields().size() == 6 &&
      text != kColumns)
    return std::string(reader.fields()[5].text);
  return fail(ErrorKind::not_found,
              snapshot + ":" + std::to_string(line) + ": this line holds no entry");
}

}  // namespace waypost::routing
