// Numbers to scrape. The one list of what Waypost counts.
//
// Owns: Counter, Gauge, Histogram (plain relaxed atomics: a few nanoseconds on the hot path, any
// thread) and Metrics, the process-wide registry that names them. The scrape (Metrics::serialize)
// goes through prometheus-cpp. A metric is created once, at wiring time, and lives as long as
// Metrics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::ops {

using Labels = std::map<std::string, std::string>;

class alignas(64) Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class alignas(64) Gauge {
 public:
  void set(std::int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void add(std::int64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// Latencies in microseconds, buckets at 1-2.5-5 steps from 50 us to 100 s.
class alignas(64) Histogram {
 public:
  static constexpr std::array<std::uint64_t, 20> kBoundsUs = {
      50,        100,       250,        500,        1'000,      2'500,      5'000,
      10'000,    25'000,    50'000,     100'000,    250'000,    500'000,    1'000'000,
      2'500'000, 5'000'000, 10'000'000, 25'000'000, 50'000'000, 100'000'000};
  void observe_us(std::uint64_t us);
  std::uint64_t count() const;

 private:
  friend class Metrics;
  std::array<std::atomic<std::uint64_t>, kBoundsUs.size() + 1> buckets_{};
  std::atomic<std::uint64_t> sum_us_{0};
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// Same name and labels: same object. Names as Prometheus wants them (waypost_..._total,
  /// ..._seconds). Takes a mutex: call at wiring time or on rare paths and keep the reference.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const Labels& labels = {});

  /// The text exposition format, version 0.0.4.
  std::string serialize() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace waypost::ops
