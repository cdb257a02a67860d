// JSON strings and times for lines that are written thousands of times a second.
// A general JSON library builds a value first; here each line is written straight into a buffer
// whose room has been counted before.
#pragma once

#include "waypost/base/clock.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::ops {

/// Most octets that write_json_string() needs.
constexpr std::size_t json_room(std::string_view text) { return 6 * text.size() + 2; }
inline constexpr std::size_t kTimeRoom = 40, kNumberRoom = 20;

/// Each writes where there is room (json_room, kTimeRoom, kNumberRoom) and returns the end.
/// `text` quoted and escaped (RFC 8259 §7), hidden characters too (base/printable.h). Invalid UTF-8
/// becomes U+FFFD: the line is always valid JSON.
char* write_json_string(char* at, std::string_view text);
/// "2026-11-23T13:00:00.123456Z", quoted.
char* write_json_time(char* at, WallTime when);
char* write_number(char* at, std::int64_t value);

/// Appends what write(at) writes: at most `room` octets. It returns their end.
template <class Write>
void append_bounded(std::string& out, std::size_t room, Write&& write) {
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + room, [&](char* text, std::size_t) {
    return static_cast<std::size_t>(write(text + before) - text);
  });
}
void append_json_string(std::string& out, std::string_view text);
void append_json_time(std::string& out, WallTime when);

}  // namespace waypost::ops
