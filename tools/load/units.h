// Numbers as people write them: 10KiB, 1.5MB, 250ms, 5m, 2h.
//
// parse_* name the text that they don't understand. Any thread.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::load {

/// "10240", "10KiB", "10k", "1.5 MB"; k, M, G are 1,000s, Ki, Mi, Gi 1,024s.
Result<std::uint64_t> parse_size(std::string_view text);
/// "250ms", "30s", "5m", "2h"; a bare number is seconds.
Result<Duration> parse_duration(std::string_view text);
Result<double> parse_number(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);

/// "12,345", "1.21 ms", "10.0 KiB", "3 m 20 s": for reports.
std::string with_commas(std::uint64_t number);
std::string show_us(double microseconds);
std::string show_octets(double octets);
std::string show_seconds(double seconds);
/// printf's %.*f
std::string show_fixed(double number, int decimals);

/// A repeatable stream of random numbers (splitmix64): the same seed gives the same messages.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : next() % limit; }

 private:
  std::uint64_t state_;
};

}  // namespace waypost::load
