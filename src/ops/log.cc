#include "waypost/ops/log.h"

#include "ops/json_text.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

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

/// One logger for the life of the process, because any thread may be inside it; what changes is the
/// sink behind this one, under its lock.
const std::shared_ptr<spdlog::sinks::dist_sink_mt>& outlet() {
  static const auto sink = std::make_shared<spdlog::sinks::dist_sink_mt>(
      std::vector<spdlog::sink_ptr>{std::make_shared<spdlog::sinks::stderr_sink_mt>()});
  return sink;
}

}  // namespace

void configure_log(const LogOptions& options) {
  spdlog::sink_ptr sink;
  if (options.target == LogTarget::file) {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.path);
    } catch (const spdlog::spdlog_ex& error) {
      log().error("log file {}: {}; lines go to standard error", options.path, error.what());
    }
  }
  const bool to_stderr = sink == nullptr;
  if (to_stderr) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  if (options.format == LogFormat::json) {
    sink->set_formatter(std::make_unique<JsonFormatter>());
  } else if (to_stderr && std::getenv("JOURNAL_STREAM") != nullptr) {
    sink->set_formatter(std::make_unique<JournalFormatter>());
  } else {
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  }
  outlet()->set_sinks({sink});  // closes the file that was in use
  log().set_level(options.level);
  log().flush_on(spdlog::level::info);
}

spdlog::logger& log() {
  static spdlog::logger logger("waypost", outlet());
  return logger;
}

}  // namespace waypost::ops
