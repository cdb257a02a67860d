// The service log: what operators read in journald.
//
// Owns: the process-wide spdlog logger. Any thread. One line an event; a line says what happened,
// to which queue id, peer or file, and what to do. Per-message facts go to the tracking log
// (ops/tracking.h), not here.
#pragma once

#include <spdlog/spdlog.h>

#include <cstdint>
#include <string>

namespace waypost::ops {

enum class LogFormat : std::uint8_t { text, json };
enum class LogTarget : std::uint8_t { stderr_stream, file };

struct LogOptions {
  LogFormat format = LogFormat::text;
  spdlog::level::level_enum level = spdlog::level::info;
  LogTarget target = LogTarget::stderr_stream;
  std::string path;  // for LogTarget::file; reopened on reload
};

/// Changes where and how the one logger writes; the file that it wrote to is closed. Under journald
/// (JOURNAL_STREAM set) text lines carry the <N> priority prefix and no time.
void configure_log(const LogOptions& options);
spdlog::logger& log();

}  // namespace waypost::ops
