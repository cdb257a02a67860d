#include "waypost/ops/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <variant>

namespace waypost::ops {

void Histogram::observe_us(std::uint64_t us) {
  const auto bucket = std::lower_bound(kBoundsUs.begin(), kBoundsUs.end(), us) - kBoundsUs.begin();
  buckets_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_us_.fetch_add(us, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t all = 0;
  for (const auto& bucket : buckets_) all += bucket.load(std::memory_order_relaxed);
  return all;
}

struct Metrics::Impl {
  using Cell =
      std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>;
  struct Family {
    std::string help;
    std::map<Labels, Cell> cells;
  };
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;

  template <class M>
  M& get(std::string_view name, std::string_view help, const Labels& labels) {
    const std::lock_guard lock(mutex);
    auto family = families.find(name);
    if (family == families.end()) {
      family = families.emplace(std::string(name), Family{std::string(help), {}}).first;
    }
    auto cell = family->second.cells.find(labels);
    if (cell == family->second.cells.end()) {
      cell = family->second.cells.emplace(labels, std::make_unique<M>()).first;
    }
    return *std::get<std::unique_ptr<M>>(cell->second);
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return impl_->get<Counter>(name, help, labels);
}
Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return impl_->get<Gauge>(name, help, labels);
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels) {
  return impl_->get<Histogram>(name, help, labels);
}

std::string Metrics::serialize() const {
  std::vector<prometheus::MetricFamily> families;
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [name, family] : impl_->families) {
    prometheus::MetricFamily shown{name, family.help, prometheus::MetricType::Untyped, {}};
    for (const auto& [labels, cell] : family.cells) {
      prometheus::ClientMetric metric;
      for (const auto& [key, value] : labels) metric.label.push_back({key, value});
      if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&cell)) {
        shown.type = prometheus::MetricType::Counter;
        metric.counter.value = static_cast<double>((*counter)->value());
      } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&cell)) {
        shown.type = prometheus::MetricType::Gauge;
        metric.gauge.value = static_cast<double>((*gauge)->value());
      } else {
        shown.type = prometheus::MetricType::Histogram;
        const Histogram& histogram = *std::get<std::unique_ptr<Histogram>>(cell);
        std::uint64_t cumulative = 0;
        for (std::size_t i = 0; i < histogram.buckets_.size(); ++i) {
          cumulative += histogram.buckets_[i].load(std::memory_order_relaxed);
          const double bound = i < Histogram::kBoundsUs.size()
                                   ? static_cast<double>(Histogram::kBoundsUs[i]) / 1e6
                                   : std::numeric_limits<double>::infinity();
          metric.histogram.bucket.push_back({cumulative, bound});
        }
        metric.histogram.sample_count = cumulative;
        metric.histogram.sample_sum =
            static_cast<double>(histogram.sum_us_.load(std::memory_order_relaxed)) / 1e6;
      }
      shown.metric.push_back(std::move(metric));
    }
    families.push_back(std::move(shown));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace waypost::ops
