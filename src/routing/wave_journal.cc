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

std::string mark_path(const std::string& path) { return path + ".mark"; }

/// nullopt: there is no such file.
Result<std::optional<std::string>> text_of(Disk& disk, const std::string& path) {
  auto opened = disk.open(path, false);
  if (!opened && opened.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!opened) return fail(std::move(opened).error());
  auto text = content_of(**opened);
  if (!text) return fail(std::move(text).error());
  return std::move(*text);
}

class FileWaveJournal final : public WaveJournal {
 public:
  FileWaveJournal(Disk& disk, std::string path, std::function<void(const std::string&)> complain)
      : disk_(disk),
        complain_(std::move(complain)),
        journal_(disk, path, kMode),
        mark_file_(disk, mark_path(path), kMode) {}

  const std::vector<WaveCommand>& commands() const override { return lines_.commands(); }
  const std::vector<std::string>& damage() const override { return damage_; }
  std::optional<WallTime> told_until() const override { return mark_.told_until; }

  void read(bool used_before) {
    const auto found = FoundMark::from(text_of(disk_, mark_file_.path()));
    WaveJournalCheck check(journal_.path());
    const auto done = journal_.read([this](std::string_view line) { return lines_.take(line); },
                                    [&check](const AppendJournal::Defect& defect) {
                                      check.defect(defect.line, defect.why, defect.last);
                                    });
    if (done)
      check.finish(journal_.exists(), lines_, found, used_before);
    else
      check.unreadable(done.error().message);
    for (const auto& remark : check.remarks()) complain_(remark);
    damage_ = check.damage();
    for (const auto& one : damage_) complain_(one);
    if (found.mark) mark_ = *found.mark;
  }

  Result<> append(const WaveCommand& command) override {
    if (!damage_.empty()) return fail(ErrorKind::corrupt, wave_trouble(damage_));
    // What could not be read again would be forgotten at the next start.
    if (const auto readable = wave_command_from_json(to_json(command)); !readable)
      return fail(readable.error());
    if (auto can = journal_.usable(); !can) return can;
    if (auto can = marked_ ? mark_file_.usable() : keep_mark(mark_of_all()); !can) return can;
    const auto line = lines_.sealed(command);
    if (auto written = journal_.append(line); !written) return written;
    WaveLines longer = lines_;
    static_cast<void>(longer.take(line));
    return acknowledge(std::move(longer));
  }

  Result<std::string> accept(WallTime now) override {
    auto aside = set_aside(journal_.path() + ".damaged-" + format_time(now));
    if (!aside) return aside;
    WaveLines whole;
    std::string text;
    for (const auto& command : commands()) {
      const auto line = whole.sealed(command);
      static_cast<void>(whole.take(line));
      text += line + "\n";
    }
    if (auto written = journal_.rewrite(text); !written) return fail(std::move(written).error());
    if (auto kept = keep_mark(mark_of(whole)); !kept) return fail(std::move(kept).error());
    lines_ = std::move(whole);
    damage_.clear();
    return aside;
  }

  Result<> tell_until(WallTime at) override {
    mark_.told_until = at;
    if (!damage_.empty()) return {};  // the old mark is what shows the damage
    // Lines that perhaps only the system's memory has are not to be promised.
    if (auto can = journal_.usable(); !can) return can;
    if (auto kept = keep_mark(mark_of_all()); !kept) return kept;
    return seal_old_lines();
  }

 private:
  WaveMark mark_of(const WaveLines& lines) const {
    const auto commands = lines.commands().size();
    return {commands, lines.chain_of(commands), mark_.told_until};
  }
  WaveMark mark_of_all() const { return mark_of(lines_); }

  Result<> keep_mark(const WaveMark& mark) {
    auto kept = mark_file_.replace(mark.to_json() + "\n");
    if (!kept) return kept;
    mark_ = mark;
    marked_ = true;
    return {};
  }

  /// The journal has these lines; without its mark the loss of the last would not be seen.
  Result<> acknowledge(WaveLines longer) {
    const auto mark = mark_of(longer);
    const auto kept = keep_mark(mark);
    if (!kept) {
      const auto there = FoundMark::from(text_of(disk_, mark_file_.path()));
      if (there.mark && there.mark->commands != mark.commands) {
        journal_.take_back();
        return kept;
      }
      // The mark has its new content, though perhaps not on the disk: a line less would be damage.
      complain_(kept.error().message);
    }
    lines_ = std::move(longer);
    return {};
  }

  /// Lines of an old version look as if there had never been a mark: without their seals nobody
  /// could see that both it and the lines behind them are lost.
  Result<> seal_old_lines() {
    if (!lines_.has_unsealed()) return {};
    const auto content = text_of(disk_, journal_.path());
    if (!content) return fail(content.error());
    WaveLines found, whole;
    std::string text;
    std::string_view rest = *content ? std::string_view(**content) : std::string_view();
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      if (found.take(rest.substr(0, end))) {
        text += found.last() + "\n";
        static_cast<void>(whole.take(found.last()));
      }
      rest.remove_prefix(end + 1);
    }
    if (auto written = journal_.rewrite(text); !written) return written;
    lines_ = std::move(whole);
    return {};
  }

  /// Gives the name; empty: there was nothing. What can't be read is moved away.
  Result<std::string> set_aside(const std::string& aside) {
    const auto content = text_of(disk_, journal_.path());
    if (content && !*content) return std::string();
    if (content) {
      DurableFile copy(disk_, aside, kMode);
      if (auto kept = copy.replace(**content); !kept) return fail(std::move(kept).error());
    } else if (auto moved = disk_.rename(journal_.path(), aside); !moved) {
      return fail(std::move(moved).error());
    }
    return aside;
  }

  Disk& disk_;
  std::function<void(const std::string&)> complain_;
  AppendJournal journal_;
  DurableFile mark_file_;
  WaveLines lines_;
  WaveMark mark_;
  bool marked_ = false;  // this process has put a mark there that knows all lines
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

std::unique_ptr<WaveJournal> WaveJournal::open(Disk& disk, const std::string& path,
                                               std::function<void(const std::string&)> complain,
                                               bool used_before) {
  auto journal = std::make_unique<FileWaveJournal>(disk, path, std::move(complain));
  journal->read(used_before);
  return journal;
}

Result<WaveRecord> read_wave_journal(const std::string& path, bool used_before) {
  // The mark first: a command that comes between is one more than it knows, not one less.
  const auto found = FoundMark::from(look_at(mark_path(path)));
  const auto content = look_at(path);
  if (!content) return fail(content.error());
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
  check.finish(content->has_value(), lines, found, used_before);
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
