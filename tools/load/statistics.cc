#include "load/statistics.h"

#include <algorithm>

namespace waypost::load {

constexpr std::uint64_t kLongestSeries = 7 * 86400;
constexpr std::size_t kMostTroubles = 200;

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::connect:
      return "connect";
    case Phase::greeting:
      return "greeting";
    case Phase::tls:
      return "tls";
    case Phase::envelope:
      return "envelope";
    case Phase::verdict:
      return "verdict";
    case Phase::total:
      return "total";
  }
  return "unknown";
}

Second& Statistics::second(std::uint64_t number) {
  number = std::min(number, kLongestSeries);
  if (seconds.size() <= number) seconds.resize(number + 1);
  return seconds[number];
}

void Statistics::trouble(std::string_view what) {
  std::string key(what.substr(0, 200));
  if (troubles.size() >= kMostTroubles && !troubles.contains(key)) key = "(other)";
  ++troubles[key];
}

void Statistics::merge(const Statistics& other) {
  for (std::size_t i = 0; i < kPhases; ++i) phases[i].merge(other.phases[i]);
  if (waves.size() < other.waves.size()) waves.resize(other.waves.size());
  for (std::size_t i = 0; i < other.waves.size(); ++i) {
    waves[i].recipients += other.waves[i].recipients;
    waves[i].total.merge(other.waves[i].total);
  }
  for (std::size_t i = 0; i < other.seconds.size(); ++i) {
    Second& mine = second(i);
    const Second& theirs = other.seconds[i];
    mine.accepted += theirs.accepted;
    mine.failed += theirs.failed;
    mine.refused_as_expected += theirs.refused_as_expected;
    mine.octets += theirs.octets;
    mine.latency_sum_us += theirs.latency_sum_us;
    mine.latency_max_us = std::max(mine.latency_max_us, theirs.latency_max_us);
  }
  for (const auto& [what, times] : other.troubles) troubles[what] += times;
  for (auto member :
       {&Statistics::messages, &Statistics::accepted, &Statistics::refused,
        &Statistics::unacknowledged, &Statistics::unsent, &Statistics::recipients_accepted,
        &Statistics::recipients_refused, &Statistics::octets, &Statistics::connections,
        &Statistics::connections_failed, &Statistics::connections_lost, &Statistics::handshakes,
        &Statistics::resumed, &Statistics::verified, &Statistics::refused_as_expected}) {
    this->*member += other.*member;
  }
  if (tls_version.empty()) tls_version = other.tls_version;
  if (tls_cipher.empty()) tls_cipher = other.tls_cipher;
}

}  // namespace waypost::load
