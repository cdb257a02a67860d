// "Did you mean ...?": the known word that is nearest to a mistyped one. Pure, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace waypost {

/// Levenshtein distance with transpositions counted once; ASCII letters compare without case,
/// '-' and ' ' as '_'. Words above 64 octets are infinitely far away.
std::size_t edit_distance(std::string_view one, std::string_view other);

/// True if it is one of `words` but for a typing error or two.
bool is_misspelt(std::string_view word, std::span<const std::string_view> words);

/// The nearest of `words`; empty if none is near enough to be what was meant.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> words);

/// "; did you mean 'active'?" or, if nothing is near, "; known are a, b and c".
std::string suggestion(std::string_view word, std::span<const std::string_view> words);

}  // namespace waypost
