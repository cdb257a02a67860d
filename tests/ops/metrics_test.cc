#include "waypost/ops/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waypost::ops {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, TheSameNameAndLabelsAreTheSameNumber) {
  Metrics metrics;
  metrics.counter("waypost_messages_total", "Messages", {{"next_hop", "a"}}).add(2);
  metrics.counter("waypost_messages_total", "Messages", {{"next_hop", "a"}}).add();
  metrics.counter("waypost_messages_total", "Messages", {{"next_hop", "b"}}).add(5);
  const std::string text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("# TYPE waypost_messages_total counter"));
  EXPECT_THAT(text, HasSubstr("waypost_messages_total{next_hop=\"a\"} 3"));
  EXPECT_THAT(text, HasSubstr("waypost_messages_total{next_hop=\"b\"} 5"));
}

TEST(Metrics, GaugesGoDownToo) {
  Metrics metrics;
  auto& gauge = metrics.gauge("waypost_sessions", "Sessions");
  gauge.add(3);
  gauge.add(-4);
  EXPECT_THAT(metrics.serialize(), HasSubstr("waypost_sessions -1"));
}

TEST(Metrics, HistogramsAreCumulativeInSeconds) {
  Metrics metrics;
  auto& histogram = metrics.histogram("waypost_time_to_250_seconds", "Last octet to 250");
  histogram.observe_us(50);  // on the border: belongs to the bucket
  histogram.observe_us(51);
  histogram.observe_us(200'000'000);  // beyond the last bound
  const std::string text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("waypost_time_to_250_seconds_bucket{le=\"5e-05\"} 1"));
  EXPECT_THAT(text, HasSubstr("waypost_time_to_250_seconds_bucket{le=\"0.0001\"} 2"));
  EXPECT_THAT(text, HasSubstr("waypost_time_to_250_seconds_bucket{le=\"100\"} 2"));
  EXPECT_THAT(text, HasSubstr("waypost_time_to_250_seconds_bucket{le=\"+Inf\"} 3"));
  EXPECT_THAT(text, HasSubstr("waypost_time_to_250_seconds_count 3"));
}

}  // namespace
}  // namespace waypost::ops
