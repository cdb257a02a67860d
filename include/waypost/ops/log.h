// The service log: what operators read in journald.
//
// Owns: the process-wide spdlog logger. Any thread. One line an event; a line says what happened,
// to which queue id, peer or file, and what to do. Per-message facts go to the tracking log
// (ops/tracking.h), not here.
//
// From use_log() on lines go through a bounded buffer and a thread of their own: whoever logs never
// waits for standard error or a disk. What does not fit is dropped and counted, and a line says so
// as soon as one can be written. Before that (the subcommands) a line is written at once.
#pragma once

#include "waypost/base/result.h"
#include "waypost/ops/line_file.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace waypost::ops {

enum class LogFormat : std::uint8_t { text, json };
enum class LogTarget : std::uint8_t { stderr_stream, file };

struct LogOptions {
  LogFormat format = LogFormat::text;
  spdlog::level::level_enum level = spdlog::level::info;
  LogTarget target = LogTarget::stderr_stream;
  std::string path;  // for LogTarget::file; reopened on reload
};

/// For use_log(): what can fail, before anything is changed. Null: standard error.
Result<std::shared_ptr<LineFile>> open_log(const LogOptions& options);
/// Changes where and how the one logger writes: earlier lines go where they would have gone. The
/// file that it wrote to is closed. Under journald (JOURNAL_STREAM set) text lines for standard
/// error carry the <N> priority prefix and no time. A line that its file can't take goes to
/// standard error.
void use_log(const LogOptions& options, std::shared_ptr<LineFile> file);
/// Returns when every line so far is written or dropped. False if that takes longer than `at_most`.
bool flush_log(std::chrono::milliseconds at_most);
/// Lines that were dropped since the start: what reads them was too slow, or gone.
std::uint64_t log_lines_dropped();
/// Text as it is, without time and level, by the same way.
void say_plainly(std::string_view line);
spdlog::logger& log();

}  // namespace waypost::ops
