#include "waypost/ops/log.h"

#include "ops/json_text.h"
#include "ops/log_outlet.h"

#include <spdlog/pattern_formatter.h>

#include <cstdlib>

namespace waypost::ops {
namespace {

/// {"time":...,"level":...,"message":...}
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    std::string line = "{\"time\":";
    append_json_time(line, std::chrono::time_point_cast<std::chrono::microseconds>(message.time));
    line += ",\"level\":";
    const auto level = spdlog::level::to_string_view(message.level);
    append_json_string(line, {level.data(), level.size()});
    line += ",\"message\":";
    append_json_string(line, {message.payload.data(), message.payload.size()});
    line += "}\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

/// sd-daemon(3): "<3>" and so on at the front tells journald the priority; journald adds the time
/// itself.
class JournalFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    std::string line = "<" + std::to_string(priority(message.level)) + ">";
    for (const char c : std::string_view(message.payload.data(), message.payload.size())) {
      line += c == '\n' ? ' ' : c;
    }
    line += '\n';
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JournalFormatter>();
  }

 private:
  static int priority(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::critical:
        return 2;
      case spdlog::level::err:
        return 3;
      case spdlog::level::warn:
        return 4;
      case spdlog::level::info:
        return 6;
      default:
        return 7;
    }
  }
};

/// One logger for the life of the process, because any thread may be inside it; what changes is
/// what the outlet does. Neither ever dies: a thread that hangs in a write may outlive main().
const std::shared_ptr<LogOutlet>& outlet() {
  static const auto& sink = *new std::shared_ptr<LogOutlet>(std::make_shared<LogOutlet>());
  return sink;
}

}  // namespace

Result<std::shared_ptr<LineFile>> open_log(const LogOptions& options) {
  if (options.target != LogTarget::file) return std::shared_ptr<LineFile>();
  return LineFile::open(options.path, "log.file");
}

void use_log(const LogOptions& options, std::shared_ptr<LineFile> file) {
  std::unique_ptr<spdlog::formatter> formatter;
  if (options.format == LogFormat::json) {
    formatter = std::make_unique<JsonFormatter>();
  } else if (!file && std::getenv("JOURNAL_STREAM") != nullptr) {
    formatter = std::make_unique<JournalFormatter>();
  } else {
    formatter = std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  }
  outlet()->use(std::move(file), std::move(formatter));
  log().set_level(options.level);
}

bool flush_log(std::chrono::milliseconds at_most) { return outlet()->flush_all(at_most); }

std::uint64_t log_lines_dropped() { return outlet()->dropped(); }

void say_plainly(std::string_view line) {
  std::string whole(line);
  whole += '\n';
  outlet()->append(whole);
}

spdlog::logger& log() {
  static auto& logger = *new spdlog::logger("waypost", outlet());
  return logger;
}

}  // namespace waypost::ops
