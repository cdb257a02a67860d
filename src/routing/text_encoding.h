// The encodings in which spreadsheets and PowerShell save text, turned into UTF-8.
//
// Private to routing. Pure.
#pragma once

#include "waypost/base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace waypost::routing {

/// The text without BOM as UTF-8: a view into `content`, or into `storage` when it had to be
/// decoded from UTF-16 (with BOM, or without one when every second octet is NUL). UTF-16 with
/// broken surrogates or an odd length is ErrorKind::invalid.
Result<std::string_view> decode_text(std::string_view content, std::string& storage);

/// Offset of the first octet that is not well-formed UTF-8 (RFC 3629 §4); nullopt: all is well.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// What the ends of the lines tell: a file without an end mark is whole only if its last line has
/// one. Line 0: all is well.
struct LineEndTrouble {
  std::uint32_t line = 0;
  bool no_lines = false;  // not one LF: the rows can't be told apart
  std::string message;
};
LineEndTrouble line_end_trouble(std::string_view text);

}  // namespace waypost::routing
