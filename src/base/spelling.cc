#include "waypost/base/spelling.h"

#include <algorithm>
#include <array>
#include <limits>

namespace waypost {
namespace {

constexpr std::size_t kLongest = 64;

char fold(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' || c == ' ' ? '_' : c;
}

}  // namespace

std::size_t edit_distance(std::string_view one, std::string_view other) {
  if (one.size() > kLongest || other.size() > kLongest)
    return std::numeric_limits<std::size_t>::max();
  std::array<std::array<std::size_t, kLongest + 1>, 3> rows{};
  for (std::size_t j = 0; j <= other.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= one.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i + 2) % 3];
    const auto& two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= other.size(); ++j) {
      const bool same = fold(one[i - 1]) == fold(other[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && fold(one[i - 1]) == fold(other[j - 2]) &&
          fold(one[i - 2]) == fold(other[j - 1]))
        row[j] = std::min(row[j], two_above[j - 2] + 1);
    }
  }
  return rows[one.size() % 3][other.size()];
}

namespace {

/// Within a typing error or two of a word; empty: of none.
std::string_view nearest_spelling(std::string_view word, std::span<const std::string_view> words) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto candidate : words) {
    const auto distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

bool is_misspelt(std::string_view word, std::span<const std::string_view> words) {
  return !nearest_spelling(word, words).empty();
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> words) {
  auto best = nearest_spelling(word, words);
  if (!best.empty()) return best;
  // What is a part of exactly one known word, or holds one, is near as well: "domains" for
  // "own_domains".
  for (const auto candidate : words) {
    if (word.size() < 4 || candidate.size() < 4) continue;
    if (candidate.find(word) == std::string_view::npos &&
        word.find(candidate) == std::string_view::npos)
      continue;
    if (!best.empty()) return {};
    best = candidate;
  }
  return best;
}

std::string suggestion(std::string_view word, std::span<const std::string_view> words) {
  if (const auto near = nearest_word(word, words); !near.empty())
    return "; did you mean '" + std::string(near) + "'?";
  if (words.empty()) return {};
  if (words.size() == 1) return "; the only one known is '" + std::string(words[0]) + "'";
  std::string out = "; known are ";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " and " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace waypost
