#include "waypost/base/durable.h"
#include "waypost/routing/waves.h"

namespace waypost::routing {
namespace {

constexpr unsigned kMode = 0640;  // for commands that work beside the daemon

class FileWaveJournal final : public WaveJournal {
 public:
  FileWaveJournal(Disk& disk, std::string path) : lines_(disk, std::move(path), kMode) {}

  const std::vector<WaveCommand>& commands() const override { return commands_; }

  Result<> read(const std::function<void(const std::string&)>& complain) {
    return lines_.read(
        [this](std::string_view line) -> Result<> {
          auto command = wave_command_from_json(line);
          if (!command) return fail(std::move(command).error());
          commands_.push_back(std::move(*command));
          return {};
        },
        [&](const AppendJournal::Defect& defect) {
          complain(lines_.path() + ":" + std::to_string(defect.line) + ": " + defect.why +
                   (defect.last ? "; it is the last line, which a crash may have torn" : "") +
                   "; the line is left out");
        });
  }

  Result<> append(const WaveCommand& command) override {
    const auto line = to_json(command);
    // What could not be read again would be forgotten at the next start.
    if (const auto readable = wave_command_from_json(line); !readable)
      return fail(readable.error());
    if (auto written = lines_.append(line); !written) return written;
    commands_.push_back(command);
    return {};
  }

 private:
  AppendJournal lines_;
  std::vector<WaveCommand> commands_;
};

}  // namespace

Result<std::unique_ptr<WaveJournal>> WaveJournal::open(
    const std::string& path, const std::function<void(const std::string&)>& complain, Disk& disk) {
  auto journal = std::make_unique<FileWaveJournal>(disk, path);
  if (auto read = journal->read(complain); !read) return fail(read.error());
  return journal;
}

}  // namespace waypost::routing
