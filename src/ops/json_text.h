// JSON strings and times for lines that are written thousands of times a second.
// A general JSON library builds a value first; here each line is appended straight into the
// writer's buffer.
#pragma once

#include "waypost/base/clock.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::ops {

/// Appends `text` quoted and escaped (RFC 8259 §7). Invalid UTF-8 becomes U+FFFD: the line is
/// always valid JSON.
void append_json_string(std::string& out, std::string_view text);
/// Appends "2026-11-23T13:00:00.123456Z", quoted.
void append_json_time(std::string& out, WallTime at);
void append_number(std::string& out, std::int64_t value);

}  // namespace waypost::ops
