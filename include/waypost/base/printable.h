// Text of other systems made safe to look at: what steers a terminal, turns the direction of
// writing, or ends a line for some readers and not for others, becomes a visible escape.
//
// The form is that of JSON, \u202e: so the same function serves a line for people and a JSON text,
// in whose strings it changes nothing of what they mean. Pure, any thread.
#pragma once

#include "waypost/base/utf8.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace waypost {

/// Length of the character at the front if it is beyond ASCII and hidden: C1 controls, bidi
/// controls (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), line and paragraph
/// separators (U+2028, U+2029), invisible ones (U+200B, U+2060, U+FEFF). 0: it is none of these.
std::size_t hidden_length(std::string_view text);

/// "\u202e" for a character of two or three octets.
std::string escape_of(std::string_view character);

/// Hidden characters, control characters but line feed, carriage return and tab, and octets that
/// are no UTF-8 (as \ufffd) escaped.
std::string printable(std::string_view text);

}  // namespace waypost
