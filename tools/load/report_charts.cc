// The charts of the page.
#include "load/report_page.h"
#include "load/svg_plot.h"
#include "load/units.h"

#include <algorithm>
#include <cmath>

namespace waypost::load {
namespace {

/// x: how many nines (log10 of 1/(1-p)), so that the tail has room.
std::vector<std::pair<double, double>> curve(const Histogram& histogram) {
  std::vector<std::pair<double, double>> points;
  for (double nines = 0; nines <= 4.001; nines += 0.05) {
    const double percent = 100 * (1 - std::pow(10.0, -nines));
    // Beyond the last value a curve would only repeat the maximum.
    if (static_cast<double>(histogram.count()) * std::pow(10.0, -nines) < 0.5) break;
    points.emplace_back(
        nines, static_cast<double>(std::max<std::uint64_t>(1, histogram.at_percent(percent))));
  }
  return points;
}

Plot distribution(const std::string& title) {
  Plot plot;
  plot.title = title;
  plot.x_label = "percent of messages that were at least as fast";
  plot.log_y = true;
  plot.x_ticks = {{0, "0 %"},  {0.30103, "50 %"}, {1, "90 %"},
                  {2, "99 %"}, {3, "99.9 %"},     {4, "99.99 %"}};
  plot.show_y = [](double value) { return show_us(value); };
  return plot;
}

std::string by_phase(const Report& report, const Report* earlier) {
  Plot plot = distribution("Latency by phase");
  unsigned colour = 0;
  const auto add = [&](const std::string& name, const Histogram& now, const Histogram* before) {
    if (now.count() == 0) return;
    plot.lines.push_back({name, curve(now), colour, false});
    if (before != nullptr && before->count() > 0) {
      plot.lines.push_back({name + ", earlier", curve(*before), colour, true});
    }
    ++colour;
  };
  for (const Phase phase : {Phase::total, Phase::verdict, Phase::envelope, Phase::connect,
                            Phase::tls, Phase::greeting}) {
    add(std::string(to_string(phase)), report.statistics.phase(phase),
        earlier != nullptr ? &earlier->statistics.phase(phase) : nullptr);
  }
  if (report.accounting) {
    const bool both = earlier != nullptr && earlier->accounting;
    add("delivery", report.accounting->delivery, both ? &earlier->accounting->delivery : nullptr);
  }
  return plot.lines.empty() ? "" : plot.render();
}

std::string by_wave(const Report& report) {
  Plot plot = distribution("Latency (total) by wave");
  for (std::size_t i = 0; i < report.statistics.waves.size() && i < 8; ++i) {
    const auto& wave = report.statistics.waves[i];
    if (wave.total.count() == 0) continue;
    plot.lines.push_back(
        {report.wave_names[i], curve(wave.total), static_cast<unsigned>(i), false});
  }
  return plot.lines.size() < 2 ? "" : plot.render();
}

/// At most this many points; longer runs are averaged.
constexpr std::size_t kMostPoints = 400;

bool has_any(const PlotLine& line) {
  return std::any_of(line.points.begin(), line.points.end(),
                     [](const auto& point) { return point.second > 0; });
}

std::vector<PlotBand> bands(const Report& report) {
  std::vector<PlotBand> out;
  if (!report.accounting) return out;
  for (const auto& fault : report.accounting->faults)
    out.push_back({fault.name, fault.from, fault.until});
  return out;
}

/// Of what was sent or arrived.
double last_second(const Report& report) {
  const double arrived =
      report.accounting ? static_cast<double>(report.accounting->arrived_each_second.size()) : 0;
  return std::max({0.0, std::floor(report.seconds) - 1, arrived - 1});
}

/// At the other end: a next hop that throttles shows here and not at the gateway's front.
std::string arrivals(const Report& report, const Report* earlier) {
  Plot plot;
  plot.title = "What arrived over time";
  plot.x_label = "seconds since the start";
  plot.y_label = "recipients/s";
  plot.bands = bands(report);
  plot.x_until = last_second(report);
  const auto add = [&](const Report& run, bool old) {
    if (!run.accounting || run.accounting->arrived_each_second.empty()) return;
    const auto& seconds = run.accounting->arrived_each_second;
    const std::size_t step = (seconds.size() + kMostPoints - 1) / kMostPoints;
    PlotLine line{old ? "arrived, earlier" : "arrived", {}, 5, old};
    for (std::size_t at = 0; at < seconds.size(); at += step) {
      const std::size_t end = std::min(at + step, seconds.size());
      std::uint64_t sum = 0;
      for (std::size_t i = at; i < end; ++i) sum += seconds[i];
      line.points.emplace_back(static_cast<double>(at),
                               static_cast<double>(sum) / static_cast<double>(end - at));
    }
    plot.lines.push_back(std::move(line));
  };
  add(report, false);
  if (earlier != nullptr) add(*earlier, true);
  return plot.lines.empty() ? "" : plot.render();
}

std::string over_time(const Report& report, const Report* earlier) {
  Plot rate;
  rate.title = "Throughput over time";
  rate.x_label = "seconds since the start";
  rate.y_label = "messages/s";
  rate.bands = bands(report);
  rate.x_until = last_second(report);
  Plot latency;
  latency.title = "Latency (total) over time";
  latency.x_label = rate.x_label;
  latency.log_y = true;
  latency.show_y = [](double value) { return show_us(value); };
  latency.bands = bands(report);
  latency.x_until = rate.x_until;
  const auto add = [&](const Report& run, bool old) {
    const auto& seconds = run.statistics.seconds;
    // A last second that was cut short would look like a break-in.
    const auto whole = std::min<std::size_t>(seconds.size(), static_cast<std::size_t>(run.seconds));
    const std::size_t count = std::max<std::size_t>(1, whole);
    const std::size_t step = (count + kMostPoints - 1) / kMostPoints;
    const std::string suffix = old ? ", earlier" : "";
    PlotLine accepted{"accepted" + suffix, {}, 0, old}, failed{"failed" + suffix, {}, 4, old};
    PlotLine expected{"refused as expected" + suffix, {}, 2, old};
    PlotLine mean{"mean" + suffix, {}, 0, old}, most{"longest" + suffix, {}, 1, old};
    for (std::size_t at = 0; at < count && at < seconds.size(); at += step) {
      Second sum;
      const std::size_t end = std::min(at + step, std::min(count, seconds.size()));
      for (std::size_t i = at; i < end; ++i) {
        sum.accepted += seconds[i].accepted;
        sum.failed += seconds[i].failed;
        sum.refused_as_expected += seconds[i].refused_as_expected;
        sum.latency_sum_us += seconds[i].latency_sum_us;
        sum.latency_max_us = std::max(sum.latency_max_us, seconds[i].latency_max_us);
      }
      const auto x = static_cast<double>(at);
      const auto width = static_cast<double>(end - at);
      accepted.points.emplace_back(x, static_cast<double>(sum.accepted) / width);
      failed.points.emplace_back(x, static_cast<double>(sum.failed) / width);
      expected.points.emplace_back(x, static_cast<double>(sum.refused_as_expected) / width);
      if (sum.accepted == 0) continue;
      mean.points.emplace_back(
          x, static_cast<double>(sum.latency_sum_us) / static_cast<double>(sum.accepted));
      most.points.emplace_back(x, static_cast<double>(sum.latency_max_us));
    }
    rate.lines.push_back(std::move(accepted));
    for (auto* line : {&failed, &expected})
      if (has_any(*line)) rate.lines.push_back(std::move(*line));
    latency.lines.push_back(std::move(mean));
    if (!old) latency.lines.push_back(std::move(most));
  };
  add(report, false);
  if (earlier != nullptr) add(*earlier, true);
  return rate.render() + arrivals(report, earlier) + latency.render();
}

}  // namespace

std::string charts(const Report& report, const Report* earlier) {
  return over_time(report, earlier) + by_phase(report, earlier) + by_wave(report);
}

}  // namespace waypost::load
