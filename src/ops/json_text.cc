#include "ops/json_text.h"

#include "waypost/base/printable.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>

namespace waypost::ops {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Characters that stand for themselves in a string.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7F; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

char* write_escape(char* at, unsigned char c) {
  constexpr std::string_view hex = "0123456789abcdef";
  switch (c) {
    case '"':
      return put(at, "\\\"");
    case '\\':
      return put(at, "\\\\");
    case '\n':
      return put(at, "\\n");
    case '\r':
      return put(at, "\\r");
    case '\t':
      return put(at, "\\t");
    default:
      at = put(at, "\\u00");
      *at++ = hex[c >> 4];
      *at++ = hex[c & 15];
      return at;
  }
}

/// Length of the front of `text` from `from` on that needs no change.
std::size_t plain_until(std::string_view text, std::size_t from) {
#ifdef __SSE2__
  // Sixteen octets at once. Compared as signed numbers all from 0x80 on are below 0x20.
  const __m128i blank = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                backslash = _mm_set1_epi8('\\'), del = _mm_set1_epi8(0x7F);
  for (; from + 16 <= text.size(); from += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
    const __m128i odd =
        _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(block, blank), _mm_cmpeq_epi8(block, del)),
                     _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
    const int found = _mm_movemask_epi8(odd);
    if (found != 0)
      return from + static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(found)));
  }
#endif
  while (from < text.size() && kPlain[static_cast<unsigned char>(text[from])]) ++from;
  return from;
}

char* write_two(char* at, std::uint64_t value) {
  *at++ = static_cast<char>('0' + value / 10);
  *at++ = static_cast<char>('0' + value % 10);
  return at;
}

/// "2026-11-23T13:00:00." of one second: most lines have the same as the line before.
struct SecondText {
  std::int64_t second = std::numeric_limits<std::int64_t>::min();
  char text[32];
  std::size_t length = 0;
};

void write_second(SecondText& into, std::int64_t second) {
  const std::chrono::sys_seconds at{std::chrono::seconds(second)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  const int year = static_cast<int>(date.year());
  char* to = into.text;
  if (year >= 0 && year <= 9999) {
    to = write_two(to, static_cast<std::uint64_t>(year) / 100);
    to = write_two(to, static_cast<std::uint64_t>(year) % 100);
  } else {
    to = std::to_chars(to, to + 8, year).ptr;
  }
  *to++ = '-';
  to = write_two(to, static_cast<unsigned>(date.month()));
  *to++ = '-';
  to = write_two(to, static_cast<unsigned>(date.day()));
  *to++ = 'T';
  to = write_two(to, static_cast<std::uint64_t>(time.hours().count()));
  *to++ = ':';
  to = write_two(to, static_cast<std::uint64_t>(time.minutes().count()));
  *to++ = ':';
  to = write_two(to, static_cast<std::uint64_t>(time.seconds().count()));
  *to++ = '.';
  into.length = static_cast<std::size_t>(to - into.text);
  into.second = second;
}

/// What is behind `clean` octets that need no change, up to the closing quote.
[[gnu::noinline]] char* write_changed(char* at, std::string_view text, std::size_t clean) {
  while (clean < text.size()) {  // start of the run that needs no change
    std::size_t i = plain_until(text, clean);
    std::size_t length = 0;
    while (i < text.size() && static_cast<unsigned char>(text[i]) >= 0x80 &&
           (length = utf8_length(text.substr(i))) > 0 && hidden_length(text.substr(i)) == 0) {
      i = plain_until(text, i + length);
    }
    at = put(at, text.substr(clean, i - clean));
    if (i == text.size()) break;
    const auto c = static_cast<unsigned char>(text[i]);
    length = c < 0x80 ? 0 : hidden_length(text.substr(i));
    if (length > 0) {
      at = put(at, escape_of(text.substr(i, length)));
    } else {
      at = c < 0x80 ? write_escape(at, c) : put(at, kReplacement);
    }
    clean = i + std::max<std::size_t>(length, 1);
  }
  return at;
}

}  // namespace

char* write_json_string(char* at, std::string_view text) {
  *at++ = '"';
  const std::size_t plain = plain_until(text, 0);
  at = put(at, text.substr(0, plain));
  if (plain < text.size()) at = write_changed(at, text, plain);
  *at++ = '"';
  return at;
}

char* write_json_time(char* at, WallTime when) {
  thread_local SecondText last;
  const auto second = std::chrono::floor<std::chrono::seconds>(when);
  if (last.second != second.time_since_epoch().count())
    write_second(last, second.time_since_epoch().count());
  *at++ = '"';
  at = put(at, {last.text, last.length});
  const auto micros = static_cast<std::uint64_t>(std::chrono::microseconds(when - second).count());
  at = write_two(at, micros / 10'000);
  at = write_two(at, micros / 100 % 100);
  at = write_two(at, micros % 100);
  return put(at, "Z\"");
}

char* write_number(char* at, std::int64_t value) {
  return std::to_chars(at, at + kNumberRoom, value).ptr;
}

void append_json_string(std::string& out, std::string_view text) {
  append_bounded(out, json_room(text), [&](char* at) { return write_json_string(at, text); });
}

void append_json_time(std::string& out, WallTime when) {
  append_bounded(out, kTimeRoom, [&](char* at) { return write_json_time(at, when); });
}

}  // namespace waypost::ops
