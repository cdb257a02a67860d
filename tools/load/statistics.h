// What one thread of the sender measures; added up when the run is over.
//
// Statistics: one thread writes, merge() after it has ended. Totals: a few relaxed atomics shared
// by all threads, for the progress line.
#pragma once

#include "waypost/base/clock.h"

#include "load/histogram.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::load {

enum class Phase : std::uint8_t {
  connect,   // TCP
  greeting,  // 220 and EHLO, AUTH; both EHLOs when STARTTLS is between them
  tls,       // handshake
  envelope,  // MAIL and RCPTs until their last reply (a round trip of its own; not when in one go)
  verdict,   // from the last octet of the content to its reply
  total,     // from when the message was due to the verdict
};
inline constexpr std::size_t kPhases = 6;
std::string_view to_string(Phase phase);

/// One second of the run.
struct Second {
  std::uint64_t accepted = 0, failed = 0, octets = 0, latency_sum_us = 0, latency_max_us = 0;
  std::uint64_t refused_as_expected = 0;  // not among `failed`
};

struct WaveNumbers {
  std::uint64_t recipients = 0;
  Histogram total;
};

struct Statistics {
  std::array<Histogram, kPhases> phases;
  std::vector<WaveNumbers> waves;
  std::vector<Second> seconds;
  std::map<std::string, std::uint64_t> troubles;  // reply or error in words
  std::uint64_t messages = 0, accepted = 0, refused = 0, unacknowledged = 0, unsent = 0;
  std::uint64_t refused_as_expected = 0;  // of `refused`: for nobody who should be known
  std::uint64_t recipients_accepted = 0, recipients_refused = 0, octets = 0;
  std::uint64_t connections = 0, connections_failed = 0, connections_lost = 0;
  std::uint64_t handshakes = 0, resumed = 0, verified = 0;
  std::string tls_version, tls_cipher;

  Histogram& phase(Phase which) { return phases[static_cast<std::size_t>(which)]; }
  const Histogram& phase(Phase which) const { return phases[static_cast<std::size_t>(which)]; }
  Second& second(std::uint64_t number);
  void trouble(std::string_view what);
  void merge(const Statistics& other);
};

struct alignas(64) Totals {
  std::atomic<std::uint64_t> accepted{0}, failed{0}, octets{0};
  std::atomic<std::uint64_t> open_connections{0}, successes{0};
  std::atomic<bool> gave_up{false};
};

}  // namespace waypost::load
