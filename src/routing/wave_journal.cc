#include "waypost/base/durable.h"
#include "waypost/routing/waves.h"

#include "routing/wave_lines.h"

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

namespace waypost::routing {
namespace {

constexpr unsigned kMode = 0640;

std::string mark_of(const std::string& path) { return path + ".mark"; }

/// nullopt: there is no such file.
Result<std::optional<std::string>> text_of(Disk& disk, const std::string& path) {
  auto opened = disk.open(path, false);
  if (!opened && opened.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!opened) return fail(std::move(opened).error());
  auto text = content_of(**opened);
  if (!text) return fail(std::move(text).error());
  return std::move(*text);
}

/// A mark that makes no sense counts as one that is not there.
std::optional<WaveMark> mark_from(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  auto mark = WaveMark::from_json(*text);
  return mark ? std::optional(std::move(*mark)) : std::nullopt;
}

class FileWaveJournal final : public WaveJournal {
 public:
  FileWaveJournal(Disk& disk, std::string path, std::function<void(const std::string&)> complain)
      : disk_(disk),
        complain_(std::move(complain)),
        journal_(disk, path, kMode),
        mark_file_(disk, mark_of(path), kMode) {}

  const std::vector<WaveCommand>& commands() const override { return lines_.commands(); }
  const std::vector<std::string>& damage() const override { return damage_; }
  std::optional<WallTime> told_until() const override { return mark_.told_until; }

  Result<> read(bool used_before) {
    const auto marked = text_of(disk_, mark_file_.path());
    if (!marked) return fail(marked.error());
    const auto mark = mark_from(*marked);
    if (*marked && !mark) complain_(mark_file_.path() + ": it makes no sense; it is written anew");
    const auto content = text_of(disk_, journal_.path());
    if (!content) return fail(content.error());
    WaveJournalCheck check(journal_.path());
    auto done = journal_.read([this](std::string_view line) { return lines_.take(line); },
                              [&check](const AppendJournal::Defect& defect) {
                                check.defect(defect.line, defect.why, defect.last);
                              });
    if (!done) return done;
    check.finish(content->has_value(), lines_, mark, used_before || marked->has_value());
    for (const auto& remark : check.remarks()) complain_(remark);
    damage_ = check.damage();
    for (const auto& one : damage_) complain_(one);
    if (mark) mark_ = *mark;
    return {};
  }

  Result<> append(const WaveCommand& command) override {
    if (!damage_.empty()) return fail(ErrorKind::corrupt, wave_trouble(damage_));
    // What could not be read again would be forgotten at the next start.
    if (const auto readable = wave_command_from_json(to_json(command)); !readable)
      return fail(readable.error());
    const auto line = lines_.sealed(command);
    if (auto written = journal_.append(line); !written) return written;
    // The command has happened. Without its mark only the loss of this line would not be seen.
    static_cast<void>(lines_.take(line));
    mark_.commands = commands().size();
    if (auto kept = keep_mark(); !kept) complain_(kept.error().message);
    return {};
  }

  Result<std::string> accept(WallTime now) override {
    const auto content = text_of(disk_, journal_.path());
    if (!content) return fail(content.error());
    std::string aside;
    if (*content) {
      aside = journal_.path() + ".damaged-" + format_time(now);
      DurableFile copy(disk_, aside, kMode);
      if (auto kept = copy.replace(**content); !kept) return fail(std::move(kept).error());
    }
    WaveLines whole;
    std::string text;
    for (const auto& command : commands()) {
      const auto line = whole.sealed(command);
      static_cast<void>(whole.take(line));
      text += line + "\n";
    }
    if (auto written = journal_.rewrite(text); !written) return fail(std::move(written).error());
    mark_.commands = whole.commands().size();
    if (auto kept = keep_mark(); !kept) return fail(std::move(kept).error());
    lines_ = std::move(whole);
    damage_.clear();
    return aside;
  }

  Result<> tell_until(WallTime at) override {
    mark_.told_until = at;
    if (!damage_.empty()) return {};  // the old mark is what shows the damage
    mark_.commands = commands().size();
    return keep_mark();
  }

 private:
  Result<> keep_mark() { return mark_file_.replace(mark_.to_json() + "\n"); }

  Disk& disk_;
  std::function<void(const std::string&)> complain_;
  AppendJournal journal_;
  DurableFile mark_file_;
  WaveLines lines_;
  WaveMark mark_;
  std::vector<std::string> damage_;
};

/// nullopt: there is no such file. A look needs no right to write.
Result<std::optional<std::string>> look_at(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file && errno == ENOENT) return std::nullopt;
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || file.bad())
    return fail(ErrorKind::io, path + ": can't be read: " + describe_errno(errno));
  return std::move(text).str();
}

}  // namespace

Result<std::unique_ptr<WaveJournal>> WaveJournal::open(
    Disk& disk, const std::string& path, std::function<void(const std::string&)> complain,
    bool used_before) {
  auto journal = std::make_unique<FileWaveJournal>(disk, path, std::move(complain));
  if (auto read = journal->read(used_before); !read) return fail(read.error());
  return journal;
}

Result<WaveRecord> read_wave_journal(const std::string& path) {
  const auto content = look_at(path);
  if (!content) return fail(content.error());
  const auto marked = look_at(mark_of(path));
  WaveLines lines;
  WaveJournalCheck check(path);
  std::string_view rest = *content ? std::string_view(**content) : std::string_view();
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const bool last = rest.find_first_not_of(" \t\r\n") == std::string_view::npos;
    if (end == std::string_view::npos)
      check.defect(number, "it has no end", true);
    else if (const auto taken = lines.take(line); !taken)
      check.defect(number, taken.error().message, last);
  }
  check.finish(content->has_value(), lines, marked ? mark_from(*marked) : std::nullopt, false);
  return WaveRecord{lines.commands(), check.damage()};
}

std::string wave_trouble(const std::vector<std::string>& damage) {
  if (damage.empty()) return {};
  auto text = "what was said of the waves is not known for sure: " + damage.front();
  if (damage.size() > 1) text += " (and " + std::to_string(damage.size() - 1) + " more)";
  return text +
         "; put the file back from a copy and restart, or take what can be read for all that was "
         "said: 'waypost wave list' shows what comes of it, 'waypost wave accept-journal' does it";
}

}  // namespace waypost::routing
