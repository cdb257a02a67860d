// What every actor of a simulated schedule shares: chance, time, the agenda, the weather, the log.
//
// All of it comes from one seed; nothing here looks at the machine, so a seed replays exactly.
#pragma once

#include "waypost/base/clock.h"

#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>

namespace waypost::sim {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class Chance {
 public:
  /// Neighbouring seeds give unrelated schedules.
  explicit Chance(std::uint64_t seed) : bits_((seed + 1) * 0x9E3779B97F4A7C15ull) {}
  std::mt19937_64& bits() { return bits_; }
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : bits_() % n; }
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + below(most - least + 1);
  }
  bool odds(double share) { return static_cast<double>(bits_() >> 11) * 0x1p-53 < share; }
  /// Short spans are as likely as long ones, by order of magnitude.
  Duration span(Duration least, Duration most) {
    Duration limit = least;
    while (limit < most && odds(0.8)) limit *= 3;
    limit = std::min(limit, most);
    return least + Duration(below(static_cast<std::uint64_t>((limit - least).count()) + 1));
  }

 private:
  std::mt19937_64 bits_;
};

class Agenda {
 public:
  using Deed = std::move_only_function<void()>;
  void at(SteadyTime when, Deed deed) { deeds_.emplace(std::pair(when, next_++), std::move(deed)); }
  SteadyTime next() const {
    return deeds_.empty() ? SteadyTime::max() : deeds_.begin()->first.first;
  }
  void run_next() {
    Deed deed = std::move(deeds_.begin()->second);
    deeds_.erase(deeds_.begin());
    deed();
  }

 private:
  std::map<std::pair<SteadyTime, std::uint64_t>, Deed> deeds_;
  std::uint64_t next_ = 0;
};

/// How likely each kind of trouble is in this schedule. Most schedules have some kinds, none of the
/// others: then what one kind does is not buried under the rest.
struct Weather {
  double cut = 0, silence = 0, dribble = 0, lost_close = 0;  // connections
  double no_connection = 0, dns = 0;                         // on the way to a host
  double later = 0, never = 0, malformed = 0, goodbye = 0;   // replies of a next hop
  double lost_verdict = 0, slow = 0;                         // and what comes late or not at all
  double client_leaves = 0, client_slow = 0;                 // the sending side
  bool bulk = false;  // much mail, and large: the spool's segments fill, move and are used again
  Duration latency = milliseconds(1), disk_latency = milliseconds(1);

  static Weather drawn(Chance& chance) {
    Weather weather;
    const auto some = [&chance](double most) {
      return chance.odds(0.5) ? 0.0 : most * static_cast<double>(chance.below(1000)) / 1000;
    };
    for (double* odds : {&weather.cut, &weather.lost_close, &weather.no_connection, &weather.dns})
      *odds = some(0.4);
    for (double* odds : {&weather.later, &weather.never, &weather.slow}) *odds = some(0.15);
    for (double* odds : {&weather.malformed, &weather.goodbye, &weather.client_slow})
      *odds = some(0.04);
    for (double* odds : {&weather.lost_verdict, &weather.client_leaves}) *odds = some(0.3);
    weather.silence = some(0.2);
    weather.dribble = some(1);
    weather.bulk = chance.odds(0.12);
    weather.latency = chance.span(milliseconds(1), seconds(2));
    weather.disk_latency = chance.span(milliseconds(1), seconds(1));
    return weather;
  }
};

/// What happened, in order: shown with --verbose, hashed for the proof that a seed replays.
class Journal {
 public:
  enum class Mode : std::uint8_t { off, hash, show };
  Journal(Mode mode, const Clock& clock) : mode_(mode), clock_(clock) {}
  template <class... Parts>
  void note(fmt::format_string<Parts...> words, Parts&&... parts) {
    if (mode_ != Mode::off) add(fmt::format(words, std::forward<Parts>(parts)...));
  }
  std::uint64_t hash() const { return hash_; }

 private:
  void add(const std::string& line) {
    const auto at = clock_.steady_now().time_since_epoch().count();
    if (mode_ == Mode::show) fmt::print("{:14.6f} {}\n", static_cast<double>(at) * 1e-9, line);
    hash_ = (hash_ ^ static_cast<std::uint64_t>(at)) * 0x100000001B3ull;
    for (const char c : line) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  }
  Mode mode_;
  const Clock& clock_;
  std::uint64_t hash_ = 0xCBF29CE484222325ull;
};

struct Stage {
  Stage(std::uint64_t seed, Journal::Mode mode) : chance(seed), journal(mode, clock) {}
  SteadyTime in(Duration span) const { return clock.steady_now() + span; }

  Chance chance;
  ManualClock clock;
  Agenda agenda;
  Weather weather;
  Journal journal;
};

}  // namespace waypost::sim
